"""Random subsets of tokens, as masked autoencoders use them: drawn, picked out, put back."""

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["gather_tokens", "random_subsets", "scatter_tokens"]


def random_subsets(
    num_rows: int,
    num_tokens: int,
    keep: int,
    *,
    generator: torch.Generator | None = None,
    seed: int | Tensor | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """A random subset of the tokens for each row, drawn without sorting noise.

    Floyd's algorithm: as many draws as the smaller of ``keep`` and what is left, of numbers that
    are functions of the seed, the row and their place. So the result depends on neither threads
    nor device, and row i of a larger batch is row i of a smaller one.

    Args:
        num_rows: N, at least 0.
        num_tokens: T.
        keep: K, from 0 to T.
        generator: gives the seed and moves on by one draw; default: torch's own.
        seed: the seed itself, instead: an integer or one int64 tensor (which
            ``torch.compile`` leaves in the graph).
        device: of the result; default: the seed's, or the CPU.

    Returns:
        (N, K) int64, in each row different indices below T in ascending order. Every subset is
        equally likely. The others are those that :func:`scatter_tokens` fills.

    Raises:
        ValueError: a size does not fit, ``seed`` is not one integer, or both ``generator`` and
            ``seed`` are given.

    Memory:
        On the CPU, beside the result, T bits for each thread.

    Source:
        Bentley and Floyd, A Sample of Brilliance, Communications of the ACM 30(9), 1987; the use
        is He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022
        (arXiv 2111.06377), section 3.
    """
    if generator is not None and seed is not None:
        raise ValueError("random_subsets: generator and seed must not both be given")
    if seed is None:
        where = None if generator is None else generator.device
        # The largest bound there is: one draw of a generator is one seed.
        seed = torch.randint(2**63 - 1, (), generator=generator, device=where)
    elif not isinstance(seed, Tensor):
        seed = torch.tensor((seed + 2**63) % 2**64 - 2**63, dtype=torch.int64)
    subsets: Tensor = torch.ops.ipse.random_subsets(seed, num_rows, num_tokens, keep)
    return subsets if device is None else subsets.to(device)


def gather_tokens(x: Tensor, indices: Tensor) -> Tensor:
    """The chosen tokens of each sample.

    Args:
        x: (N, T, D) float32, float64, bfloat16 or float16. Views whose tokens lie whole, such as
            ``x[:, 1:]``, are read without a copy. N, T and K may be 0.
        indices: (N, K) int64 from 0 to T - 1; the same one may come more than once.

    Returns:
        (N, K, D), ``x[n, indices[n, k]]``, contiguous. Differentiable by x as often as wanted;
        the gradient adds up where an index comes more than once.

    Raises:
        ValueError: shapes or devices do not fit, or an index is out of range (checked on the
            CPU; elsewhere as the device's own indexing checks).
        TypeError: ``x`` is not dense or not floating point, or ``indices`` is not int64.

    Memory:
        The result.

    Source:
        He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022
        (arXiv 2111.06377), section 3: the encoder sees the visible patches only.
    """
    chosen: Tensor = torch.ops.ipse.gather_tokens(x, indices)
    return chosen


def scatter_tokens(
    tokens: Tensor, indices: Tensor, num_tokens: int, fill: Tensor | None = None
) -> Tensor:
    """Puts the chosen tokens back to their places and a mask token everywhere else.

    Args:
        tokens: (N, K, D) float32, float64, bfloat16 or float16.
        indices: (N, K) int64 from 0 to ``num_tokens`` - 1, different ones in each row.
        num_tokens: T.
        fill: (D,) the mask token, of the dtype of ``tokens``; default: zeros.

    Returns:
        (N, T, D) contiguous: ``tokens[n, k]`` at ``indices[n, k]``, ``fill`` elsewhere.
        Differentiable by ``tokens`` and ``fill`` as often as wanted.

    Raises:
        ValueError: shapes or devices do not fit, or an index is out of range or comes twice
            (checked on the CPU; elsewhere one of two tokens of the same index is lost).
        TypeError: ``tokens`` is not dense or not floating point, ``indices`` is not int64, or
            ``fill`` has another dtype.

    Memory:
        The result, and T bytes for each thread.

    Source:
        He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022
        (arXiv 2111.06377), section 3: the decoder sees encoded patches and mask tokens.
    """
    if fill is None:
        fill = tokens.new_zeros(tokens.shape[-1:])
    result: Tensor = torch.ops.ipse.scatter_tokens(tokens, indices, num_tokens, fill)
    return result
