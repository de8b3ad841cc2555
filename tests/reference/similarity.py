"""The contrastive losses as their papers and the well-known code write them: row by row.

Each function goes through the anchors one at a time, picks its positives and negatives by
index and applies the formula. Any floating dtype, differentiable as often as wanted; in
float64 these are the oracle of the tests; they are not meant to be fast.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def unit(row: Tensor) -> Tensor:
    """The vector divided by its length; a zero vector stays zero, with gradient zero."""
    length = row.detach().norm()
    return row * 0 if length < 1e-12 else row / row.norm()


def unit_rows(matrix: Tensor) -> Tensor:
    return torch.stack([unit(row) for row in matrix])


def per_row(temperature: float | Tensor, rows: int) -> list[Tensor]:
    """One temperature for each row, from one for all or one each."""
    return list(torch.as_tensor(temperature, dtype=torch.float64).expand(rows))


def similarity_logsumexp(
    x: Tensor,
    y: Tensor | None = None,
    temperature: float | Tensor = 1.0,
    *,
    normalize: bool = True,
    exclude: str = "self",
    samples: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(logsumexp, positives, mean), each (M,); minus infinity and 0 where no column is left."""
    rows = unit_rows(x) if normalize else x
    columns = rows if y is None else unit_rows(y) if normalize else y
    sums, positives, means = [], [], []
    for i, (row, t) in enumerate(zip(rows, per_row(temperature, len(x)), strict=True)):
        allowed, positive = [], []
        for j in range(len(columns)):
            itself = y is None and i == j
            same = samples is not None and i % samples == j % samples
            if not {"none": False, "self": itself, "sample": same}[exclude]:
                allowed.append(j)
            if same and not itself:
                positive.append(j)
        s = columns[allowed] @ row
        sums.append(torch.logsumexp(s / t, 0) if allowed else s.new_tensor(-torch.inf))
        positives.append((columns[positive] @ row).sum())
        means.append((torch.softmax(s / t, 0) * s).sum())
    return torch.stack(sums), torch.stack(positives), torch.stack(means).detach()


def ntxent(
    z1: Tensor, z2: Tensor, temperature: float | Tensor = 0.5, extra_views: Sequence[Tensor] = ()
) -> Tensor:
    """Chen et al. 2020 (SimCLR), equation 1, averaged over all anchors and their positives."""
    samples, views = len(z1), 2 + len(extra_views)
    rows = unit_rows(torch.cat([z1, z2, *extra_views]))
    temperatures = per_row(temperature, samples)
    terms = []
    for anchor in range(len(rows)):
        others = [j for j in range(len(rows)) if j != anchor]
        logits = rows[others] @ rows[anchor] / temperatures[anchor % samples]
        log_probability = torch.log_softmax(logits, 0)
        positives = [k for k, j in enumerate(others) if j % samples == anchor % samples]
        assert len(positives) == views - 1
        terms.append(-log_probability[positives].mean())
    return torch.stack(terms).mean()


def info_nce(
    query: Tensor,
    key: Tensor,
    negatives: Tensor | None = None,
    temperature: float | Tensor = 0.1,
) -> Tensor:
    """van den Oord et al. 2018, equation 4; He et al. 2020 (MoCo), equation 1."""
    queries, keys = unit_rows(query), unit_rows(key)
    temperatures = per_row(temperature, len(query))
    terms = []
    for n in range(len(queries)):
        if negatives is None:
            others = [keys[m] for m in range(len(keys)) if m != n]
        else:
            others = [unit(row) for row in (negatives if negatives.dim() == 2 else negatives[n])]
        candidates = torch.stack([keys[n], *others])
        logits = candidates @ queries[n] / temperatures[n]
        terms.append(-torch.log_softmax(logits, 0)[0])
    return torch.stack(terms).mean()


def clip(image: Tensor, text: Tensor, logit_scale: float | Tensor) -> Tensor:
    """open_clip's ClipLoss: the mean of two cross entropies; features as they are."""
    samples = len(image)
    total = image.new_zeros(())
    for n in range(samples):
        of_image = torch.log_softmax(logit_scale * (text @ image[n]), 0)
        of_text = torch.log_softmax(logit_scale * (image @ text[n]), 0)
        total = total - of_image[n] - of_text[n]
    return total / (2 * samples)


def siglip(
    image: Tensor,
    text: Tensor,
    logit_scale: float | Tensor,
    logit_bias: float | Tensor | None = None,
) -> Tensor:
    """Zhai et al. 2023 (SigLIP), algorithm 1: every pair is a yes-or-no question."""
    bias = 0.0 if logit_bias is None else logit_bias
    total = image.new_zeros(())
    for n in range(len(image)):
        sign = torch.tensor([1.0 if m == n else -1.0 for m in range(len(text))]).to(image)
        logits = logit_scale * (text @ image[n]) + bias
        total = total - torch.nn.functional.logsigmoid(sign * logits).sum()
    return total / len(image)


def supcon(
    features: Tensor,
    labels: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: float = 0.07,
    *,
    base_temperature: float = 0.07,
    contrast_mode: str = "all",
    reduction: str = "mean",
) -> Tensor:
    """Khosla et al. 2020, equation 2 (L_out), with the factor of the authors' code.

    ``reduction``: "mean" counts anchors without positives as zero (SupContrast),
    "positives" leaves them out (pytorch-metric-learning).
    """
    batch, views = features.shape[:2]
    rows = torch.cat([features.flatten(2)[:, v] for v in range(views)])
    anchors = len(rows) if contrast_mode == "all" else batch
    if mask is None:
        kinds = torch.arange(batch) if labels is None else labels
        mask = torch.stack([kinds == kinds[n] for n in range(batch)])

    terms, zeros = [], 0
    for anchor in range(anchors):
        others = [j for j in range(len(rows)) if j != anchor]
        log_probability = torch.log_softmax(rows[others] @ rows[anchor] / temperature, 0)
        weights = mask[anchor % batch, [j % batch for j in others]].to(rows.dtype)
        if weights.sum() == 0:
            zeros += 1
        else:
            terms.append(-(weights * log_probability).sum() / weights.sum())
    if not terms:
        return features.sum() * 0
    number = len(terms) + (zeros if reduction == "mean" else 0)
    return temperature / base_temperature * torch.stack(terms).sum() / number


def dcl(
    z1: Tensor,
    z2: Tensor,
    temperature: float | Tensor = 0.1,
    positive_weights: Tensor | None = None,
) -> Tensor:
    """Yeh et al. 2022, equation 6: no view of the anchor's sample in the denominator."""
    views = [unit_rows(z1), unit_rows(z2)]
    samples = len(z1)
    temperatures = per_row(temperature, samples)
    terms = []
    for view in (0, 1):
        for n in range(samples):
            anchor, t = views[view][n], temperatures[n]
            negatives = [views[v][m] for v in (0, 1) for m in range(samples) if m != n]
            weight = 1 if positive_weights is None else positive_weights[n]
            denominator = torch.logsumexp(torch.stack(negatives) @ anchor / t, 0)
            terms.append(denominator - weight * (anchor @ views[1 - view][n]) / t)
    return torch.stack(terms).mean()


def dclw(z1: Tensor, z2: Tensor, temperature: float | Tensor = 0.1, sigma: float = 0.5) -> Tensor:
    """Yeh et al. 2022, section 3.2: negative von Mises-Fisher weights of the positives."""
    alike = torch.stack([unit(a) @ unit(b) for a, b in zip(z1, z2, strict=True)]).detach()
    density = (alike / sigma).exp()
    return dcl(z1, z2, temperature, 2 - density / density.mean())


class State(NamedTuple):
    """iSogCLR's numbers for each sample, (N,) each; s = 0: not visited yet."""

    s: Tensor
    tau: Tensor
    u: Tensor


def isogclr(
    index: Tensor,
    z1: Tensor,
    z2: Tensor,
    state: State,
    *,
    gamma: float = 0.8,
    tau_min: float = 0.05,
    tau_max: float = 1.0,
    rho: float = 0.4,
    eta: float = 0.03,
    beta_u: float = 0.5,
) -> tuple[Tensor, State]:
    """Qiu et al. 2023, algorithm 1, as in the official code, without its log space.

    Returns the surrogate, whose gradient is the algorithm's and whose value means nothing,
    and the state after the step.
    """
    samples = len(z1)
    z = unit_rows(torch.cat([z1, z2]))
    similarity = z @ z.T
    s, tau, u = (part.clone() for part in state)
    loss = z.new_zeros(())
    for n in range(samples):
        own, estimates, gradients = index[n], [], []
        for anchor, positive in ((n, n + samples), (n + samples, n)):
            negatives = [j for j in range(2 * samples) if j % samples != n]
            h = similarity[anchor, negatives]
            e = (h.detach() / state.tau[own]).exp()
            g = e.mean()
            estimate = g if state.s[own] == 0 else (1 - gamma) * state.s[own] + gamma * g
            w = e / estimate
            loss = loss + (w * h).mean() - similarity[anchor, positive]
            gradients.append(estimate.log() + rho - (w * h.detach() / state.tau[own]).mean())
            estimates.append(estimate)
        s[own] = sum(estimates) / 2
        gradient = (sum(gradients) / 2).clamp(-3, 3)
        u[own] = (1 - beta_u) * state.u[own] + beta_u * gradient
        tau[own] = (state.tau[own] - eta * u[own]).clamp(tau_min, tau_max)
    return loss / samples, State(s, tau, u)


def isogclr_clip(
    index: Tensor,
    image: Tensor,
    text: Tensor,
    states: tuple[State, State],
    *,
    gamma: float = 0.8,
    tau_min: float = 0.005,
    tau_max: float = 1.0,
    rho: float = 6.0,
    eta: float = 0.03,
    beta_u: float = 0.9,
) -> tuple[Tensor, tuple[State, State]]:
    """The same for image-text pairs, with differences to the own pair's similarity."""
    samples = len(image)
    similarity = unit_rows(image) @ unit_rows(text).T
    loss = image.new_zeros(())
    after = []
    for state, rows in zip(states, (similarity, similarity.T), strict=True):
        s, tau, u = (part.clone() for part in state)
        for n in range(samples):
            own = index[n]
            h = rows[n, [m for m in range(samples) if m != n]] - rows[n, n]
            e = (h.detach() / state.tau[own]).exp()
            g = e.mean()
            s[own] = g if state.s[own] == 0 else (1 - gamma) * state.s[own] + gamma * g
            w = e / s[own]
            loss = loss + (w * h).mean() / samples
            gradient = s[own].log() + rho - (w * h.detach() / state.tau[own]).mean()
            u[own] = (1 - beta_u) * state.u[own] + beta_u * gradient.clamp(-5, 5)
            tau[own] = (state.tau[own] - eta * u[own]).clamp(tau_min, tau_max)
        after.append(State(s, tau, u))
    return loss, (after[0], after[1])
