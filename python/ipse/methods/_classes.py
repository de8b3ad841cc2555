"""Classes in a setting: a list of numbers such as `3,5,8`."""

from __future__ import annotations

from ipse.training import ConfigError

__all__ = ["parse_classes"]


def parse_classes(setting: str, text: str, count: int) -> list[int]:
    """The classes of a list, ascending and each once.

    Args:
        setting: The setting's name, for the message.
        text: Numbers with commas between them.
        count: Number of classes of the data set.

    Raises:
        ConfigError: Not such a list, or a class that does not exist.
    """
    try:
        classes = sorted({int(word) for word in text.split(",")})
    except ValueError:
        classes = []
    if not classes or classes[0] < 0 or classes[-1] >= count:
        raise ConfigError(
            f"{setting}: got {text!r}, must be classes from 0 to {count - 1}, such as 3,5,8"
        )
    return classes
