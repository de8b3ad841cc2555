"""The crops for isa_suite.py: checked here, returned in units of the tolerance."""

import numpy as np
import torch

from tests.crop_cases import HALF, KINDS, LAYOUTS, SIZES, TOLERANCE, Kind, make_images


def crops() -> dict[str, np.ndarray]:
    results = {}
    for kind in KINDS:
        for size, small in SIZES[1:]:
            for dtype in TOLERANCE:
                x = make_images((2, 3, *size), dtype)
                leaf = x.clone().requires_grad_()
                got = kind.function(leaf, small)
                exact = x.double().requires_grad_()
                wanted = kind.oracle(exact, *small)
                weights = make_images((2, 3, *small), dtype, seed=1)
                gradient = torch.autograd.grad(got, leaf, weights)[0].double()
                wanted_gradient = torch.autograd.grad(wanted, exact, weights.double())[0]
                unit = TOLERANCE[dtype] * 5  # the largest entries of image and weights are about 5
                assert (got.detach().double() - wanted).abs().max() <= unit
                assert (gradient - wanted_gradient).abs().max() <= unit
                key = f"{kind.name} {size} {small} {dtype}"
                results[f"{key} values"] = (got.detach().double() / unit).numpy()
                results[f"{key} gradient"] = (gradient / unit).numpy()
        _layouts_and_storage(kind)
    return results


def _layouts_and_storage(kind: Kind) -> None:
    for dtype in (torch.uint8, *HALF):
        for layout in LAYOUTS.values():
            x = make_images((2, 3, 21, 38), dtype)
            wide = x.double() / 255 if dtype is torch.uint8 else x.double()
            got = kind.function(layout(x), (12, 17), mean=0.5, std=[1.0, 0.5, 2.0])
            std = torch.tensor([1.0, 0.5, 2.0]).view(3, 1, 1)
            wanted = kind.oracle((wide - 0.5) / std, 12, 17)
            bound = HALF.get(dtype, 0.0) * wanted.abs() + 1e-4
            assert bool(((got.double() - wanted).abs() <= bound).all())
