"""The idx format of MNIST and Fashion-MNIST: a small header, then one array.

Two zero bytes, one byte for the element type, one for the number of dimensions, a big-endian 32-bit
size per dimension, then the elements in C order. Source: Y. LeCun's description of the MNIST files.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipse.data.dataset import DataError

__all__ = ["read_idx"]

_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path) -> NDArray[np.generic]:
    """Reads an idx file, gzip-compressed or not (told apart by content, not by name).

    Args:
        path: The file.

    Returns:
        A new writable array in native byte order, of the shape and element type the file states.

    Raises:
        DataError: The file cannot be read, is damaged, is no idx file, or is longer or shorter
            than its header says. The message names the file and what is wrong.
    """
    content = _read(path)
    if len(content) < 4:
        raise DataError(f"{path}: truncated: {len(content)} bytes, an idx header has at least 4")
    zeros, code, ndim = struct.unpack_from(">HBB", content)
    if zeros != 0 or code not in _TYPES:
        raise DataError(f"{path}: not an idx file: it begins with bytes {content[:4].hex(' ')}")
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataError(
            f"{path}: truncated: {len(content)} bytes, the header of a {ndim}-dimensional idx "
            f"file has {start}"
        )
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    dtype = _TYPES[code]
    # Python integers: a header that lies about its sizes cannot overflow this comparison, and
    # nothing is allocated before it.
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        verdict = "truncated" if len(content) < expected else "too long"
        raise DataError(
            f"{path}: {verdict}: {len(content)} bytes, but shape {list(shape)} of {dtype.name} "
            f"needs {expected}"
        )
    elements = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return elements.astype(dtype.newbyteorder("="))


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file: {error}") from error
