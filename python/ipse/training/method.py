"""What a method is: its own step, and the parts that the loop looks after for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ipse.data import Batch, ImageData
from ipse.evaluation.pictures import Picture
from ipse.evaluation.table import Table
from ipse.training.config import ConfigError, RunConfig
from ipse.training.randomness import Stream, generator, seeded

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Method"]

ConfigT = TypeVar("ConfigT", bound=RunConfig)


class Method(nn.Module, ABC, Generic[ConfigT]):
    """A learning algorithm. It owns its step; the loop owns everything around it.

    A method assigns its networks as attributes in `build`, registers optimizers and schedules in
    the dictionaries of these names, and writes its algorithm in `step`. Device placement,
    precision, checkpoints, logging and progress belong to the loop.

    Attributes:
        title: The method's name, for people.
        about: One paragraph for newcomers on how it works.
        Config: Class of its configuration.
        after_view: What is done to every augmented image before a network sees it, such as making
            it smaller; a method that trains another one sets it. None: nothing.
        applies_after_view: Whether `step` heeds it.
        uses_labels: Whether training sees labels, for the words of the report; `build` may set it.
        config: The method's configuration.
        optimizers: By name; `minimise` uses `main`.
        schedules: Learning-rate schedules by the name of their optimizer.
        samples: Size of the training part.
        steps_per_epoch: Full batches in the training part; a partial last batch is left out.
        total_steps: Steps of the whole run, which a schedule needs.

    Args:
        config: An instance of this method's `Config`.
        data: The data set it will learn from.
        total_steps: Steps of the whole run, where something other than the epochs decides; default:
            those of the configured epochs.

    Raises:
        ConfigError: The batch is larger than the training part.
    """

    title: ClassVar[str]
    about: ClassVar[str]
    Config: ClassVar[type[RunConfig]]
    uses_labels: bool = False
    applies_after_view: ClassVar[bool] = False
    after_view: Callable[[Tensor], Tensor] | None = None

    def __init__(self, config: ConfigT, data: ImageData, *, total_steps: int | None = None) -> None:
        super().__init__()
        samples = len(data.train_images)
        if config.batch_size > samples:
            raise ConfigError(
                f"batch_size: got {config.batch_size}, must be at most the {samples} "
                f"training samples"
            )
        self.config: ConfigT = config
        self.optimizers: dict[str, Optimizer] = {}
        self.schedules: dict[str, LRScheduler] = {}
        self.samples = samples
        self.steps_per_epoch = samples // config.batch_size
        self.total_steps = total_steps or self.steps_per_epoch * config.epochs
        self._fabric: Fabric | None = None
        with seeded(config.seed, Stream.INIT):
            self.build(data)

    @property
    def epochs(self) -> int:
        """Passes over the training part that the run makes, the last one perhaps not to its end."""
        return -(-self.total_steps // self.steps_per_epoch)

    @abstractmethod
    def build(self, data: ImageData) -> None:
        """Creates networks, optimizers and schedules. torch's default generator is seeded."""

    def prepare(self, data: ImageData) -> Sequence[str]:
        """Work on the whole training part before the first step, such as a clustering; none here.

        Called once, on the run's device, with torch's default generators seeded. What it finds
        must lie in buffers of the method's modules, where checkpoints keep it: a run that is
        resumed later does not call it again. Neither does the untrained twin that is evaluated.

        Returns:
            Lines that tell the user what came of it.
        """
        return ()

    def order(self, epoch: int) -> Tensor:
        """The training samples in the order in which an epoch's batches take them.

        A pure function of `epoch`, the seed and what `prepare` left, so that a resumed run gets
        the same. Here: a new random permutation for every epoch.

        Returns:
            int64 tensor of at least steps_per_epoch * batch_size indices, on the CPU.
        """
        return torch.randperm(
            self.samples, generator=generator(self.config.seed, Stream.ORDER, epoch)
        )

    @abstractmethod
    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        """One step of the algorithm, updates included.

        Args:
            batch: The samples, on the run's device.
            generator: Source of this step's randomness, on the same device.

        Returns:
            Scalar tensors to log; `loss` must be among them.
        """

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """What is evaluated: images [N, C, H, W] to features [N, D]."""

    def pictures(self, untrained: Self, data: ImageData) -> Sequence[Picture]:
        """Figures of the method's own for the report, drawn after training; none by default."""
        return ()

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        """Numbers of the method's own for result and report, after training; none by default.

        Like everything after training it may be done again, so it must give the same each time.
        """
        return ()

    def minimise(self, loss: Tensor, optimizer: str = "main") -> None:
        """The usual end of a step: gradient of `loss`, one optimizer step, one schedule step."""
        chosen = self.optimizers[optimizer]
        chosen.zero_grad()
        if self._fabric is None:
            loss.backward()
        else:
            self._fabric.backward(loss)
        chosen.step()
        if optimizer in self.schedules:
            self.schedules[optimizer].step()

    def attach(self, fabric: Fabric) -> None:
        """Hands placement and precision of every network and optimizer to the launcher."""
        self._fabric = fabric
        for name, module in list(self.named_children()):
            setattr(self, name, fabric.setup_module(module))
        for name, optimizer in self.optimizers.items():
            wrapped = fabric.setup_optimizers(optimizer)
            # One in gives one out; it behaves as the optimizer it wraps.
            self.optimizers[name] = cast(Optimizer, wrapped)

    def state(self) -> dict[str, Any]:
        """Everything that training changes, as tensors and plain values."""
        return {
            "modules": {name: child.state_dict() for name, child in self.named_children()},
            "optimizers": {name: item.state_dict() for name, item in self.optimizers.items()},
            "schedules": {name: item.state_dict() for name, item in self.schedules.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` returned."""
        for name, child in self.named_children():
            child.load_state_dict(state["modules"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(state["schedules"][name])
