"""Logits for the prototype losses, and how far a float computation may be from the oracle.

Rounding is relative to what is added up. A logit x of the compute type enters the exponential
as (x - max) / T, so an error of eps |x - max| / T in the exponent is unavoidable where it
matters (where the probability is not negligible) and bounds that of the logarithm.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.reference import prototypes as reference

# A few dozen roundings of 6e-8 and 1.1e-16.
TOLERANCE = {torch.float32: 4e-6, torch.float64: 1e-14}
HALF = (torch.bfloat16, torch.float16)
COMPUTE = {torch.float64: torch.float64} | dict.fromkeys((torch.float32, *HALF), torch.float32)


@dataclass
class Case:
    """One student and one target, either logits of a teacher or probabilities."""

    samples: int
    prototypes: int
    dtype: torch.dtype = torch.float32
    kind: str = "logits"  # or "probabilities"
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    centered: bool = True
    scale: float = 0.5
    offset: float = 0.0
    seed: int = 0
    student: Tensor = field(init=False)
    target: Tensor = field(init=False)
    center: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.samples, self.prototypes)
        draw = lambda *size: torch.randn(*size, generator=generator, dtype=torch.float64)  # noqa: E731
        self.student = (self.scale * draw(*shape) + self.offset).to(self.dtype)
        logits = self.scale * draw(*shape) + self.offset
        if self.kind == "probabilities":
            self.target = (logits - self.offset).softmax(1).to(self.dtype)
        else:
            self.target = logits.to(self.dtype)
            if self.centered:
                center = 0.1 * self.scale * draw(1, 1, self.prototypes)
                self.center = center.to(COMPUTE[self.dtype])

    @property
    def keywords(self) -> dict[str, object]:
        """The arguments by keyword of functional.soft_cross_entropy."""
        keywords: dict[str, object] = {"student_temperature": self.student_temperature}
        if self.kind == "logits":
            keywords |= {"teacher_temperature": self.teacher_temperature, "center": self.center}
        return keywords


@dataclass
class Exact:
    """Rows and gradient of sum_n weight_n row_n in float64, and the bounds of their errors."""

    rows: Tensor
    gradient: Tensor
    row_size: Tensor  # (N,)
    gradient_size: float


def row_weights(samples: int) -> Tensor:
    return torch.linspace(-1.0, 2.0, samples, dtype=torch.float64)


def _shifted(logits: Tensor) -> Tensor:
    """A softmax does not see a shift of its row, but the oracle would lose digits by it."""
    return logits - logits.amax(1, keepdim=True)


def exact(case: Case) -> Exact:
    """The oracle for exactly the numbers in the case."""
    student = _shifted(case.student.double()).requires_grad_()
    target = case.target.double()
    weights = row_weights(case.samples)
    rounding: Tensor | float = 0.0
    if case.kind == "logits" and case.center is not None:
        # t - center is rounded at its own size, before the maximum is taken off.
        rounding = target.abs().amax(1) / case.teacher_temperature
        target = target - case.center.double().reshape(-1)
    temperature = case.teacher_temperature if case.kind == "logits" else None
    target = _shifted(target) if case.kind == "logits" else target
    rows = reference.soft_cross_entropy(student, target, case.student_temperature, temperature)
    (gradient,) = torch.autograd.grad(rows, student, weights)

    # Errors of the exponents on both sides; where a probability is nothing it does not matter.
    distance = -student.detach() / case.student_temperature
    size = 1 + distance.clamp(max=100).amax(1)
    mass = torch.ones(case.samples, dtype=torch.float64)
    if temperature is not None:
        size = size + (-target / temperature).clamp(max=100).amax(1) + rounding
    else:
        mass = target.sum(1)
    row_size = size * (mass + distance.amax(1))
    gradient_size = (size * (mass + 1)).max() * weights.abs().max() / case.student_temperature
    return Exact(rows.detach(), gradient, row_size, gradient_size.item())


def assert_rows(case: Case, rows: Tensor, tolerance: float, wanted: Exact) -> None:
    error = (rows.double() - wanted.rows).abs()
    bad = error > tolerance * wanted.row_size
    assert not bool(bad.any()), f"{error[bad]} of {wanted.row_size[bad]}"


def assert_gradient(gradient: Tensor, tolerance: float, wanted: Exact) -> None:
    error = (gradient.double() - wanted.gradient).abs().max().item()
    assert error <= tolerance * wanted.gradient_size, f"{error} of {wanted.gradient_size}"


def make_views(
    count: int, samples: int, prototypes: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> list[Tensor]:
    """Scores like cosines, several views of one batch."""
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, prototypes)
    common = torch.randn(shape, generator=generator, dtype=torch.float64)
    noise = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [(0.2 * common + 0.1 * n).to(dtype) for n in noise]


def codes_tolerance(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> float:
    """How far codes may be off: a score is rounded at its distance from its column's maximum."""
    span = (scores.double().amax(0) - scores.double().amin(0)).max().item() / epsilon
    return torch.finfo(scores.dtype).eps * (20 + 4 * iterations + 4 * span)
