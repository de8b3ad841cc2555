"""A method that trains another one: finding it, and its settings as text."""

from __future__ import annotations

import dataclasses
from typing import Any

from ipse.training import ConfigError, Method, RunConfig
from ipse.training.config import field_type

__all__ = ["wrapped_config"]

_SWITCH = {"true": True, "false": False}


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
