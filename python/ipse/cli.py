"""The command line: `ipse run | search-schedule | list | info`.

Everything heavy is imported when it is needed, so that `ipse list` and `ipse --version` are quick
and work without the training extra.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import importlib.util
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ipse.evaluation import Result
    from ipse.training import Method, RunConfig

__all__ = ["main"]

_BAD_USAGE = 2
_FAILED = 1
_COMMANDS = ("run", "search-schedule", "list", "info")
_NO_SEARCH = ("sizes", "out", "checkpoint_seconds")  # settings of a run, not of a search
_TRAIN_PACKAGES = {"torch", "sklearn", "matplotlib", "rich", "lightning_fabric"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    0: done. 1: it failed, for a reason said in one line. 2: wrong usage. 130 or 143: stopped by
    Ctrl-C or SIGTERM with a checkpoint to go on from.

    Args:
        argv: Arguments without the program's name; default: the process's own.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in _COMMANDS:
        return _complain(f"{arguments[0]}: unknown command{_hint(arguments[0])}", _BAD_USAGE)
    parser = _parser()
    # What follows `run SLUG` is the method's own business: its flags come from its Config.
    split = 2 if arguments[:1] == ["run"] and arguments[1:2] != ["--help"] else len(arguments)
    split = 1 if arguments[:1] == ["search-schedule"] else split
    options = parser.parse_args(arguments[:split])
    try:
        if options.command == "run":
            return _run(options.slug, arguments[split:])
        if options.command == "search-schedule":
            return _search_schedule(arguments[split:])
        return _list() if options.command == "list" else _info()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _TRAIN_PACKAGES:
            raise
        package = error.name.split(".")[0]
        return _complain(f'{package} is not installed; pip install "ipse[train]"', _FAILED)
    except KeyboardInterrupt:
        return _complain("stopped before anything was written", 130)
    except BrokenPipeError:  # `ipse list | head`
        sys.stderr.close()
        return 0


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, with the nearest thing that would have been right."""

    def error(self, message: str) -> NoReturn:
        print(f"ipse: {message}", file=sys.stderr)
        sys.exit(_BAD_USAGE)


def _parser() -> argparse.ArgumentParser:
    import ipse

    parser = _Parser(prog="ipse", description="Native operations for learning that feeds on itself")
    parser.add_argument("--version", action="version", version=f"ipse {ipse.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar=" | ".join(_COMMANDS))
    run = commands.add_parser(
        "run",
        help="train, evaluate and report a method",
        description="Train, evaluate and report a method. Its flags: `ipse run METHOD --help`.",
    )
    run.add_argument("slug", metavar="METHOD", help="a name that `ipse list` shows")
    commands.add_parser("search-schedule", help="find EfficientTrain's sizes", add_help=False)
    commands.add_parser("list", help="show all methods")
    commands.add_parser("info", help="show what a bug report needs")
    return parser


def _hint(word: str) -> str:
    near = difflib.get_close_matches(word, _COMMANDS, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(_COMMANDS)}"


def _complain(message: str, code: int) -> int:
    print(f"ipse: {message}", file=sys.stderr)
    return code


def _list() -> int:
    from ipse.methods.catalogue import CATALOGUE

    width = max(len(entry.slug) for entry in CATALOGUE)
    for entry in sorted(CATALOGUE, key=lambda entry: (not entry.ready, entry.slug)):
        state = "ready" if entry.ready else "  -  "
        kind = " (baseline)" if entry.family == "baseline" else ""
        print(f"{state}  {entry.slug:<{width}}  {entry.title}{kind}: {entry.summary}")
    return 0


def _info() -> int:
    from ipse.info import describe

    facts = describe()
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _run(slug: str, arguments: list[str]) -> int:
    from ipse.methods import UnknownMethodError, get

    try:
        method = get(slug)
    except UnknownMethodError as error:
        return _complain(str(error), _BAD_USAGE)
    # Before training, not after it: drawing and printing come last.
    for package in sorted(_TRAIN_PACKAGES):
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(name=package)
    from ipse.data import DataError
    from ipse.training import ConfigError, Interrupted, RunError

    given = vars(_parse_run(method, arguments))
    resume: str | None = given.pop("resume", None)
    try:
        result = _start(method, given) if resume is None else _resume(method, resume, given)
    except ConfigError as error:
        return _complain(str(error), _BAD_USAGE)
    except (DataError, RunError) as error:
        return _complain(str(error), _FAILED)
    except OSError as error:
        return _complain(f"{error.filename or 'run'}: {error.strerror or error}", _FAILED)
    except Interrupted as stopped:
        if stopped.folder is None:
            return _complain("stopped before anything was written", 128 + stopped.signal)
        go_on = shlex.join(["ipse", "run", slug, "--resume", str(stopped.folder)])
        return _complain(f"stopped; go on with: {go_on}", 128 + stopped.signal)
    _show(result)
    return 0


def _search_schedule(arguments: list[str]) -> int:
    from ipse.data import DataError
    from ipse.methods.schedule_search import ScheduleSearchConfig, search_schedule
    from ipse.training import ConfigError

    about = (
        "Find EfficientTrain's sizes: the cheapest as accurate, or (et++) the best for the cost."
    )
    parser = _config_parser("ipse search-schedule", about, ScheduleSearchConfig, _NO_SEARCH)
    given = vars(_parse_known(parser, arguments))
    try:
        config = ScheduleSearchConfig.create(**given)
        found = search_schedule(config, lambda line: print(line, flush=True))
    except ConfigError as error:
        return _complain(str(error), _BAD_USAGE)
    except (DataError, OSError) as error:
        return _complain(str(error), _FAILED)
    except KeyboardInterrupt:
        return _complain("stopped; the same command goes on from its --memory file", 130)
    sizes = ",".join(map(str, found.sizes))
    print(f"accuracy {found.accuracy:.2f} %, at the full size throughout {found.baseline:.2f} %")
    print(f"use it with: ipse run efficienttrain --data {config.data} --sizes {sizes}")
    return 0


def _start(method: type[Method[Any]], given: dict[str, Any]) -> Result:
    from ipse.training import start_run
    from ipse.training.progress import for_stream

    return start_run(method, method.Config.create(**given), for_stream(sys.stdout))


def _resume(method: type[Method[Any]], folder: str, given: dict[str, Any]) -> Result:
    from ipse.training import ConfigError, continue_run, stored_config
    from ipse.training.progress import for_stream

    path = Path(folder)
    root = given.pop("root", None)
    stored = stored_config(method, path)[1].to_dict()
    for name, value in given.items():
        if value == stored[name]:
            continue
        if name == "epochs":
            raise ConfigError(
                f"--epochs: got {value}, but the run in {path} was planned for {stored[name]} and "
                f"its learning rate has followed that plan; start a new run for another length"
            )
        raise ConfigError(
            f"{_flag(name)}: got {value}, but the run in {path} was begun with {stored[name]}; "
            f"a resumed run keeps its settings"
        )
    return continue_run(method, path, root, for_stream(sys.stdout))


def _parse_run(method: type[Method[Any]], arguments: list[str]) -> argparse.Namespace:
    """Only the flags that were given: the rest is filled in by presets or the stored run."""
    about = f"{method.title}. {method.about}"
    parser = _config_parser(f"ipse run {method.Config.slug}", about, method.Config)
    parser.add_argument("--resume", metavar="RUN", help="continue the run in this folder")
    return _parse_known(parser, arguments)


def _config_parser(
    prog: str, description: str, config: type[RunConfig], without: Sequence[str] = ()
) -> _Parser:
    """One flag for each setting; a flag that is not given leaves no trace."""
    parser = _Parser(
        prog=prog,
        description=description,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for field in dataclasses.fields(config):
        if field.name not in without:
            _add_flag(parser, config, field)
    return parser


def _parse_known(parser: _Parser, arguments: list[str]) -> argparse.Namespace:
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [flag for action in parser._actions for flag in action.option_strings]
        flag = unknown[0].split("=")[0]
        near = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"`{parser.prog} --help` shows all"
        parser.error(f"{flag}: unknown flag; {hint}")
    return options


def _add_flag(
    parser: argparse.ArgumentParser, config: type[RunConfig], field: dataclasses.Field[Any]
) -> None:
    from ipse.training.config import field_type

    kind, _ = field_type(config, field.name)
    default = "" if field.default is None else f" (default: {field.default}"
    for data, preset in config.presets.items():
        if default and field.name in preset:
            default += f"; {data}: {preset[field.name]}"
        elif field.name in preset:
            default = f" (default for {data}: {preset[field.name]}"
    text = field.metadata["help"].replace("%", "%%") + (f"{default})" if default else "")
    flag = _flag(field.name)
    if kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        return
    parser.add_argument(flag, type=kind, metavar=_metavar(field, kind), help=text)


def _metavar(field: dataclasses.Field[Any], kind: type) -> str:
    choices = field.metadata["choices"]
    return "|".join(map(str, choices)) if choices else {int: "N", float: "X"}.get(kind, "TEXT")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _show(result: Result) -> None:
    """A small table of what came out, and where the report lies."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else box.ASCII)
    table.add_column(f"test accuracy on {result.data}")
    table.add_column("kNN", justify="right")
    table.add_column("linear probe", justify="right")
    for name, scores in result.scores.items():
        style = "bold" if name == "trained encoder" else None
        table.add_row(name, f"{scores.knn:.2f} %", f"{scores.linear:.2f} %", style=style)
    console = Console(highlight=False)
    console.print(table)
    for name, rows in result.tables.items():
        more = Table(box=table.box)
        more.add_column(name)
        for column in next(iter(rows.values())):
            more.add_column(column, justify="right")
        for row, values in rows.items():
            more.add_row(row, *(f"{value:.2f}" for value in values.values()))
        console.print(more)
    console.print(f"report: {result.report}", soft_wrap=True, markup=False)
