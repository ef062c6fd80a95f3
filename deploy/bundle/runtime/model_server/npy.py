"""NumPy's own file format as a body: one array in, one array out.

Only arrays of numbers and texts: an array of objects is a pickle, and is neither read nor written.
Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (read 2026-11-23).
"""

from __future__ import annotations

import io
import math
import tokenize
import warnings

import numpy as np

from .errors import RequestError
from .values import Output

MAGIC = b"\x93NUMPY"
TYPE = b"application/x-npy"
MOST_HEADER_BYTES = 4096
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read(body: bytes) -> np.ndarray:
    """The array, read-only. Raises RequestError 400 for what is no such file, 422 for objects."""
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _READERS:
            raise ValueError(f"its version is {version[0]}.{version[1]}; 1.0 and 2.0 are read")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header as Python 2 wrote it is read all the same
            shape, by_column, dtype = _READERS[version](stream, max_header_size=MOST_HEADER_BYTES)
    except (
        ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError, UnicodeError,
        tokenize.TokenError,
    ) as broken:  # fmt: skip
        said = " ".join(str(broken).split())[:120]
        raise RequestError(400, "npy", f"the NPY body cannot be read: {said}") from broken
    if dtype.hasobject:
        raise RequestError(
            422, "npy", "the NPY array holds Python objects, which are a pickle and never read; "
            "send numbers or texts, or send the rows as JSON",
        )  # fmt: skip
    if dtype.kind not in "fiubUS":
        raise RequestError(422, "npy", f"the NPY array is of {dtype}; it holds numbers or texts")
    held = memoryview(body)[stream.tell() :]
    # Counted before any room is made: a header can claim whatever it likes.
    needed = math.prod(shape) * dtype.itemsize
    if any(side < 0 for side in shape) or needed != len(held):
        raise RequestError(
            400, "npy", f"the NPY header says shape {shape} of {dtype}, which is {needed} bytes, "
            f"and {len(held)} follow",
        )  # fmt: skip
    if not dtype.itemsize or not needed:
        return np.empty((0,), dtype)
    return np.frombuffer(held, dtype).reshape(shape, order="F" if by_column else "C")


def write(output: Output) -> bytes:
    """The labels or values; the probabilities where only those were asked for. Raises RequestError
    406 where they make no array."""
    answer = output.probabilities if output.values is None else output.values
    try:
        array = np.asarray(answer)
        if array.dtype.hasobject:
            array = np.asarray(array.tolist())  # labels that are texts
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, allow_pickle=False)
    except ValueError as ragged:
        raise RequestError(
            406, "accept", "the answer is no array of numbers or texts; leave out "
            "Accept: application/x-npy",
        ) from ragged  # fmt: skip
    return stream.getvalue()
