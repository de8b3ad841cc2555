"""The contrastive losses as people write them in PyTorch: dense, one matrix after another."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, normalize


def ntxent_formula(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    samples = z1.shape[0]
    z = normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / temperature).masked_fill(
        torch.eye(2 * samples, dtype=torch.bool), -torch.inf
    )
    targets = torch.cat([torch.arange(samples, 2 * samples), torch.arange(samples)])
    return cross_entropy(logits, targets)


def clip_formula(image: Tensor, text: Tensor, scale: float) -> Tensor:
    logits = scale * image @ text.T
    targets = torch.arange(image.shape[0])
    return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2


def siglip_formula(image: Tensor, text: Tensor, scale: float, bias: float) -> Tensor:
    logits = scale * image @ text.T + bias
    signs = 2 * torch.eye(image.shape[0]) - 1
    return -logsigmoid(signs * logits).sum() / image.shape[0]


def moco_formula(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    query, key = normalize(query, dim=1), normalize(key, dim=1)
    positive = (query * key).sum(1, keepdim=True)
    logits = torch.cat([positive, query @ queue.T], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(query.shape[0], dtype=torch.long))


def supcon_formula(features: Tensor, labels: Tensor, temperature: float = 0.07) -> Tensor:
    """As the authors' code does it: an (N V, N V) mask and log-probabilities of all pairs."""
    views = features.shape[1]
    z = torch.cat(torch.unbind(features, dim=1))
    logits = z @ z.T / temperature
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    others = 1 - torch.eye(z.shape[0])
    mask = (labels[:, None] == labels[None, :]).float().repeat(views, views) * others
    log_probability = logits - (logits.exp() * others).sum(1, keepdim=True).log()
    return -((mask * log_probability).sum(1) / mask.sum(1)).mean()


def isogclr_formula(z1: Tensor, z2: Tensor, tau: Tensor) -> Tensor:
    """The surrogate of the algorithm on a first visit, densely; its value is of no interest."""
    samples = z1.shape[0]
    z = normalize(torch.cat([z1, z2]), dim=1)
    similarity = z @ z.T
    sample = torch.arange(2 * samples) % samples
    negative = (sample[:, None] != sample[None, :]).float()
    with torch.no_grad():
        e = (similarity / tau.repeat(2)[:, None]).exp() * negative
        weights = e / e.sum(1, keepdim=True)
        lse = e.sum(1).log()
    positives = (z * z.roll(samples, 0)).sum(1)
    surrogate = ((weights * similarity).sum(1) - positives).sum() / samples
    value = (tau.repeat(2) * lse - positives).sum() / samples
    return surrogate + (value - surrogate).detach()
