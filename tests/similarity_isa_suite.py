"""A reduced suite of the similarity engine, run by test_similarity_isa.py once per instruction set.

``python -m tests.similarity_isa_suite OUT.npz`` checks every operator against its reference
and writes values and gradients, so that levels can be compared with each other.
"""

import sys

import numpy as np
import torch

from ipse import _core
from ipse.functional import similarity_logsumexp
from tests.similarity_cases import (
    CASES,
    SUMS,
    assert_matches_reference,
    inputs_for,
    value_and_gradients,
)

# Below, at and above one panel of each level (4 to 48 columns), and several of them.
SHAPES = [(2, 1), (5, 3), (25, 49), (67, 130)]


def results() -> dict[str, np.ndarray]:
    found = {}
    for case in CASES:
        for shape in SHAPES:
            for dtype in (torch.float32, torch.float64):
                inputs = inputs_for(case, *shape, dtype)
                assert_matches_reference(case, inputs)
                value, gradients = value_and_gradients(case, inputs)
                key = f"{case.name} {shape} {dtype}"
                found[f"{key} value"] = value.double().numpy()
                found[f"{key} gradients"] = torch.cat(gradients).double().numpy()
    return found | results_with_constant_columns()


def results_with_constant_columns() -> dict[str, np.ndarray]:
    """The gradient by the rows as it is made on the way forward."""
    found = {}
    for shape in SHAPES:
        for temperature in (0.01, 0.5):
            query, queue = inputs_for(SUMS, *shape, torch.float64)
            query.requires_grad_()
            value = similarity_logsumexp(query, queue, temperature).logsumexp.sum()
            (gradient,) = torch.autograd.grad(value, query)
            found[f"constant columns {shape} {temperature}"] = gradient.numpy()
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], isa=_core.build_info()["isa"], **results())
