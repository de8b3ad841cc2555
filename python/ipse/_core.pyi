"""The compiled core: NumPy arrays in and out, GIL released, no torch.

Arrays are float32, float64, float16, or bfloat16 as its uint16 bit patterns, of any
strides unless said otherwise. ``num_threads=0`` is the OpenMP default; at most 8 for each
processor are used. Results must not overlap other arguments.
"""

from collections.abc import Sequence
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
def exponential(values: _Array, out: _Array) -> None: ...
def log1p_unit(values: _Array, out: _Array) -> None: ...
def fourier_crop_forward(
    x: _Array,
    cropped: _Array,
    scale: Sequence[float] | None = None,
    shift: Sequence[float] | None = None,
    num_threads: int = 0,
) -> None: ...
def fourier_crop_backward(
    grad: _Array, grad_x: _Array, scale: Sequence[float] | None = None, num_threads: int = 0
) -> None: ...
def lanczos_crop_forward(
    x: _Array,
    cropped: _Array,
    scale: Sequence[float] | None = None,
    shift: Sequence[float] | None = None,
    num_threads: int = 0,
) -> None: ...
def lanczos_crop_backward(
    grad: _Array, grad_x: _Array, scale: Sequence[float] | None = None, num_threads: int = 0
) -> None: ...
def crop_operator_cache() -> tuple[int, int]:
    """How many operators of crops are kept, and their bytes."""

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
def softmax_forward(
    rows: list[_Array],
    columns: list[_Array],
    scale: _Array,
    normalize: bool,
    exclude: str,
    samples: int,
    mean: bool,
    row_sums: _Array,
    column_sums: _Array | None = None,
    expected: _Array | None = None,
    num_threads: int = 0,
) -> None: ...
def softmax_backward(
    rows: list[_Array],
    columns: list[_Array],
    scale: _Array,
    normalize: bool,
    exclude: str,
    samples: int,
    row_sums: _Array,
    column_sums: _Array | None,
    row_weights: _Array,
    positive_weights: _Array,
    column_weights: _Array | None,
    grad_rows: list[_Array | None],
    grad_columns: list[_Array | None],
    num_threads: int = 0,
) -> None: ...
def sigmoid_forward(
    rows: _Array,
    columns: _Array,
    scale: float,
    bias: float,
    samples: int,
    num_threads: int = 0,
) -> float: ...
def sigmoid_backward(
    rows: _Array,
    columns: _Array,
    scale: float,
    bias: float,
    samples: int,
    grad: float,
    grad_rows: _Array | None = None,
    grad_columns: _Array | None = None,
    num_threads: int = 0,
) -> tuple[float, float]: ...
def soft_cross_entropy_forward(
    students: Sequence[_Array],
    targets: Sequence[_Array],
    center: _Array | None,
    pair_weights: Sequence[float],
    student_temperature: float,
    teacher_temperature: float | None,
    losses: _Array,
    num_threads: int = 0,
) -> None: ...
def soft_cross_entropy_backward(
    students: Sequence[_Array],
    targets: Sequence[_Array],
    center: _Array | None,
    pair_weights: Sequence[float],
    student_temperature: float,
    teacher_temperature: float | None,
    grad_losses: _Array,
    grad_students: Sequence[_Array | None],
    num_threads: int = 0,
) -> None: ...
def sinkhorn(
    scores: _Array, codes: _Array, epsilon: float, iterations: int, num_threads: int = 0
) -> None: ...
def scattering2d_forward(
    planes: _Array,
    scales: int,
    angles: int,
    order: int,
    wavelets: _Array,
    lowpass_rows: _Array,
    lowpass_cols: _Array,
    out: _Array,
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
def band_filter(
    planes: _Array,
    height: int,
    mask: _Array,
    keep: float,
    out: _Array,
    num_threads: int = 0,
) -> None: ...
def band_energy(
    planes: _Array,
    height: int,
    mask: _Array,
    energy: _Array,
    num_threads: int = 0,
) -> None: ...
def style_amplitude_forward(
    planes: _Array,
    height: int,
    half_rows: int,
    half_columns: int,
    amplitude: _Array,
    num_threads: int = 0,
) -> None: ...
def style_amplitude_backward(
    planes: _Array,
    height: int,
    half_rows: int,
    half_columns: int,
    grad: _Array,
    grad_planes: _Array,
    num_threads: int = 0,
) -> None: ...
def style_standardize_forward(
    planes: _Array,
    height: int,
    half_rows: int,
    half_columns: int,
    amplitude: _Array,
    eps: float,
    out: _Array,
    num_threads: int = 0,
) -> None: ...
def style_standardize_backward(
    grad: _Array,
    planes: _Array,
    height: int,
    half_rows: int,
    half_columns: int,
    amplitude: _Array,
    eps: float,
    grad_planes: _Array | None = None,
    grad_amplitude: _Array | None = None,
    num_threads: int = 0,
) -> None: ...
def channel_response_forward(
    x: _Array,
    channels_last: bool,
    scale: _Array,
    shift: _Array,
    mask: _Array,
    activation: str,
    pool: str,
    out: _Array,
    response: _Array,
    pooled: _Array,
    num_threads: int = 0,
) -> None: ...
def channel_response_backward(
    grad_out: _Array | None,
    grad_response: _Array | None,
    grad_pooled: _Array | None,
    x: _Array,
    channels_last: bool,
    scale: _Array,
    shift: _Array,
    mask: _Array,
    activation: str,
    pool: str,
    grad_x: _Array,
    grad_scale: _Array,
    grad_shift: _Array,
    num_threads: int = 0,
) -> None: ...
def mass_topk_mask(
    response: _Array,
    mass: float,
    mask: _Array,
    counts: _Array,
    keep_at_least: int = 0,
    num_threads: int = 0,
) -> None: ...
def mass_curve(
    response: _Array,
    grid: Sequence[float],
    counts: _Array,
    keep_at_least: int = 0,
    num_threads: int = 0,
) -> None: ...
def uniform_topk_mask(
    response: _Array,
    most: int,
    mask: _Array,
    counts: _Array,
    keep_at_least: int = 0,
    num_threads: int = 0,
) -> None: ...
def random_subsets(seed: int, num_tokens: int, indices: _Array, num_threads: int = 0) -> None: ...
def gather_tokens(x: _Array, indices: _Array, out: _Array, num_threads: int = 0) -> None: ...
def add_tokens(tokens: _Array, indices: _Array, out: _Array, num_threads: int = 0) -> None: ...
def scatter_tokens(
    tokens: _Array, indices: _Array, fill: _Array, out: _Array, num_threads: int = 0
) -> None: ...

class SearchForest:
    def __init__(self, num_trees: int, rules: dict[str, Any]) -> None: ...
    def select(self, width: int, limit: int, num_threads: int = 0) -> tuple[_Array, ...]: ...
    def tell(
        self, tickets: _Array, values: _Array, children: dict[str, Any], num_threads: int = 0
    ) -> int: ...
    def expand(self, tickets: _Array, children: dict[str, Any], num_threads: int = 0) -> int: ...
    def backup(
        self,
        tickets: _Array,
        values: _Array,
        rollouts: _Array | None = None,
        num_threads: int = 0,
    ) -> int: ...
    def cancel(self, tickets: _Array) -> None: ...
    def reroot(self, tree: int, action: int) -> _Array: ...
    def set_root_gumbel(self, tree: int, gumbel: _Array) -> None: ...
    def root_gumbel(self, tree: int) -> tuple[_Array, _Array]: ...
    def set_keys(self, keys: _Array) -> None: ...
    def root_statistics(self) -> dict[str, _Array]: ...
    def counters(self) -> _Array: ...
    def arrays(self, tree: int) -> dict[str, _Array]: ...
    def restore(self, tree: int, arrays: dict[str, _Array]) -> None: ...
    def memory_bytes(self) -> int: ...

def process_rewards(
    parents: _Array, ended: _Array, correct: _Array
) -> tuple[_Array, _Array, _Array]: ...
