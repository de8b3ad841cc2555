"""A denoising autoencoder: features of images from nothing but the wish to draw them again."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["DenoisingAutoencoder", "train_autoencoder"]


class DenoisingAutoencoder(nn.Module):
    """Encoder and mirrored decoder; images [N, C, H, W] to their reconstruction.

    Encoder stages are 3 x 3 convolution, BatchNorm, ReLU and 2 x 2 max pooling; the decoder runs
    the widths backwards and enlarges to the encoder's sizes, so that any image size works that is
    not pooled away.

    Args:
        channels: Colour channels of the images.
        widths: Channels of each encoder stage; the last is the size of an embedding.
        noise: Standard deviation of the Gaussian noise added to the input in training mode.

    Source: S. Chakraborty, A. R. Gosthipaty and S. Paul, G-SimCLR, arXiv 2009.12007, whose widths
    are 32, 64, 128.
    """

    def __init__(
        self, channels: int = 1, widths: Sequence[int] = (16, 32, 64), noise: float = 0.01
    ) -> None:
        super().__init__()
        self.noise = noise
        ins = [channels, *widths]
        self.down = nn.ModuleList(_stage(a, b) for a, b in zip(ins[:-1], widths, strict=True))
        outs = widths[::-1]
        self.up = nn.ModuleList(
            _stage(a, b) for a, b in zip([widths[-1], *outs[:-1]], outs, strict=True)
        )
        self.last = nn.Conv2d(widths[0], channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """The reconstruction [N, C, H, W], in [0, 1]."""
        noisy = images + self.noise * torch.randn_like(images) if self.training else images
        latent, sizes = self._encode(noisy)
        for stage, size in zip(self.up, sizes[::-1], strict=True):
            latent = F.interpolate(stage(latent), size=size)
        return torch.sigmoid(self.last(latent))

    @torch.no_grad()
    def embed(self, images: Tensor, *, pooled: bool = True) -> Tensor:
        """The latent maps, one row for each image.

        Args:
            images: float tensor [N, C, H, W].
            pooled: Average over positions: [N, widths[-1]]; else the whole map, flattened.
        """
        maps = [self._encode(part)[0] for part in images.split(1024)]
        return torch.cat([m.mean(dim=(2, 3)) if pooled else m.flatten(1) for m in maps])

    def _encode(self, images: Tensor) -> tuple[Tensor, list[torch.Size]]:
        sizes = []
        for stage in self.down:
            sizes.append(images.shape[-2:])
            images = F.max_pool2d(stage(images), 2)
        return images, sizes


def _stage(ins: int, outs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(ins, outs, 3, padding=1, bias=False), nn.BatchNorm2d(outs), nn.ReLU()
    )


def train_autoencoder(
    network: DenoisingAutoencoder,
    images: Tensor,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 2,
    validation: float = 0.1,
) -> float:
    """Trains by mean squared error with Adam until held-out images no longer get better.

    Randomness is torch's default generators'; seed them for a repeatable result.

    Args:
        network: Trained in place; ends with its best weights, in evaluation mode.
        images: float tensor [N, C, H, W] in [0, 1], on the network's device.
        epochs: At most so many passes.
        batch_size: Images per step.
        learning_rate: Adam's.
        patience: Epochs without improvement after which training stops.
        validation: Part of the images that is held out.

    Returns:
        The best error on the held-out images.

    Raises:
        ValueError: Fewer than 2 images.
    """
    if len(images) < 2:
        raise ValueError(f"train_autoencoder: images must be at least 2, got {len(images)}")
    order = torch.randperm(len(images)).to(images.device)
    held_out = max(1, round(validation * len(images)))
    test, train = images[order[:held_out]], images[order[held_out:]]
    adam = torch.optim.Adam(network.parameters(), lr=learning_rate)
    best, best_state, waited = math.inf, copy.deepcopy(network.state_dict()), 0
    for _ in range(epochs):
        network.train()
        for part in torch.randperm(len(train)).to(images.device).split(batch_size):
            adam.zero_grad()
            F.mse_loss(network(train[part]), train[part]).backward()
            adam.step()
        network.eval()
        error = _error(network, test)
        if error < best:
            best, best_state, waited = error, copy.deepcopy(network.state_dict()), 0
        else:
            waited += 1
            if waited == patience:
                break
    network.load_state_dict(best_state)
    network.eval()
    return best


@torch.no_grad()
def _error(network: DenoisingAutoencoder, images: Tensor) -> float:
    squares = [F.mse_loss(network(part), part, reduction="sum") for part in images.split(1024)]
    return float(sum(squares)) / images.numel()
