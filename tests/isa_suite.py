"""A reduced numerical suite, run by test_isa.py in one process per instruction set.

``python -m tests.isa_suite OUT.npz`` checks every kernel against its
reference and writes all results, so that levels can be compared with each other.
"""

import sys

import numpy as np
import torch

from ipse import _core
from tests.crop_isa import crops
from tests.cross_correlation_cases import (
    BARLOW_TWINS,
    SIDES,
    TOLERANCE,
    VICREG,
    assert_matches_oracle,
    make_views,
    oracle,
    value_and_gradients,
)
from tests.exp_isa import functions
from tests.neighbours_isa import clusters, neighbours
from tests.prototype_isa import codes, cross_entropies
from tests.pruning_isa import channel_responses, masks, tokens
from tests.scattering_isa import scattering
from tests.styles_isa import bands, styles

# Below, at and above one panel of each level (4 to 32 columns), and several of them.
SHAPES = [(2, 1), (5, 3), (25, 49), (67, 130)]
PRODUCTS = [(1, 1, 1), (8, 32, 16), (25, 49, 300), (130, 70, 33), (33, 20, 2500)]
HALF = {torch.bfloat16: 2**-8, torch.float16: 2**-11}


def losses() -> dict[str, np.ndarray]:
    results = {}
    for loss in (BARLOW_TWINS, VICREG):
        for side in SIDES:
            for shape in SHAPES:
                for dtype in (torch.float32, torch.float64):
                    views = make_views(*shape, dtype)
                    assert_matches_oracle(loss, *views, side)
                    value, g1, g2 = value_and_gradients(loss.function, *views, side=side)
                    key = f"{loss.name} {side} {shape} {dtype}"
                    sizes = oracle(loss, *views)[3]
                    unit = TOLERANCE[dtype]
                    results[f"{key} value"] = value.double().numpy() / (unit * sizes.value)
                    both = torch.cat([g1, g2]).double().numpy()
                    results[f"{key} gradients"] = both / (unit * sizes.gradient)
                for dtype, rounding in HALF.items():
                    views = make_views(*shape, dtype)
                    _, g1, g2 = value_and_gradients(loss.function, *views, side=side)
                    _, e1, e2, sizes = oracle(loss, *views)
                    for mine, exact in ((g1, e1), (g2, e2)):
                        bound = rounding * exact.abs() + 1e-5 * sizes.gradient + 2**-24
                        assert bool(((mine.double() - exact).abs() <= bound).all())
    return results


def products() -> dict[str, np.ndarray]:
    results = {}
    rng = np.random.default_rng(0)
    for m, n, k in PRODUCTS:
        for dtype in (np.float32, np.float64):
            left, right = rng.standard_normal((m, k)), rng.standard_normal((n, k))
            left, right = left.astype(dtype), right.astype(dtype)
            sizes = np.abs(left).astype(float) @ np.abs(right).astype(float).T
            bound = 64 * np.finfo(dtype).eps * sizes
            for name, a, b in (("rows", left, right), ("columns", left.T.copy().T, right)):
                out = np.empty((m, n), dtype)
                _core.gemm(a, b, out)
                wanted = left.astype(float) @ right.astype(float).T
                assert (np.abs(out - wanted) <= bound).all()
                results[f"gemm {name} {(m, n, k)} {dtype.__name__}"] = out / bound
            square = np.empty((m, m), dtype)
            _core.gemm(left, left, square, symmetric=True)
            whole = np.empty((m, m), dtype)
            _core.gemm(left, left.copy(), whole)
            assert np.array_equal(square, square.T)
            assert np.allclose(square, whole, rtol=0, atol=64 * np.finfo(dtype).eps * k * 16)
    return results


if __name__ == "__main__":
    functions()
    results = (
        losses() | products() | cross_entropies() | codes() | neighbours() | clusters() | crops()
    )
    results = losses() | products() | cross_entropies() | codes() | neighbours() | clusters()
    results |= bands() | styles()
    results |= scattering()
    results |= masks() | channel_responses() | tokens()
    np.savez(sys.argv[1], isa=_core.build_info()["isa"], **results)
