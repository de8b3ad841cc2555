"""MoCo v2: each view must find the image's other view in a long queue of earlier encodings.

Queries come from the network that is trained; keys come from its exponential moving average, which
changes so slowly that keys of many steps ago can still be compared with. The paper shuffles samples
between devices before BatchNorm, so that a small per-device batch does not betray which key belongs
to which query; with one process there is one batch and nothing to shuffle.

Source: K. He, H. Fan, Y. Wu, S. Xie and R. Girshick, Momentum Contrast for Unsupervised Visual
Representation Learning, arXiv 1911.05722, CVPR 2020; X. Chen, H. Fan, R. Girshick and K. He,
Improved Baselines with Momentum Contrastive Learning, arXiv 2003.04297.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ipse.data import Batch
from ipse.losses import InfoNCELoss, MemoryQueue
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.nn import ema_update
from ipse.training import frozen_copy, option, projector

__all__ = ["MoCo", "MoCoConfig"]


@dataclass(frozen=True, kw_only=True)
class MoCoConfig(TwoViewConfig):
    """Settings of MoCo v2, with defaults for small images on a CPU.

    The paper's own, for ImageNet, are SGD, batch 256, 65536 keys and momentum 0.999. A run of some
    hundred steps needs a faster average, and a queue longer than the training set would hold
    earlier keys of the very images that are queried.
    """

    slug: ClassVar[str] = "moco"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **TwoViewConfig.presets,
        "fashion-mnist": {**TwoViewConfig.presets["fashion-mnist"], "queue": 4096},
    }

    temperature: float = option(
        0.2, "divides the similarities; smaller weighs the hardest negatives more", minimum=1e-3
    )
    queue: int = option(1024, "number of keys that are remembered", minimum=1)
    momentum: float = option(
        0.99, "part of the key network that each step keeps", minimum=0, maximum=1
    )


class MoCo(TwoViewMethod[MoCoConfig]):
    """The algorithm; see the module's text."""

    title = "MoCo v2"
    about = (
        "A small network learns from images without labels. One view of an image must find, in a "
        "long queue of other images' encodings, the encoding of the image's other view. The "
        "encodings come from a slowly moving average of the network, so that those of many steps "
        "ago still fit."
    )
    Config = MoCoConfig

    def build_heads(self) -> None:
        config = self.config
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.key_encoder = frozen_copy(self.encoder)
        self.key_projector = frozen_copy(self.projector)
        self.queue = MemoryQueue(config.queue, config.dimension)
        self.loss = InfoNCELoss(temperature=config.temperature)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1, view2 = self.two_views(batch.images, generator)
        self.update_key_network()
        with torch.no_grad():
            key = F.normalize(self.key_projector(self.key_encoder(view2)), dim=1)
        query = self.projector(self.encoder(view1))
        loss = self.loss(query, key, self.queue.features)
        self.minimise(loss)
        # Only now: a key among its own query's negatives would be pushed away.
        self.queue.enqueue(key)
        return {"loss": loss.detach()}

    def update_key_network(self) -> None:
        """Moves the key network a little towards the trained one."""
        ema_update(self.key_encoder, self.encoder, self.config.momentum)
        ema_update(self.key_projector, self.projector, self.config.momentum)
