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


class ISogCLRFormula:
    """One step of the algorithm, densely, as its authors' code does it; a first visit."""

    def __init__(self, samples: int, tau: Tensor, gamma: float = 0.8, rho: float = 0.4) -> None:
        self.s = torch.zeros(samples)
        self.u = torch.zeros(samples)
        self.tau = tau.clone()
        self.gamma = gamma
        self.rho = rho

    def __call__(self, index: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
        samples = z1.shape[0]
        z = torch.cat([normalize(z1, dim=1), normalize(z2, dim=1)])
        similarity = z @ z.T
        eye = torch.eye(2 * samples)
        pair = eye.roll(samples, 1)
        negative = 1 - eye - pair
        positive = (similarity * pair).sum(1).view(2, samples)
        count = 2 * samples - 2
        tau = self.tau[index].repeat(2)[:, None]
        e = (similarity / tau).detach().exp() * negative
        g = (e.sum(1) / count).view(2, samples)
        s = g.clone()  # a first visit has no past to average with
        weights = e / s.view(-1, 1)
        loss = ((weights * similarity * negative).sum(1) / count).view(2, samples) - positive
        with torch.no_grad():
            mean = (weights * similarity / tau).sum(1).view(2, samples) / count
            slope = (s.log() + self.rho - mean).mean(0).clamp(-3, 3)
            self.s[index] = s.mean(0)
            self.u[index] = 0.5 * self.u[index] + 0.5 * slope
            self.tau[index] = (self.tau[index] - 0.03 * self.u[index]).clamp(0.05, 1)
        return loss.mean(1).sum()
