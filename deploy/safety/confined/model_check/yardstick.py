"""Four small pieces of work that say how fast one thread of this machine is.

Fixed for good: the times that they took on a machine of known speed are data of the product
(`deploy/data/measuring.yaml`), so a change here makes those figures worthless.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

ROUNDS = 15


def run() -> dict[str, float]:
    """Seconds of processor time of each piece: the best of some rounds."""
    found = dict.fromkeys(_PIECES, float("inf"))
    for _ in range(ROUNDS):
        for name, piece in _PIECES.items():
            began = time.thread_time()
            piece()
            found[name] = min(found[name], time.thread_time() - began)
    return found


def _interpreter() -> None:
    total, seen = 0, {}
    for i in range(60_000):
        total += i * i % 7
        seen[i & 1023] = total


def _vectors() -> None:
    for _ in range(60):
        np.sqrt(np.abs(np.sin(_VECTOR) * 1.7 + _VECTOR)).sum()


def _gather() -> None:
    at = _START
    for _ in range(12):
        at = _NEXT[at]


def _matrices() -> None:
    out = _MATRIX
    for _ in range(60):
        out = np.tanh(out @ _MATRIX * 0.01)


_random = np.random.default_rng(7)
_VECTOR = _random.random(4_096)
_NEXT = _random.permutation(1 << 20).astype(np.int64)  # 8 MB: trees jump about in memory
_START = _random.integers(0, 1 << 20, 1 << 14)
_MATRIX = _random.random((160, 160), dtype=np.float32)
_PIECES: dict[str, Callable[[], None]] = {
    "interpreter": _interpreter,
    "vectors": _vectors,
    "gather": _gather,
    "matrices": _matrices,
}
