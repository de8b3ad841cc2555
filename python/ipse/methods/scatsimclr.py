"""ScatSimCLR: SimCLR on fixed wavelet scattering, with a puzzle beside it, for little data.

The first layers of a network learn edges of all directions and sizes, for which a small data set
has few examples. ScatSimCLR does not learn them: a wavelet scattering transform, which has no
parameters, stands in their place, and only a small residual network behind it is trained. Besides
SimCLR's loss it solves one puzzle: by how many quarters was the image turned, or in which order
were its nine tiles laid out?

Source: V. Kinakh, O. Taran and S. Voloshynovskiy, ScatSimCLR: Self-Supervised Contrastive Learning
with Pretext Task Regularization for Small-Scale Datasets, arXiv 2108.13939, ICCV 2021 workshops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from ipse.data import (
    Batch,
    ImageData,
    jigsaw_permutations,
    jigsaw_tiles,
    quarter_turns,
    random_view,
    standard_views,
)
from ipse.evaluation import Table
from ipse.losses import NTXentLoss
from ipse.training import ConfigError, Method, RunConfig, ScatteringEncoder, option

__all__ = ["ScatSimCLR", "ScatSimCLRConfig"]

PRETEXTS = ("rotation", "jigsaw", "none")


@dataclass(frozen=True, kw_only=True)
class ScatSimCLRConfig(RunConfig):
    """Settings of ScatSimCLR, with networks for small images on a CPU.

    The paper's own network has 16 angles, 30 blocks of 128 channels and a projector of width 2048;
    its learning rate is 3e-4. Batch, temperature, lambda, weight decay and schedule are its own.

    Raises:
        ConfigError: Views that turn the image together with the puzzle of how it was turned.
    """

    slug: ClassVar[str] = "scatsimclr"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "digits": {"scales": 1},  # of 8 x 8 pixels two scales leave too little
        "fashion-mnist": {"epochs": 30, "train_size": 1000},
        "surgery": {"epochs": 20, "train_size": 1000, "scales": 3},
    }

    epochs: int = option(50, "passes over the training samples", minimum=1)
    batch_size: int = option(64, "samples per step", minimum=2)
    temperature: float = option(
        0.5, "divides the similarities; smaller weighs the hardest negatives more", minimum=1e-3
    )
    pretext: str = option("rotation", "the puzzle beside the loss", choices=PRETEXTS)
    pretext_weight: float = option(0.3, "lambda: weight of the puzzle's loss", minimum=0)
    permutations: int = option(35, "orders of the tiles in the jigsaw puzzle", minimum=2)
    view_rotation: float = option(
        0.0,
        "largest random turn of a view, in degrees; not with the rotation puzzle",
        minimum=0,
    )
    scales: int = option(2, "scales of the scattering transform", minimum=1)
    angles: int = option(8, "angles of the scattering transform", minimum=1)
    blocks: int = option(4, "residual blocks behind the scattering transform", minimum=1)
    width: int = option(32, "channels of the residual blocks", minimum=1)
    dimension: int = option(128, "size of the embedding that is compared", minimum=1)
    hidden: int = option(256, "width of the projector and of the puzzle's head", minimum=1)
    learning_rate: float = option(1e-3, "Adam's learning rate", minimum=0)
    weight_decay: float = option(1e-5, "Adam's weight decay", minimum=0)
    constant_epochs: int = option(
        10, "epochs before the learning rate starts to fall, along a cosine", minimum=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretext == "rotation" and self.view_rotation > 0:
            raise ConfigError(
                f"view_rotation: got {self.view_rotation}, must be 0 with pretext rotation, whose "
                f"answer it would blur"
            )


class ScatSimCLR(Method[ScatSimCLRConfig]):
    """The algorithm; see the module's text.

    Attributes:
        encoder: What is trained and evaluated.
        views: The distribution of the random views; set it before training to use others.
    """

    title = "ScatSimCLR"
    about = (
        "A small network learns from few images without labels. Edges and textures are not learned "
        "but measured, by a fixed wavelet transform; behind it the network must place two randomly "
        "distorted views of an image close together and far from all other images, and say how an "
        "image was turned or cut up."
    )
    Config = ScatSimCLRConfig

    def build(self, data: ImageData) -> None:
        config = self.config
        height, width = data.train_images.shape[2:]
        if config.pretext == "rotation" and height != width:
            raise ConfigError(
                f"pretext: got 'rotation', which needs square images, but they are "
                f"{height} x {width}"
            )
        self.views = replace(standard_views(data.name), rotation=config.view_rotation)
        self.encoder = self.build_encoder(data.channels, min(height, width))
        features = self.encoder.features
        self.projector = nn.Sequential(
            nn.Linear(features, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.dimension),
        )
        if config.pretext == "rotation":
            self.pretext: nn.Module = rotation_head(features, config.hidden)
        elif config.pretext == "jigsaw":
            self.pretext = JigsawHead(features, config.hidden, config.permutations, config.seed)
        self.loss = NTXentLoss(temperature=config.temperature)
        adam = torch.optim.Adam(
            self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizers["main"] = adam
        self.schedules["main"] = LambdaLR(adam, self.learning_rate_factor)

    def build_encoder(self, channels: int, side: int) -> ScatteringEncoder:
        """What is trained and evaluated."""
        config = self.config
        if 2**config.scales > side:
            raise ConfigError(
                f"scales: got {config.scales}, but 2^scales must be no more than the images' "
                f"side {side}"
            )
        widths = [config.width] * config.blocks
        return ScatteringEncoder(channels, side, config.scales, config.angles, widths)

    def learning_rate_factor(self, step: int) -> float:
        """1 for some epochs, then a cosine to 0 at the end; the same throughout an epoch."""
        constant, epochs = self.config.constant_epochs, self.config.epochs
        falling = step // self.steps_per_epoch - constant
        if falling < 0:
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, falling / max(1, epochs - constant))))

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1 = random_view(batch.images, self.views, generator)
        view2 = random_view(batch.images, self.views, generator)
        contrastive = self.loss(self.embed(view1), self.embed(view2))
        if self.config.pretext == "none":
            self.minimise(contrastive)
            return {"loss": contrastive.detach()}
        logits, answers = self.puzzle(batch.images, generator)
        pretext = F.cross_entropy(logits, answers)
        loss = contrastive + self.config.pretext_weight * pretext
        self.minimise(loss)
        return {
            "loss": loss.detach(),
            "contrastive": contrastive.detach(),
            "pretext": pretext.detach(),
            "pretext_accuracy": (logits.detach().argmax(1) == answers).float().mean(),
        }

    def embed(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to embeddings [N, dimension]; the loss normalises them."""
        embedding: Tensor = self.projector(self.encoder(images))
        return embedding

    def features(self, images: Tensor) -> Tensor:
        # The heads are thrown away: the layer before them transfers better.
        encoded: Tensor = self.encoder(images)
        return encoded

    def puzzle(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The puzzle for images [N, C, H, W]: logits, and the number of the right answer."""
        if self.config.pretext == "rotation":
            if self.views.rotation > 0:
                raise ValueError(
                    f"ScatSimCLR: views must not rotate with pretext rotation, "
                    f"got up to {self.views.rotation} degrees"
                )
            turned, answers = quarter_turns(images)
            return self.pretext(self.encoder(random_view(turned, self.views, generator))), answers
        head: Any = self.pretext
        count = self.config.permutations
        answers = torch.randint(count, (len(images),), generator=generator, device=images.device)
        view = random_view(images, self.views, generator)
        tiles = jigsaw_tiles(view, head.permutations[answers])
        encoded = self.encoder(tiles.flatten(0, 1)).unflatten(0, tiles.shape[:2])
        return head(encoded), answers

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        config = self.config
        if config.pretext == "none":
            return ()
        answers = 4 if config.pretext == "rotation" else config.permutations
        accuracies = {
            name: {"right answers %": 100 * method.pretext_accuracy(data.test_images[:1000])}
            for name, method in (("untrained", untrained), ("trained", self))
        }
        caption = (
            f"How often the {config.pretext} puzzle is solved on test images that training did "
            f"not see; guessing is right in {100 / answers:.1f} %."
        )
        return [Table("pretext", "The puzzle", caption, accuracies)]

    def pretext_accuracy(self, images: Tensor) -> float:
        """The part of the puzzles of images [N, C, H, W] that is solved, between 0 and 1."""
        device = next(self.parameters()).device
        source = torch.Generator(device).manual_seed(self.config.seed)
        right = []
        with torch.no_grad():
            for part in images.split(self.config.batch_size):
                logits, answers = self.puzzle(part.to(device), source)
                right.append(logits.argmax(1) == answers)
        return float(torch.cat(right).double().mean())


def rotation_head(features: int, hidden: int) -> nn.Sequential:
    """Features [N, features] to the logits [N, 4] of the quarters; with 512 hidden the paper's."""
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, max(1, hidden // 4)),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(max(1, hidden // 4), 4),
    )


class JigsawHead(nn.Module):
    """Features of nine tiles [N, 9, features] to the logits [N, permutations] of their order.

    Attributes:
        permutations: int64 tensor [permutations, 9].
    """

    permutations: Tensor

    def __init__(self, features: int, hidden: int, permutations: int, seed: int) -> None:
        super().__init__()
        self.register_buffer("permutations", jigsaw_permutations(permutations, 9, seed))
        # One layer for every tile, then one that sees them all.
        self.tile = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(0.5))
        self.order = nn.Sequential(
            nn.Linear(9 * hidden, 2 * hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(2 * hidden, permutations),
        )

    def forward(self, encoded: Tensor) -> Tensor:
        logits: Tensor = self.order(self.tile(encoded).flatten(1))
        return logits
