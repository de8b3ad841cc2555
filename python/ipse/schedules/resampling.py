"""Parameters that depend on the resolution, changed together with what an optimizer knows of them.

At a change of resolution a position table is interpolated. So are Adam's two moments of it: else
the first steps at the new resolution would move the new rows by the wrong amounts, or the optimizer
would have to start again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["resample_parameters"]


@torch.no_grad()
def resample_parameters(
    module: nn.Module,
    resample: Mapping[str, Callable[[Tensor], Tensor]],
    *,
    optimizers: Sequence[Optimizer] = (),
    averages: Sequence[nn.Module] = (),
) -> None:
    """Resamples parameters in place, with their optimizer states and moving averages.

    ::

        resample_parameters(
            vit,
            {"pos_embed": lambda table: resample_position_table(table, size // 16)},
            optimizers=[adam],
            averages=[ema_vit],
        )

    The parameters stay the same objects, so optimizers need not be told. Gradients are dropped.

    Args:
        module: What holds the parameters.
        resample: By parameter name (as in `named_parameters`), what makes the new value; it must be
            linear, as it also acts on the moments. Interpolation is, and keeps Adam's second
            moment from becoming negative.
        optimizers: Those that update the parameters. Every state tensor with a parameter's shape
            is resampled: Adam's `exp_avg`, `exp_avg_sq` and `max_exp_avg_sq`, SGD's momentum.
        averages: Modules with parameters of the same names, such as an EMA of the weights.

    Raises:
        ValueError: There is no parameter of a name. Nothing has been changed then.
    """
    holders = [module, *averages]
    found = [dict(holder.named_parameters()) for holder in holders]
    for name in resample:
        for parameters in found:
            if name not in parameters:
                raise ValueError(
                    f"resample_parameters: resample must name parameters, got {name!r}; "
                    f"there are {', '.join(parameters)}"
                )
    for name, function in resample.items():
        for optimizer in optimizers:
            _resample_state(optimizer, found[0][name], function)
        for parameters in found:
            parameter = parameters[name]
            parameter.grad = None
            parameter.data = function(parameter.data).contiguous()


def _resample_state(
    optimizer: Optimizer, parameter: Tensor, function: Callable[[Tensor], Tensor]
) -> None:
    state = optimizer.state.get(parameter, {})
    for name, value in state.items():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            state[name] = function(value).contiguous()
