"""The prototype kernels for isa_suite.py: checked here, returned in units of the tolerance."""

import numpy as np
import torch

from ipse.functional import sinkhorn, soft_cross_entropy
from tests.prototype_cases import (
    HALF,
    TOLERANCE,
    Case,
    assert_gradient,
    assert_rows,
    codes_tolerance,
    exact,
    make_views,
    row_weights,
)
from tests.reference import prototypes as reference

# Below, at and above one register of each level (2 to 16 lanes), four of them, and many.
SHAPES = [(3, 1), (5, 7), (4, 16), (6, 67), (3, 2053)]


def cross_entropies() -> dict[str, np.ndarray]:
    results = {}
    for shape in SHAPES:
        for kind in ("logits", "probabilities"):
            for dtype in (torch.float32, torch.float64, *HALF):
                case = Case(*shape, dtype, kind)
                leaf = case.student.clone().requires_grad_()
                rows = soft_cross_entropy(leaf, case.target, **case.keywords, reduction="none")
                weights = row_weights(case.samples).to(rows.dtype)
                (gradient,) = torch.autograd.grad(rows, leaf, weights)
                wanted = exact(case)
                assert_rows(case, rows.detach(), TOLERANCE[rows.dtype], wanted)
                if dtype not in HALF:
                    unit = TOLERANCE[dtype]
                    assert_gradient(gradient, unit, wanted)
                    key = f"soft_cross_entropy {kind} {shape} {dtype}"
                    values = rows.detach().double() / (unit * wanted.row_size)
                    results[f"{key} rows"] = values.numpy()
                    results[f"{key} gradient"] = (
                        gradient.double() / (unit * wanted.gradient_size)
                    ).numpy()
    return results


def codes() -> dict[str, np.ndarray]:
    results = {}
    for samples, prototypes in SHAPES:
        for dtype in (torch.float32, torch.float64):
            scores = make_views(1, 4 * samples, prototypes, dtype)[0]
            scores[1] -= 20  # a row that underflows in float32
            unit = codes_tolerance(scores, iterations=5)
            got = sinkhorn(scores, iterations=5)
            wanted = reference.sinkhorn(scores.double(), iterations=5)
            assert bool(((got - wanted).abs() <= unit).all())
            key = f"sinkhorn {(samples, prototypes)} {dtype}"
            results[key] = (got.double() / unit).numpy()
    return results
