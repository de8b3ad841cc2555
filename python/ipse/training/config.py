"""Configuration of a run: a frozen dataclass whose fields are also the command line's flags."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ipse.data import DATASETS

__all__ = ["ConfigError", "RunConfig", "field_type", "option"]


class ConfigError(ValueError):
    """A setting that is unknown or out of range; the message is one clear line."""


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Any] | None = None,
) -> Any:
    """A dataclass field with what the command line and the checks need to know about it.

    Args:
        default: The value where none is given.
        help: One line for the command line's help.
        minimum: Smallest allowed number.
        maximum: Largest allowed number.
        choices: The allowed values, if they can be listed.
    """
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every method's configuration has in common.

    A method subclasses this, sets `slug`, and adds its own fields with `option`. `presets` holds
    defaults that differ for a data set: `{"fashion-mnist": {"epochs": 8}}`.

    Raises:
        ConfigError: A value has the wrong type or is out of range.
    """

    slug: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    data: str = option("digits", "data set to learn from", choices=DATASETS)
    root: str | None = option(None, "folder with the data set's files")
    train_size: int | None = option(None, "use only so many training samples", minimum=1)
    test_size: int | None = option(None, "use only so many test samples", minimum=1)
    epochs: int = option(10, "passes over the training samples", minimum=1)
    batch_size: int = option(256, "samples per step", minimum=2)
    seed: int = option(0, "seed of all randomness", minimum=0)
    device: str = option("auto", "where to compute: auto, cpu, cuda, cuda:1, mps")
    precision: str = option("32", "arithmetic of the networks", choices=("32", "bf16"))
    out: str | None = option(None, "run folder to create (default: the next free one under runs/)")
    checkpoint_seconds: float = option(10.0, "least seconds between checkpoints", minimum=0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(type(self), field, getattr(self, field.name))

    @classmethod
    def create(cls, **given: Any) -> Self:
        """The configuration for what is given, with the chosen data set's presets.

        Raises:
            ConfigError: An unknown name (with the nearest known one) or a bad value.
        """
        for name in given:
            if name not in cls.defaults():
                raise ConfigError(f"{name}: unknown setting{suggestion(name, cls.defaults())}")
        data = given.get("data", cls.defaults()["data"])
        return cls(**{**cls.presets.get(data, {}), **given})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Default of every field, without any preset."""
        return {field.name: field.default for field in dataclasses.fields(cls)}

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values that JSON can hold."""
        return dataclasses.asdict(self)


def suggestion(name: str, known: typing.Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, or nothing if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def field_type(config: type[RunConfig], name: str) -> tuple[type, bool]:
    """The plain type of a field, and whether it may also be None."""
    annotation = typing.get_type_hints(config)[name]
    if isinstance(annotation, types.UnionType):
        plain = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return plain[0], True
    return annotation, False


def _check(config: type[RunConfig], field: dataclasses.Field[Any], value: Any) -> None:
    kind, optional = field_type(config, field.name)
    if value is None and optional:
        return
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{field.name}: got {value!r}, must be of type {kind.__name__}")
    choices, minimum = field.metadata.get("choices"), field.metadata.get("minimum")
    if choices is not None and value not in choices:
        near = suggestion(value, choices) if isinstance(value, str) else ""
        allowed = ", ".join(str(choice) for choice in choices)
        raise ConfigError(f"{field.name}: got {value!r}, must be one of {allowed}{near}")
    # Written so that NaN fails.
    if minimum is not None and not value >= minimum:
        raise ConfigError(f"{field.name}: got {value}, must be at least {minimum}")
    maximum = field.metadata.get("maximum")
    if maximum is not None and not value <= maximum:
        raise ConfigError(f"{field.name}: got {value}, must be at most {maximum}")
