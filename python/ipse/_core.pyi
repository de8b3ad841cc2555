"""The compiled core: NumPy arrays in and out, GIL released, no torch.

Arrays are float32, float64, float16, or bfloat16 as its uint16 bit patterns, of any
strides unless said otherwise. ``num_threads=0`` is the OpenMP default; at most 8 for each
processor are used. Results must not overlap other arguments.
"""

from typing import Any, TypedDict

import numpy as np

_Array = np.ndarray[Any, Any]

class BuildInfo(TypedDict):
    version: str
    isa: str
    isas_compiled: str
    compiler: str
    openmp: str
    max_threads: int

def build_info() -> BuildInfo: ...
def gemm(
    left: _Array,
    right: _Array,
    out: _Array,
    *,
    symmetric: bool = False,
    accumulate: bool = False,
    num_threads: int = 0,
) -> None: ...
def barlow_twins_forward(
    view1: _Array,
    view2: _Array,
    lambda_param: float,
    eps: float,
    side: str,
    moments: _Array | None = None,
    num_threads: int = 0,
) -> float: ...
def barlow_twins_backward(
    view1: _Array,
    view2: _Array,
    moments: _Array,
    grad: float,
    lambda_param: float,
    eps: float,
    side: str,
    grad_view1: _Array | None = None,
    grad_view2: _Array | None = None,
    num_threads: int = 0,
) -> None: ...
def vicreg_forward(
    view1: _Array,
    view2: _Array,
    lambda_param: float,
    mu_param: float,
    nu_param: float,
    eps: float,
    side: str,
    moments: _Array | None = None,
    num_threads: int = 0,
) -> float: ...
def vicreg_backward(
    view1: _Array,
    view2: _Array,
    moments: _Array,
    grad: float,
    lambda_param: float,
    mu_param: float,
    nu_param: float,
    eps: float,
    side: str,
    grad_view1: _Array | None = None,
    grad_view2: _Array | None = None,
    num_threads: int = 0,
) -> None: ...
def topk_similarity(
    x: _Array,
    y: _Array,
    values: _Array,
    indices: _Array,
    metric: str,
    row_ids: _Array | None = None,
    column_ids: _Array | None = None,
    row_labels: _Array | None = None,
    column_labels: _Array | None = None,
    num_threads: int = 0,
) -> None: ...
def gathered_dot(
    x: _Array, y: _Array, indices: _Array, out: _Array, num_threads: int = 0
) -> None: ...
def gathered_sum(
    weights: _Array, indices: _Array, y: _Array, out: _Array, num_threads: int = 0
) -> None: ...
def scattered_sum(
    weights: _Array, indices: _Array, x: _Array, out: _Array, num_threads: int = 0
) -> None: ...
def nearest_centroid(
    points: _Array, centroids: _Array, labels: _Array, distances: _Array, num_threads: int = 0
) -> None: ...
def kmeans(
    points: _Array,
    centroids: _Array,
    labels: _Array,
    max_iterations: int,
    tolerance: float,
    spherical: bool = False,
    num_threads: int = 0,
) -> tuple[float, int]: ...
def kmeans_plus_plus(points: _Array, seed: int, indices: _Array, num_threads: int = 0) -> None: ...
def farthest_points(
    points: _Array, start: int, indices: _Array, distances: _Array, num_threads: int = 0
) -> None: ...
