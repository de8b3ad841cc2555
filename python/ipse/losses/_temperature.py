"""The temperature a loss module is given: a number, or a tensor that may be learned."""

from torch import Tensor

# lightly's bound: anything nearer to zero is taken for a mistake.
SMALLEST = 1e-8


def per_anchor(temperature: float | Tensor, samples: int, views: int) -> float | Tensor:
    """One temperature for each of the stacked views' rows, where each sample has its own."""
    if isinstance(temperature, Tensor) and temperature.dim() == 1 and len(temperature) == samples:
        return temperature.repeat(views)
    return temperature


def check_temperature(name: str, temperature: float | Tensor) -> float | Tensor:
    """Returns the temperature; raises ValueError if it is (almost) zero."""
    if isinstance(temperature, Tensor):
        smallest = temperature.detach().abs().min().item() if temperature.numel() else 0.0
    else:
        smallest = abs(temperature)
    if not smallest >= SMALLEST:  # catches NaN as well
        raise ValueError(
            f"{name}: temperature must be at least {SMALLEST:g} in absolute value, "
            f"got {temperature}"
        )
    return temperature
