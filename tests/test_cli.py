"""The command line: what it prints, how it ends, and that mistakes are one clear line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ipse import cli
from ipse.cli import main
from ipse.methods import CATALOGUE

TINY = ["--train-size", "64", "--test-size", "40", "--batch-size", "16", "--epochs", "2"]
SMALL = ["--dimension", "8", "--hidden", "8", "--device", "cpu"]

Answer = tuple[int, str, str]
Ask = Callable[..., Answer]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs the command line in this process; returns exit code, output and error output."""

    def run(*arguments: str) -> Answer:
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run, made through `python -m ipse` into a pipe, and what it printed."""
    out = tmp_path_factory.mktemp("cli") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "ipse", "run", "barlow-twins", *TINY, *SMALL, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout + done.stderr


@pytest.fixture
def run_copy(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the finished run with its result taken away, so that resuming works again."""
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    (copy / "result.json").unlink()
    return copy


def test_run_leaves_everything(finished: tuple[Path, str]) -> None:
    out, _ = finished
    pictures = {"loss.png", "embedding.png", "cross-correlation.png"}
    files = {"config.json", "metrics.jsonl", "checkpoint.pt", "report.html", "result.json"}
    assert {path.name for path in out.iterdir()} == pictures | files
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 8
    scores = json.loads((out / "result.json").read_text())["scores"]
    assert set(scores) == {"raw pixels", "untrained encoder", "trained encoder"}
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64") == 3
    assert "://" not in page
    assert "ipse run barlow-twins --train-size 64" in page
    assert not list(out.parent.glob(".*"))


def test_run_prints_plain_lines_into_a_pipe(finished: tuple[Path, str]) -> None:
    out, text = finished
    assert "\x1b" not in text
    assert "epoch 2/2  step 8/8" in text
    for words in ("raw pixels", "untrained encoder", "trained encoder", "kNN", "linear probe"):
        assert words in text
    assert f"report: {out / 'report.html'}" in text
    assert text.isascii()


def test_resume_of_a_finished_run_shows_its_result(finished: tuple[Path, str], ask: Ask) -> None:
    before = (finished[0] / "result.json").read_bytes()
    code, out, err = ask("run", "barlow-twins", "--resume", str(finished[0]))
    assert (code, err) == (0, "")
    assert "already finished" in out
    assert "trained encoder" in out
    assert (finished[0] / "result.json").read_bytes() == before


def test_resume_with_other_settings_is_refused(run_copy: Path, ask: Ask) -> None:
    base = ("run", "barlow-twins", "--resume", str(run_copy))
    code, _, err = ask(*base, "--learning-rate", "0.5")
    assert code == 2
    assert err.startswith("ipse: --learning-rate: got 0.5, but the run in ")
    assert err.count("\n") == 1
    code, _, err = ask(*base, "--epochs", "3")
    assert code == 2
    assert "--epochs: got 3" in err
    assert "planned for 2" in err
    assert err.count("\n") == 1


def test_resume_with_the_same_settings_goes_on(run_copy: Path, ask: Ask) -> None:
    expected = (run_copy / "metrics.jsonl").read_bytes()
    code, out, err = ask("run", "barlow-twins", "--resume", str(run_copy), "--epochs", "2")
    assert (code, err) == (0, "")
    assert "continuing after step 8 of 8" in out
    assert (run_copy / "metrics.jsonl").read_bytes() == expected
    assert (run_copy / "result.json").exists()


def damage_checkpoint(run: Path) -> None:
    path = run / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-100])


def damage_config(run: Path) -> None:
    (run / "config.json").write_text("{")


def change_config(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    content["config"]["learning_rate"] = 1.0
    (run / "config.json").write_text(json.dumps(content))


def unknown_setting(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    content["config"]["learning_rat"] = 1.0
    (run / "config.json").write_text(json.dumps(content))


def other_method(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    content["method"] = "look"
    (run / "config.json").write_text(json.dumps(content))


def shorten_metrics(run: Path) -> None:
    (run / "metrics.jsonl").write_text("")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_checkpoint, "corrupt or truncated checkpoint"),
        (damage_config, "config.json: damaged"),
        (change_config, "made with other settings than config.json"),
        (unknown_setting, "learning_rat: unknown setting; did you mean 'learning_rate'?"),
        (other_method, "is a run of 'look', not of 'barlow-twins'"),
        (shorten_metrics, "metrics.jsonl: damaged: 0 bytes"),
        (lambda run: (run / "checkpoint.pt").unlink(), "is not a run folder"),
        (shutil.rmtree, "no folder"),
    ],
)
def test_resume_of_a_damaged_run_is_one_line(
    damage: Callable[[Path], None], message: str, run_copy: Path, ask: Ask
) -> None:
    damage(run_copy)
    code, _, err = ask("run", "barlow-twins", "--resume", str(run_copy))
    assert code == 1
    assert err.startswith("ipse: ")
    assert message in err
    assert err.count("\n") == 1


READY = ", ".join(entry.slug for entry in CATALOGUE if entry.ready)


def test_some_methods_are_ready_and_some_are_not() -> None:
    assert "barlow-twins" in READY
    assert "sslrec" not in READY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "barlow-twin"], "did you mean 'barlow-twins'?"),
        (["run", "zzz"], "`ipse list` shows all"),
        (
            ["run", "sslrec"],
            f"'sslrec' is not ready yet; ready: {READY}\n",
        ),
        (["run", "barlow-twins", "--epoch", "3"], "--epoch: unknown flag; did you mean --epochs?"),
        (["run", "barlow-twins", "--sed=3"], "--sed: unknown flag; did you mean --seed?"),
        (["run", "barlow-twins", "surplus"], "surplus: unknown"),
        (["run", "barlow-twins", "--epochs", "x"], "argument --epochs: invalid int value: 'x'"),
        (["run", "barlow-twins", "--epochs", "0"], "epochs: got 0, must be at least 1"),
        (["run", "barlow-twins", "--data", "digit"], "did you mean 'digits'?"),
        (["run", "barlow-twins", "--batch-size", "5000"], "must be at most the 1437"),
        (["run", "barlow-twins", "--device", "cuda:99"], "device: got 'cuda:99'"),
        (["run"], "required: METHOD"),
        (["rum"], "did you mean 'run'?"),
        ([], "required"),
        (["--nonsense"], "required"),
        (["list", "--all"], "--all"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = ask(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("ipse: ")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_failures_are_one_line_and_leave_nothing(tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    fashion = ("--data", "fashion-mnist", "--root", str(tmp_path))
    for arguments, message in (
        ((*TINY, "--out", str(tmp_path / "file" / "run")), "out: cannot write to"),
        ((*TINY, "--out", str(tmp_path / "full")), "already exists"),
        ((*fashion, "--out", str(tmp_path / "run")), "apt install dataset-fashion-mnist"),
        (("--train-size", "9999", "--out", str(tmp_path / "run")), "digits has 1437 samples"),
    ):
        code, _, err = ask("run", "barlow-twins", *arguments)
        assert code == 1
        assert message in err
        assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"file", "full"}


def test_damaged_data_names_the_file(tmp_path: Path, ask: Ask) -> None:
    damaged = tmp_path / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(b"\x1f\x8b\x08 not gzip")
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / name).touch()
    out = tmp_path / "run"
    arguments = ("--data", "fashion-mnist", "--root", str(tmp_path), "--out", str(out))
    code, _, err = ask("run", "barlow-twins", *arguments)
    assert code == 1
    assert err.startswith(f"ipse: {damaged}: damaged gzip file")
    assert not out.exists()


def test_list_shows_every_method(ask: Ask) -> None:
    code, out, _ = ask("list")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 82, "78 papers and 4 baselines"
    assert sum(" (baseline): " in line for line in lines) == 4
    assert lines[0].startswith("ready  barlow-twins ")
    assert sum("  isogclr  " in line for line in lines) == 1


def test_info_has_what_a_bug_report_needs(ask: Ask) -> None:
    code, out, _ = ask("info")
    assert code == 0
    for name in ("ipse", "native core", "python", "torch", "numpy", "CUDA", "platform", "triton"):
        assert any(line.startswith(name) for line in out.splitlines()), name


def test_info_without_the_native_core(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    import ipse

    monkeypatch.delattr(ipse, "_core", raising=False)
    monkeypatch.setitem(sys.modules, "ipse._core", None)
    code, out, _ = ask("info")
    assert code == 0
    assert "not available" in out


def test_version(ask: Ask) -> None:
    import ipse

    assert ask("--version") == (0, f"ipse {ipse.__version__}\n", "")


def test_help_shows_every_setting_with_its_default(ask: Ask) -> None:
    from ipse.methods import get

    code, out, _ = ask("run", "barlow-twins", "--help")
    assert code == 0
    for name in get("barlow-twins").Config.defaults():
        assert f"--{name.replace('_', '-')} " in out
    assert "default: 0.002" in " ".join(out.split())


def test_missing_extra_names_the_package(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(slug: str, arguments: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn.datasets")

    monkeypatch.setattr(cli, "_run", absent)
    assert ask("run", "barlow-twins") == (
        1,
        "",
        'ipse: sklearn is not installed; pip install "ipse[train]"\n',
    )


@pytest.mark.parametrize("arguments", [["list"], ["--version"], ["run", "barlow-twin"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    """Proven by making the heavy imports impossible."""
    code = (
        "import sys\n"
        "for name in ('torch', 'sklearn', 'matplotlib', 'rich', 'lightning_fabric', 'numpy'):\n"
        "    sys.modules[name] = None\n"
        "from ipse.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if arguments[0] == "run" else 0)


@pytest.mark.parametrize("package", ["sklearn", "matplotlib", "rich", "lightning_fabric"])
def test_run_without_the_training_extra(package: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == '{package}':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from ipse.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    out = tmp_path / "run"
    arguments = ["run", "barlow-twins", *TINY, *SMALL, "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr == f'ipse: {package} is not installed; pip install "ipse[train]"\n'
    assert done.returncode == 1
    assert not list(tmp_path.iterdir())
