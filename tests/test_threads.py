"""Threads: one OpenMP runtime, life after fork, a free interpreter, torch's thread count."""

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ipse import _core
from tests.cross_correlation_cases import VICREG, make_views, value_and_gradients

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc or forks")

# Enough work for a parallel region on either side.
SHAPE = (96, 700)


def run_apart(code: str, timeout: float = 120) -> str:
    """The last line that code prints in an interpreter of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


@linux_only
@pytest.mark.parametrize(
    "imports", ["import torch; import ipse._core", "import ipse._core; import torch"]
)
def test_one_openmp_runtime(imports: str) -> None:
    """Two pools in one process fight for the processors."""
    runtimes = run_apart(f"""
        import json
        {imports}
        import ipse.functional as f
        z = torch.randn(96, 700)
        f.vicreg_loss(z, z)  # both have had a parallel region
        (z @ z.T).sum()
        paths = {{line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}}
        names = ("gomp", "iomp", "libomp")
        print(json.dumps(sorted(p for p in paths if any(n in p.split("/")[-1] for n in names))))
    """)
    assert len(json.loads(runtimes)) == 1, runtimes


@linux_only
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_computes() -> None:
    """libgomp's pool does not survive fork; a child that waits for it waits for ever."""
    views = [z.numpy() for z in make_views(*SHAPE)]
    wanted, gradient = value_and_gradient_of_core(*views)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # The core alone: torch's own parallel kernels would wait here, with or without ipse.
        try:
            value, again = value_and_gradient_of_core(*views)
            right = abs(value / wanted - 1) < 1e-5 and np.allclose(again, gradient, atol=1e-6)
            os.write(writer, b"right" if right else b"wrong")
        finally:
            os._exit(0)
    os.close(writer)
    timer = threading.Timer(60, os.kill, (child, 9))
    timer.start()
    try:
        _, status = os.waitpid(child, 0)
    finally:
        timer.cancel()
    with os.fdopen(reader) as pipe:
        assert (status, pipe.read()) == (0, "right"), "the child hung, died or was wrong"


def value_and_gradient_of_core(z1: np.ndarray, z2: np.ndarray) -> tuple[float, np.ndarray]:
    """One forward and one backward with two threads."""
    moments = np.empty((SHAPE[0], SHAPE[0] + 1), np.float32)
    value = _core.vicreg_forward(z1, z2, *VICREG.values, "samples", moments, 2)
    grad = np.empty(SHAPE, np.float32)
    _core.vicreg_backward(z1, z2, moments, 1.0, *VICREG.values, "samples", grad, None, 2)
    return value, grad


class LossPerItem(Dataset[float]):
    """Computes the loss inside whatever process loads the item."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> float:
        return VICREG.function(*make_views(*SHAPE, seed=index)).item()


@linux_only
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_loss_in_data_loader_workers(start: str) -> None:
    items = LossPerItem()
    wanted = [items[i] for i in range(len(items))]  # also the parent's parallel region
    loader = DataLoader(items, num_workers=2, multiprocessing_context=start, timeout=100)
    got = [batch.item() for batch in loader]
    assert got == pytest.approx(wanted, rel=1e-5)


def observed_from_another_thread(call: Callable[[], object], times: int) -> bool:
    """Whether this thread gets to run while another one makes the same call over and over.

    Nobody is made to give way: the switch interval is longer than any test, so the only
    moments at which this thread can run are those in which ``call`` lets go by itself.
    """
    events: list[str] = []
    started = threading.Event()

    def work() -> None:
        started.set()
        for _ in range(times):
            call()
            if "seen" in events:
                return
        events.append("finished")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=work)
    try:
        thread.start()
        started.wait()
        events.append("seen")
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    return events == ["seen"]


def test_other_python_threads_run_meanwhile() -> None:
    z1, z2 = (z.numpy() for z in make_views(*SHAPE))
    square = np.empty((SHAPE[0], SHAPE[0]), np.float32)
    arguments = (z1, z2, *VICREG.values, "samples", None, 1)
    assert observed_from_another_thread(lambda: _core.gemm(z1, z2, square, num_threads=1), 3000)
    assert observed_from_another_thread(lambda: _core.vicreg_forward(*arguments), 3000)
    # The method itself: a call that holds the interpreter goes unobserved.
    assert not observed_from_another_thread(lambda: sorted(range(1000)), 3000)


def test_calls_from_several_python_threads() -> None:
    cases = [make_views(40 + i, 90 + i, seed=i) for i in range(8)]
    wanted = [value_and_gradients(VICREG.function, *views, side="samples") for views in cases]

    def again(index: int) -> bool:
        got = value_and_gradients(VICREG.function, *cases[index % 8], side="samples")
        sizes = VICREG.sizes(*(z.double() for z in cases[index % 8]))
        return all(
            (mine - alone).abs().max().item() <= 1e-5 * size
            for mine, alone, size in zip(
                got,
                wanted[index % 8],
                (sizes.value, sizes.gradient, sizes.gradient),
                strict=True,
            )
        )

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(again, range(48)))


@pytest.mark.parametrize("side", ["samples", "features"])
def test_thread_count_of_torch_is_the_one_used(side: str, restored_threads: None) -> None:
    """The split of the work, and so the last bits, depend on the count: they tell which it was."""
    views = make_views(70, 3000) if side == "samples" else make_views(3000, 70)
    arrays = [z.numpy() for z in views]
    by_argument, by_torch = {}, {}
    for threads in (1, 2, 3, 5):
        by_argument[threads] = _core.vicreg_forward(*arrays, *VICREG.values, side, None, threads)
        torch.set_num_threads(threads)
        by_torch[threads] = VICREG.function(*(z.double() for z in views), side=side).item()
        in_float32 = VICREG.function(*views, side=side).item()
        assert in_float32 == np.float32(by_argument[threads])
    assert by_torch[1] == pytest.approx(by_argument[1], rel=1e-5)
    if side == "samples":
        assert len(set(by_argument.values())) > 1


def test_default_thread_count_is_that_of_torch(restored_threads: None) -> None:
    for threads in (1, 3):
        torch.set_num_threads(threads)
        assert _core.build_info()["max_threads"] == threads
