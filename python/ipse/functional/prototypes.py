"""Losses over prototypes: soft cross-entropy, Sinkhorn codes, SwAV, DINO."""

from collections.abc import Sequence

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*
from ipse.functional._distributed_sinkhorn import distributed_sinkhorn, is_distributed

__all__ = ["dino_loss", "sinkhorn", "soft_cross_entropy", "swav_loss"]

REDUCTIONS = ("mean", "none")


def soft_cross_entropy(
    student_logits: Tensor | Sequence[Tensor],
    targets: Tensor | Sequence[Tensor],
    *,
    student_temperature: float = 1.0,
    teacher_temperature: float | None = None,
    center: Tensor | None = None,
    pair_weights: Sequence[Sequence[float]] | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of ``softmax(student_logits / student_temperature)`` against soft targets.

    ``CE_n = sum(p_n) logsumexp(s_n / T_s) - <p_n, s_n> / T_s``, where the target ``p`` is
    either given or ``softmax((t - center) / teacher_temperature)`` of a teacher's logits
    ``t``. With several views every student view is compared with every target view, each
    target's softmax being computed once.

    Args:
        student_logits: (N, K), or a sequence of S such views: float32, float64, bfloat16 or
            float16. Any strides. NaN and infinity propagate as in the formula.
        targets: (N, K), or a sequence of such views. Constants: no gradient flows into them.
            Probabilities need not sum to one and are not checked; logits of -inf are
            probabilities of zero.
        student_temperature: divides the student's logits, > 0.
        teacher_temperature: > 0 where the targets are a teacher's logits; None where they
            are probabilities.
        center: K values taken off the teacher's logits; any shape with K elements.
        pair_weights: one row for each student view, one weight in it for each target view;
            pairs of weight 0 are left out. Default: the mean over all pairs.
        reduction: ``"mean"`` over the samples and sum over the student views, or ``"none"``.

    Returns:
        A scalar; with ``"none"`` (N,), or (S, N) for a sequence of students. float32 for
        16-bit inputs, which are computed in float32, and float64 where any view is float64.
        In an autocast region inputs are cast to float32. Twice differentiable by the
        student's logits.

    Raises:
        ValueError: shapes or devices differ, views are not (N, K) with K >= 1, N is 0 with
            ``"mean"``, a temperature is not positive, a center comes without a
            teacher_temperature, or ``pair_weights`` has the wrong shape.
        TypeError: a view is not a dense floating point tensor.

    Memory:
        On the CPU no (N, K) temporary: a row of K values for each target view and two more
        for each thread. The backward starts from the logits again and keeps nothing.

    Source:
        Caron et al., SwAV, NeurIPS 2020 (arXiv 2006.09882), equation 2; Caron et al., DINO,
        ICCV 2021 (arXiv 2104.14294), equation 1.
    """
    students = [student_logits] if isinstance(student_logits, Tensor) else list(student_logits)
    views = [targets] if isinstance(targets, Tensor) else list(targets)
    if reduction not in REDUCTIONS:
        allowed = " or ".join(map(repr, REDUCTIONS))
        raise ValueError(f"soft_cross_entropy: reduction must be {allowed}, got {reduction!r}")
    if pair_weights is None:
        pairs = max(1, len(students) * len(views))
        weights = [1.0 / pairs] * (len(students) * len(views))
    else:
        if [len(row) for row in pair_weights] != [len(views)] * len(students):
            shape = [len(row) for row in pair_weights]
            raise ValueError(
                f"soft_cross_entropy: pair_weights must have {len(students)} rows of "
                f"{len(views)} weights, got rows of {shape}"
            )
        weights = [float(weight) for row in pair_weights for weight in row]
    losses: Tensor = torch.ops.ipse.soft_cross_entropy(
        students,
        [view.detach() for view in views],
        None if center is None else center.detach().reshape(1, -1),
        weights,
        student_temperature,
        teacher_temperature,
    )
    if reduction == "none":
        return losses[0] if isinstance(student_logits, Tensor) else losses
    if losses.shape[1] == 0:
        raise ValueError("soft_cross_entropy: the batch must have at least 1 sample, got 0")
    return losses.sum() / losses.shape[1]


def sinkhorn(
    scores: Tensor,
    epsilon: float = 0.05,
    iterations: int = 3,
    *,
    gather_distributed: bool = False,
) -> Tensor:
    """Sinkhorn-Knopp codes of SwAV: a soft assignment that uses all prototypes equally.

    ``iterations`` times the columns, then the rows, of ``exp(scores / epsilon)`` are
    normalised. Works with logarithms throughout: nothing overflows, whatever the scores.
    The codes are constants: no gradient flows into the scores.

    Args:
        scores: (N, K) similarities of samples and prototypes: float32, float64, bfloat16 or
            float16. Any strides. NaN and +inf make all codes NaN.
        epsilon: temperature, > 0; smaller is closer to a hard assignment.
        iterations: at least 1.
        gather_distributed: the columns run over the samples of all processes.

    Returns:
        Codes (N, K), rows sum to one; float32 for 16-bit scores.

    Raises:
        ValueError: scores are not (N, K) with K >= 1, epsilon is not positive, or
            iterations < 1.
        TypeError: scores are not a dense floating point tensor.

    Memory:
        On the CPU, beside the codes, two rows of K values and two rows of sums for each
        thread. With ``gather_distributed`` in several processes, some (N, K) matrices.

    Source:
        Caron et al., SwAV, NeurIPS 2020 (arXiv 2006.09882), section 3.1 and listing 1.
    """
    scores = scores.detach()
    if gather_distributed and is_distributed():
        return distributed_sinkhorn(scores, epsilon, iterations)
    codes: Tensor = torch.ops.ipse.sinkhorn(scores, epsilon, iterations)
    return codes


def swav_loss(
    high_resolution: Sequence[Tensor],
    low_resolution: Sequence[Tensor] = (),
    queue: Sequence[Tensor] | None = None,
    *,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    gather_distributed: bool = False,
) -> Tensor:
    """The SwAV loss: every crop predicts the codes of the high-resolution crops of its image.

    The codes of each high-resolution crop come from :func:`sinkhorn`; the loss is the mean
    over these crops, and over the other crops, of :func:`soft_cross_entropy`.

    Args:
        high_resolution: at least one (N, K) tensor of scores against the prototypes, one for
            each high-resolution crop; see :func:`soft_cross_entropy` for dtypes.
        low_resolution: the same for the other crops.
        queue: for each high-resolution crop the scores (M, K) of stored features, which take
            part in the codes only.
        temperature: of the predictions.
        epsilon, iterations, gather_distributed: of :func:`sinkhorn`.

    Returns:
        A scalar, float32 for 16-bit inputs. Twice differentiable; codes are constants.

    Raises:
        ValueError: fewer than two crops or no high-resolution one, a queue of another
            length, or anything that :func:`sinkhorn` and :func:`soft_cross_entropy` refuse.
        TypeError: a tensor is not dense floating point.

    Memory:
        The codes, (N, K) for each high-resolution crop.

    Source:
        Caron et al., SwAV, NeurIPS 2020 (arXiv 2006.09882), equations 1 to 4.
    """
    crops = [*high_resolution, *low_resolution]
    count = len(high_resolution)
    if count == 0 or len(crops) < 2:
        raise ValueError(
            "swav_loss: needs at least 1 high-resolution crop and 2 crops in all, "
            f"got {count} and {len(crops)}"
        )
    if queue is not None and len(queue) != count:
        raise ValueError(
            f"swav_loss: queue must hold scores for each of {count} high-resolution crops, "
            f"got {len(queue)}"
        )
    codes = []
    for index, scores in enumerate(high_resolution):
        stored = scores if queue is None else torch.cat([scores.detach(), queue[index].detach()])
        assigned = sinkhorn(stored, epsilon, iterations, gather_distributed=gather_distributed)
        codes.append(assigned[: scores.shape[0]])
    return soft_cross_entropy(
        crops,
        codes,
        student_temperature=temperature,
        pair_weights=_crossed(len(crops), count, 1.0 / (count * (len(crops) - 1))),
    )


def dino_loss(
    teacher: Sequence[Tensor],
    student: Sequence[Tensor],
    center: Tensor | None = None,
    *,
    teacher_temperature: float = 0.04,
    student_temperature: float = 0.1,
) -> Tensor:
    """The DINO loss: every student view predicts the teacher's view of the other crops.

    The mean over all pairs of a teacher and a student view of different index of
    :func:`soft_cross_entropy`. The teacher's logits are constants.

    Args:
        teacher: (N, K) logits of each global view; see :func:`soft_cross_entropy`.
        student: (N, K) logits of each view, the teacher's views first and in their order.
        center: K values taken off the teacher's logits, of any shape.
        teacher_temperature: sharpens the targets.
        student_temperature: of the predictions.

    Returns:
        A scalar, float32 for 16-bit inputs. Twice differentiable by the student's logits.

    Raises:
        ValueError: there is no pair of different views, or anything that
            :func:`soft_cross_entropy` refuses.
        TypeError: a tensor is not dense floating point.

    Memory:
        As :func:`soft_cross_entropy`: no (N, K) temporary on the CPU.

    Source:
        Caron et al., DINO, ICCV 2021 (arXiv 2104.14294), equation 3.
    """
    pairs = len(teacher) * len(student) - min(len(teacher), len(student))
    if pairs == 0:
        raise ValueError(
            "dino_loss: needs a teacher view and a student view of different index, got "
            f"{len(teacher)} teacher view(s) and {len(student)} student view(s)"
        )
    return soft_cross_entropy(
        student,
        teacher,
        student_temperature=student_temperature,
        teacher_temperature=teacher_temperature,
        center=center,
        pair_weights=_crossed(len(student), len(teacher), 1.0 / pairs),
    )


def _crossed(students: int, targets: int, weight: float) -> list[list[float]]:
    """``weight`` for every pair but those of one view with itself."""
    return [[0.0 if v == i else weight for i in range(targets)] for v in range(students)]
