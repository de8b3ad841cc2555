"""A method that trains another one: passing on what is the other's, finding it, its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from ipse.data import Batch, ImageData
from ipse.training import ConfigError, Method, RunConfig
from ipse.training.config import field_type

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["WrappingMethod", "wrapped_config"]

ConfigT = TypeVar("ConfigT", bound=RunConfig)

_SWITCH = {"true": True, "false": False}


class WrappingMethod(Method[ConfigT]):
    """A method whose learning another one does; a subclass builds that and adds what is its own.

    Attributes:
        learner: The other method. Its optimizers and schedules are the run's.
    """

    learner: Method[Any]

    def adopt(self, learner: Method[Any]) -> None:
        """Makes `learner` what learns; for `build`."""
        self.learner = learner
        self.optimizers, self.schedules = learner.optimizers, learner.schedules

    def prepare(self, data: ImageData) -> Sequence[str]:
        return self.learner.prepare(data)

    def order(self, epoch: int) -> Tensor:
        return self.learner.order(epoch)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        return self.learner.step(batch, generator)

    def features(self, images: Tensor) -> Tensor:
        return self.learner.features(images)

    def attach(self, fabric: Fabric) -> None:
        self.learner.attach(fabric)

    def state(self) -> dict[str, Any]:
        return self.learner.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.learner.load_state(state)


def wrapped_config(
    config: RunConfig, slug: str, settings: str
) -> tuple[type[Method[Any]], RunConfig]:
    """The class of another method, and its configuration for the same run.

    Args:
        config: The run's configuration; what all methods have in common is taken from it.
        slug: The other method.
        settings: Settings of its own, such as `dimension=64,hidden=128`; the others keep their
            defaults for the data set.

    Raises:
        ConfigError: There is no such method, it is the wrapping one itself, or a setting is wrong.
    """
    from ipse.methods import UnknownMethodError, get  # that module imports the methods

    if slug == config.slug:
        raise ConfigError(f"base: got {slug!r}, must be another method")
    try:
        kind = get(slug)
    except UnknownMethodError as error:
        raise ConfigError(f"base: {error}") from error
    shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(RunConfig)}
    return kind, kind.Config.create(**{**shared, **_parse(kind.Config, settings)})


def _parse(config: type[RunConfig], text: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        name, sign, value = item.partition("=")
        if not sign:
            raise ConfigError(f"base_settings: got {item!r}, must be of the form name=value")
        name = name.strip().replace("-", "_")
        if name in {field.name for field in dataclasses.fields(RunConfig)}:
            raise ConfigError(f"base_settings: got {name}, which the run itself sets")
        given[name] = _value(config, name, value.strip())
    return given


def _value(config: type[RunConfig], name: str, text: str) -> Any:
    if name not in config.defaults():
        return text  # creating the configuration says what is wrong
    kind, _ = field_type(config, name)
    try:
        return _SWITCH[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"base_settings: got {name}={text}, must be of type {kind.__name__}"
        ) from error
