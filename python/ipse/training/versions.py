"""Versions that a checkpoint and a bug report should state."""

from __future__ import annotations

from importlib import metadata

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Installed versions of ipse and of torch; `unknown` for what is not installed."""
    return {name: _version(name) for name in ("ipse", "torch")}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
