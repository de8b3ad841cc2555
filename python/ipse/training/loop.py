"""The loop around a method's step: order, keyed randomness, logging, checkpoints, stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ipse.data import ImageData
from ipse.training.checkpoint import Checkpoint
from ipse.training.errors import RunError
from ipse.training.folder import RunFolder
from ipse.training.interrupt import StopSignal
from ipse.training.method import Method
from ipse.training.metrics import MetricsLog
from ipse.training.progress import Progress
from ipse.training.randomness import Stream, generator, seeded
from ipse.training.versions import versions

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Loop"]

_LOG_EVERY = 10  # steps; reading a scalar waits for the device, so it is done in bunches


@dataclass
class _Moment:
    """The state that progress shows."""

    step: int
    total_steps: int
    epoch: int
    epochs: int
    loss: float = math.nan
    images_per_second: float = 0.0
    seconds_left: float = math.nan


class Loop:
    """Trains a method on a data set.

    Args:
        method: Built for `data`; the loop attaches it to `fabric`.
        data: What to learn from.
        fabric: The launcher that owns device and precision.
    """

    def __init__(self, method: Method[Any], data: ImageData, fabric: Fabric) -> None:
        method.attach(fabric)
        self.method = method
        self.data = data
        self.fabric = fabric
        self.device: torch.device = fabric.device
        self.step = 0
        self.seconds = 0.0
        self.metrics_bytes = 0
        self._order: tuple[int, Tensor] | None = None

    def checkpoint(self) -> Checkpoint:
        """The state at this step boundary."""
        epoch, step_in_epoch = divmod(self.step, self.method.steps_per_epoch)
        return Checkpoint(
            slug=self.method.config.slug,
            config=self.method.config.to_dict(),
            step=self.step,
            epoch=epoch,
            step_in_epoch=step_in_epoch,
            metrics_bytes=self.metrics_bytes,
            seconds=self.seconds,
            threads=torch.get_num_threads(),
            versions=versions(),
            state=self.method.state(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint.

        Raises:
            RunError: It does not fit the method's networks and optimizers.
        """
        try:
            self.method.load_state(checkpoint.state)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise RunError(f"checkpoint does not fit {checkpoint.slug}: {reason}") from error
        self.step = checkpoint.step
        self.seconds = checkpoint.seconds
        self.metrics_bytes = checkpoint.metrics_bytes

    def run(self, folder: RunFolder, stop: StopSignal, progress: Progress) -> None:
        """Trains to the end, leaving metrics and checkpoints in `folder`.

        Raises:
            Interrupted: A signal came; the checkpoint is written.
            RunError: The loss is no longer finite.
        """
        self.method.train()
        if self.step == 0:
            self._prepare(progress)
        with folder.metrics_log(self.metrics_bytes) as log, stop.deferred():
            try:
                self._steps(folder, log, stop, progress)
            finally:
                progress.close()

    def _prepare(self, progress: Progress) -> None:
        # Before signals are deferred: there is no step boundary in it to wait for.
        begun = time.monotonic()
        with seeded(self.method.config.seed, Stream.PREPARE, device=self.device):
            lines = self.method.prepare(self.data)
        for line in lines:
            progress.message(line)
        self.seconds += time.monotonic() - begun

    def _steps(
        self, folder: RunFolder, log: MetricsLog, stop: StopSignal, progress: Progress
    ) -> None:
        config, total = self.method.config, self.method.total_steps
        pending: list[Mapping[str, Any]] = []
        begun, begun_step, before = time.monotonic(), self.step, self.seconds
        saved = begun
        while self.step < total:
            pending.append(self._one_step())
            now = time.monotonic()
            self.seconds = before + now - begun
            due = now - saved >= config.checkpoint_seconds
            if len(pending) < _LOG_EVERY and self.step < total and not (due or stop.received):
                continue
            loss = _flush(pending, log)
            speed = (self.step - begun_step) / (now - begun)
            progress.training(self._moment(loss, speed))
            if due or stop.received or self.step == total:
                self.metrics_bytes = log.position()
                folder.save(self.checkpoint())
                saved = time.monotonic()
            stop.raise_if_received()

    def _one_step(self) -> dict[str, Any]:
        seed = self.method.config.seed
        epoch, step = divmod(self.step, self.method.steps_per_epoch)
        size = self.method.config.batch_size
        indices = self._epoch_order(epoch)[step * size : (step + 1) * size]
        batch = self.data.batch(indices, self.device)
        rates = {
            f"learning_rate.{name}": item.param_groups[0]["lr"]
            for name, item in self.method.optimizers.items()
        }
        with seeded(seed, Stream.MODULES, epoch, step, self.device):
            scalars = self.method.step(
                batch, generator(seed, Stream.STEP, epoch, step, self.device)
            )
        self.step += 1
        return {"step": self.step, "epoch": epoch + 1, **scalars, **rates}

    def _epoch_order(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self.method.order(epoch))
        return self._order[1]

    def _moment(self, loss: float, steps_per_second: float) -> _Moment:
        method = self.method
        return _Moment(
            step=self.step,
            total_steps=method.total_steps,
            epoch=(self.step - 1) // method.steps_per_epoch + 1,
            epochs=method.epochs,
            loss=loss,
            images_per_second=steps_per_second * method.config.batch_size,
            seconds_left=(method.total_steps - self.step) / steps_per_second,
        )


def _flush(pending: list[Mapping[str, Any]], log: MetricsLog) -> float:
    """Writes the steps that have gathered; returns the last loss."""
    loss = math.nan
    for entry in pending:
        values = {
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in entry.items()
        }
        loss = values["loss"]
        if not math.isfinite(loss):
            raise RunError(
                f"loss is {loss} at step {values['step']}; the last checkpoint before it is kept. "
                f"Try a smaller learning rate or --precision 32"
            )
        log.append(values)
    pending.clear()
    return loss
