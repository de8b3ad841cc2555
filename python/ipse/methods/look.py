"""LOOK: supervised pre-training that lets a class have many shapes.

Cross-entropy draws every class together into one point and so forgets what tells its members apart,
which another task may need. LOOK asks less: an image's own label must win the vote of its nearest
neighbours, itself left out. Members of a class that are far away are not attracted.

The neighbours are looked for among the encodings of the batch and a queue of earlier ones, made by
a slowly moving average of the network, through which no gradient flows.

Source: Y. Feng, J. Jiang, M. Tang, R. Jin and Y. Gao, Rethinking Supervised Pre-training for Better
Downstream Transferring, arXiv 2110.06014, ICLR 2022. The authors published no code: queue, average
and the rule for an image without a neighbour of its own class are as this library sees fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ipse.data import Batch
from ipse.losses import LeaveOneOutKNNLoss
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.nn import ema_update
from ipse.training import frozen_copy, option, projector

__all__ = ["LOOK", "LOOKConfig"]


@dataclass(frozen=True, kw_only=True)
class LOOKConfig(TwoViewConfig):
    """Settings of LOOK, with defaults for small images on a CPU.

    For ImageNet the paper's setting asks for a queue of tens of thousands, some fifty entries of
    every class, and a momentum of 0.999.
    """

    slug: ClassVar[str] = "look"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 20, "train_size": 10000, "queue": 2048}
    }

    epochs: int = option(60, "passes over the training samples", minimum=1)
    k: int = option(20, "number of neighbours that vote", minimum=1)
    temperature: float = option(
        0.1, "divides the similarities; smaller weighs the nearest neighbours more", minimum=1e-3
    )
    force: int = option(
        1, "nearest members of its own class that always vote on an image", minimum=1
    )
    queue: int = option(1024, "number of earlier encodings that are remembered", minimum=1)
    momentum: float = option(
        0.99, "part of the averaged network that each step keeps", minimum=0, maximum=1
    )


class LOOK(TwoViewMethod[LOOKConfig]):
    """The algorithm; see the module's text."""

    title = "LOOK"
    about = (
        "A small network learns from labelled images. Each image's label must be the one that its "
        "nearest neighbours vote for, the image itself left out. That is enough to tell the "
        "classes apart, and unlike the usual training it leaves a class room for images of many "
        "kinds, which is of use where the network later meets other classes."
    )
    Config = LOOKConfig

    def build_heads(self) -> None:
        config = self.config
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.key_encoder = frozen_copy(self.encoder)
        self.key_projector = frozen_copy(self.projector)
        self.loss = LeaveOneOutKNNLoss(
            k=config.k,
            temperature=config.temperature,
            memory_size=config.queue,
            feature_size=config.dimension,
            force=config.force,
        )

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1, view2 = self.two_views(batch.images, generator)
        self.update_key_network()
        with torch.no_grad():
            keys = F.normalize(self.key_projector(self.key_encoder(view2)), dim=1)
        # The indices say whose an encoding is: without them an image's own earlier encoding would
        # be its nearest neighbour, with the right label, and there would be nothing to learn.
        loss = self.loss(self.embed(view1), batch.labels, batch.indices, keys)
        self.minimise(loss)
        return {"loss": loss.detach()}

    def embed(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to embeddings [N, dimension]; the loss normalises them."""
        embedding: Tensor = self.projector(self.encoder(images))
        return embedding

    def update_key_network(self) -> None:
        """Moves the averaged network a little towards the trained one."""
        ema_update(self.key_encoder, self.encoder, self.config.momentum)
        ema_update(self.key_projector, self.projector, self.config.momentum)
