"""What every test may use: hypothesis profiles, seeded randomness, restored thread counts."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

# Generated examples are the same on every run, so that a red run can be repeated;
# the nightly profile looks further and at other examples every time.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly", settings.get_profile("ci"), derandomize=False, max_examples=1000
)
settings.load_profile(os.environ.get("IPSE_HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def generator() -> torch.Generator:
    """A generator that starts at the same point in every test."""
    return torch.Generator().manual_seed(20210304)


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """Puts torch's thread count back after a test that changes it."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
