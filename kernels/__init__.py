"""Triton kernels for CUDA tensors, one module per engine.

None has been written yet: on a CUDA device the operations run their plain PyTorch
formula (``ipse.ops.formulas``), which uses the same algebra through cuBLAS.
"""

from importlib.util import find_spec

__all__ = ["triton_available"]


def triton_available() -> bool:
    """Whether the ``triton`` package is installed. Does not import it."""
    return find_spec("triton") is not None
