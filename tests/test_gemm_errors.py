"""Arguments that ``_core.gemm`` must refuse, and hostile ones that must not crash it."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from ipse import _core

LEFT = np.zeros((4, 3), np.float32)
RIGHT = np.zeros((5, 3), np.float32)
OUT = np.zeros((4, 5), np.float32)


def _read_only() -> np.ndarray:
    array = OUT.copy()
    array.flags.writeable = False
    return array


def _unaligned(shape: tuple[int, int]) -> np.ndarray:
    count = shape[0] * shape[1]
    return np.frombuffer(bytearray(4 * count + 1), np.uint8)[1:].view("f4").reshape(shape)


def _field(shape: tuple[int, int]) -> np.ndarray:
    """A float32 every five bytes."""
    return np.zeros(shape, [("flag", "u1"), ("x", "f4")])["x"]


@pytest.mark.parametrize(
    ("left", "right", "out", "error", "message"),
    [
        (LEFT, RIGHT[:, :2], OUT, ValueError, r"columns, got \(4, 3\) and \(5, 2\)"),
        (LEFT, RIGHT, OUT.T, ValueError, r"out must have shape \(4, 5\), got \(5, 4\)"),
        (LEFT, RIGHT, OUT[:3], ValueError, r"out must have shape \(4, 5\), got \(3, 5\)"),
        (LEFT[0], RIGHT, OUT, ValueError, "left must have 2 dimensions, got 1"),
        (LEFT, RIGHT[None], OUT, ValueError, "right must have 2 dimensions, got 3"),
        (LEFT, RIGHT, np.float32(0) * OUT[0, 0], TypeError, "incompatible function arguments"),
        (LEFT.astype("i4"), RIGHT, OUT, TypeError, "left must be float32, .* got int32"),
        (LEFT, RIGHT.astype("c8"), OUT, TypeError, "right must be float32, .* got complex64"),
        (LEFT.astype(">f4"), RIGHT, OUT, TypeError, "left must be float32, .* got >f4"),
        (LEFT.astype("g"), RIGHT, OUT, TypeError, "left must be float32, .* got (long|float)"),
        (LEFT.astype(bool), RIGHT, OUT, TypeError, "left must be float32, .* got bool"),
        (LEFT.astype(object), RIGHT, OUT, TypeError, "left must be float32, .* got object"),
        (LEFT.astype("i2"), RIGHT, OUT, TypeError, "left must be float32, .* got int16"),
        (LEFT.astype("f8"), RIGHT, OUT, TypeError, "float64, float32 and float32"),
        (LEFT.astype("f8"), RIGHT.astype("f8"), OUT, TypeError, "float64, float64 and float32"),
        (LEFT, RIGHT, OUT.astype("f8"), TypeError, "float32, float32 and float64"),
        (LEFT, RIGHT, OUT.astype("f2"), TypeError, "float32, float32 and float16"),
        (LEFT, RIGHT, _read_only(), ValueError, "out must be writable, got a read-only array"),
        (_field((4, 3)), RIGHT, OUT, ValueError, "left must have strides of whole elements"),
        (LEFT, RIGHT, _field((4, 5)), ValueError, "out must have strides of whole elements"),
        (_unaligned((4, 3)), RIGHT, OUT, ValueError, "left must be aligned to its elements"),
        (LEFT, RIGHT, _unaligned((4, 5)), ValueError, "out must be aligned to its elements"),
        (LEFT.tolist(), RIGHT, OUT, TypeError, "incompatible function arguments"),
        (None, RIGHT, OUT, TypeError, "incompatible function arguments"),
    ],
)
def test_message(
    left: np.ndarray, right: np.ndarray, out: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"gemm.*{message}|{message}"):
        _core.gemm(left, right, out)


def test_symmetric_needs_one_array() -> None:
    square = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="symmetric needs left and right to be one array"):
        _core.gemm(LEFT, LEFT.copy(), square, symmetric=True)
    with pytest.raises(ValueError, match="num_threads must be at least 0"):
        _core.gemm(LEFT, RIGHT, OUT, num_threads=-1)
    with pytest.raises(TypeError):
        _core.gemm(LEFT, RIGHT, OUT, True)  # options go by name


def test_a_result_folded_onto_itself() -> None:
    """Several entries of out in one place: no order of writing is right."""
    folded = np.lib.stride_tricks.as_strided(np.zeros(5, np.float32), (4, 5), (0, 4))
    sliding = np.lib.stride_tricks.as_strided(np.zeros(9, np.float32), (4, 5), (4, 4))
    for out in (folded, sliding):
        with pytest.raises(ValueError, match="out must not overlap itself"):
            _core.gemm(LEFT, RIGHT, out)


@pytest.mark.parametrize("depth", [40, 3000])
def test_a_result_on_top_of_an_operand(depth: int) -> None:
    """Right or refused."""
    rng = np.random.default_rng(0)
    room = rng.standard_normal(40 * depth + 40).astype(np.float32)
    left = room[: 40 * depth].reshape(40, depth)
    right = rng.standard_normal((40, depth)).astype(np.float32)
    wanted = np.empty((40, 40), np.float32)
    _core.gemm(left, right, wanted, num_threads=2)
    for start in (0, 40):
        saved = room.copy()
        out = room[start : start + 1600].reshape(40, 40)
        try:
            _core.gemm(left, right, out, num_threads=2)
        except ValueError as error:
            assert "overlap" in str(error)  # noqa: PT017 - either outcome is allowed
        else:
            assert np.array_equal(out, wanted)
        room[:] = saved


def _claimed(rows: int, cols: int) -> np.ndarray:
    """A matrix that claims any shape and owns one element."""
    return np.broadcast_to(np.zeros(1, np.float32), (rows, cols))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (_claimed(2**20, 2**40), _claimed(1, 2**40)),
        (_claimed(1, 2**40), _claimed(2**20, 2**40)),
        (_claimed(2, 2**58), _claimed(2, 2**58)),
        (_claimed(2**58, 2), _claimed(0, 2)),
    ],
    ids=["left rows", "right rows", "long sum", "tall"],
)
def test_sizes_that_overflow(left: np.ndarray, right: np.ndarray) -> None:
    out = np.empty((left.shape[0], right.shape[0]), np.float32)
    with pytest.raises(ValueError, match=r"overflow"):
        _core.gemm(left, right, out)


def test_more_memory_than_there_is() -> None:
    """2^46 packed elements fit 64 bits, and not the addresses of a process."""
    left, right = _claimed(2**20, 2**26), _claimed(1, 2**26)
    with pytest.raises(MemoryError):
        _core.gemm(left, right, np.empty((2**20, 1), np.float32))


def survives(code: str) -> None:
    """Runs code in a process of its own: what it must survive could kill this one."""
    prelude = "import os, resource\nimport numpy as np\nfrom ipse import _core\n"
    script = prelude + textwrap.dedent(code) + "\nprint('alive')\n"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, f"exit {result.returncode}: {result.stderr[-500:]}"
    assert result.stdout.endswith("alive\n")


def test_thread_count_times_size_does_not_wrap_around() -> None:
    """The result is empty, its 2^44 columns are not: times 512 times 2048 slots is 2^64."""
    survives("""
        right = np.broadcast_to(np.zeros(1, np.float32), (2**44, 2048))
        try:
            _core.gemm(np.empty((0, 2048), np.float32), right,
                       np.empty((0, 2**44), np.float32), num_threads=2048)
        except (ValueError, MemoryError):
            pass
    """)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space the Linux way")
@pytest.mark.parametrize("threads", [5000, 2**31 - 1])
def test_absurd_thread_counts(threads: int) -> None:
    """Where so many cannot be started: a right answer or an exception, not an abort."""
    survives(f"""
        left = np.ones((640, 64), np.float32)
        out = np.zeros((640, 640), np.float32)
        in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        room = in_use + 2**29 + os.cpu_count() * 2**26  # 8 threads for each processor
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        try:
            _core.gemm(left, left, out, num_threads={threads})
            assert (out == 64).all()
        except (ValueError, MemoryError):
            pass
    """)
