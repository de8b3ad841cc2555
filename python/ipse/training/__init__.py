"""The thin training layer: a method owns its step, the loop owns everything around it."""

from __future__ import annotations

from ipse.training.autoencoder import DenoisingAutoencoder, train_autoencoder
from ipse.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ipse.training.config import ConfigError, RunConfig, option
from ipse.training.errors import Interrupted, RunError
from ipse.training.folder import RunFolder
from ipse.training.loop import Loop
from ipse.training.method import Method
from ipse.training.networks import (
    ConvEncoder,
    ResidualEncoder,
    frozen_copy,
    projector,
    small_encoder,
)
from ipse.training.progress import PlainProgress, Progress, SilentProgress, TerminalProgress
from ipse.training.run import command_for, continue_run, start_run, stored_config
from ipse.training.scattering_encoder import ResidualAdapter, ScatteringEncoder
from ipse.training.schedule import warmup_cosine, warmup_cosine_factor

__all__ = [
    "Checkpoint",
    "ConfigError",
    "ConvEncoder",
    "DenoisingAutoencoder",
    "Interrupted",
    "Loop",
    "Method",
    "PlainProgress",
    "Progress",
    "ResidualAdapter",
    "ResidualEncoder",
    "RunConfig",
    "RunError",
    "RunFolder",
    "ScatteringEncoder",
    "SilentProgress",
    "TerminalProgress",
    "command_for",
    "continue_run",
    "frozen_copy",
    "load_checkpoint",
    "option",
    "projector",
    "save_checkpoint",
    "small_encoder",
    "start_run",
    "stored_config",
    "train_autoencoder",
    "warmup_cosine",
    "warmup_cosine_factor",
]
