"""DINO: a student must foresee, from one view, what its own moving average says of the other.

The average, the teacher, speaks in probabilities over prototypes. Two forces keep it from always
saying the same: subtracting the running centre forbids one prototype to win always, and a low
temperature forbids all to be equally likely. This file is the two-view form; the paper adds small
extra crops for the student.

Source: M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski and A. Joulin, Emerging
Properties in Self-Supervised Vision Transformers, arXiv 2104.14294, ICCV 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ipse.data import Batch
from ipse.losses import DINOLoss
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.nn import WeightNormLinear, ema_update
from ipse.training import frozen_copy, option, projector

__all__ = ["DINO", "DINOConfig"]


@dataclass(frozen=True, kw_only=True)
class DINOConfig(TwoViewConfig):
    """Settings of DINO, with defaults for small images on a CPU.

    The paper's own, for ImageNet, are AdamW, batch 1024, 65536 prototypes, momentum from 0.996 and
    teacher temperatures from 0.04 to 0.07. A run of some hundred steps needs a faster average, or
    the teacher never speaks up. Warm-up and frozen steps are given as parts of the run, since
    fixed numbers would be all of a short one.
    """

    slug: ClassVar[str] = "dino"

    prototypes: int = option(128, "number of prototypes", minimum=2)
    student_temperature: float = option(0.1, "divides the student's scores", minimum=1e-3)
    teacher_temperature: float = option(
        0.05, "divides the teacher's scores after the warm-up", minimum=1e-3
    )
    first_teacher_temperature: float = option(
        0.03, "divides the teacher's scores at the start", minimum=1e-3
    )
    teacher_warmup: float = option(
        0.5, "part of the steps during which that rises", minimum=0, maximum=1
    )
    momentum: float = option(
        0.95, "part of the teacher that each step keeps at the start; at the end 1", maximum=1
    )
    center_momentum: float = option(
        0.9, "part of the centre that each step keeps", minimum=0, maximum=1
    )
    frozen: float = option(
        0.08, "part of the steps at the start during which prototypes stay", minimum=0, maximum=1
    )


class DINO(TwoViewMethod[DINOConfig]):
    """The algorithm; see the module's text."""

    title = "DINO"
    about = (
        "A small network learns from images without labels. Its own slowly moving average is its "
        "teacher: from one distorted view of an image the student must tell what the teacher "
        "says of the other. The teacher is kept from saying always the same, and both come to "
        "speak of what the image shows."
    )
    Config = DINOConfig

    def build_heads(self) -> None:
        config = self.config
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.prototypes = WeightNormLinear(config.dimension, config.prototypes)
        self.teacher_encoder = frozen_copy(self.encoder)
        self.teacher_projector = frozen_copy(self.projector)
        self.teacher_prototypes = frozen_copy(self.prototypes)
        self.loss = DINOLoss(
            config.prototypes,
            student_temp=config.student_temperature,
            center_momentum=config.center_momentum,
        )

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        views = self.two_views(batch.images, generator)
        thawed = self.steps_done >= self.config.frozen * self.total_steps
        self.prototypes.direction.requires_grad_(thawed)
        with torch.no_grad():
            taught = [self.teacher_scores(view) for view in views]
        foreseen = [self.prototypes(self.projector(self.encoder(view))) for view in views]
        loss = self.loss(taught, foreseen, self.temperature_now())
        self.minimise(loss)
        self.update_teacher()
        return {"loss": loss.detach()}

    def teacher_scores(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to the teacher's cosines with its prototypes [N, prototypes]."""
        embedding = self.teacher_projector(self.teacher_encoder(images))
        scores: Tensor = self.teacher_prototypes(embedding)
        return scores

    def temperature_now(self) -> float:
        """The teacher's temperature at this step: a line, then constant."""
        config = self.config
        rising = config.teacher_warmup * self.total_steps
        part = min(1.0, self.steps_done / rising) if rising else 1.0
        return config.first_teacher_temperature + part * (
            config.teacher_temperature - config.first_teacher_temperature
        )

    def update_teacher(self) -> None:
        """Moves the teacher a little towards the student, less and less."""
        part = min(1.0, self.steps_done / self.total_steps)
        momentum = 1.0 - (1.0 - self.config.momentum) * 0.5 * (1.0 + math.cos(math.pi * part))
        ema_update(self.teacher_encoder, self.encoder, momentum)
        ema_update(self.teacher_projector, self.projector, momentum)
        ema_update(self.teacher_prototypes, self.prototypes, momentum)
