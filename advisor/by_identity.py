"""Keeping what was computed from a thing that never changes, found again by the thing itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class ByIdentity(Generic[K, T]):
    """Results by the identity of what they were computed from: no comparison, no hash of a model.

    Bounded (a full one starts again), and safe with threads: entries are only ever added whole.
    """

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._kept: dict[int, tuple[K, T]] = {}

    def get(self, thing: K, compute: Callable[[K], T]) -> T:
        kept = self._kept.get(id(thing))
        if kept is not None and kept[0] is thing:
            return kept[1]
        result = compute(thing)
        if len(self._kept) >= self._most:
            self._kept = {}
        self._kept[id(thing)] = (thing, result)  # the thing is held, so its id stays its own
        return result
