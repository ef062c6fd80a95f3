"""Who goes first on the server: the verdict that somebody waits for. Knows no Streamlit.

All sessions share one interpreter. Left to themselves, ten pages that are drawn at once each come
ten times later; here one verdict is made after the other, and the rest of a page waits for them.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager

# Both only bound the courtesy: who waited so long goes on beside the others.
_LONGEST_TURN_S = 2.0
_LONGEST_WAIT_S = 0.3


class Turns:
    """One verdict at a time, in the order in which they were asked; all else gives way to them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0  # the number that the next one draws
        self._waiting: list[int] = []  # numbers drawn and not finished, the oldest first
        self._own = threading.local()  # `number`: what this thread has drawn

    @contextmanager
    def first(self) -> Iterator[None]:
        """For the part of a page that somebody waits for; waits for those who came before."""
        with self._changed:
            number, self._next = self._next, self._next + 1
            self._waiting.append(number)
            self._changed.wait_for(lambda: self._waiting[0] == number, _LONGEST_TURN_S)
        self._own.number = number
        try:
            yield
        finally:
            self._own.number = None
            with self._changed:
                self._waiting.remove(number)
                self._changed.notify_all()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within `first`: while another process works for it, the others go on; then its turn again."""
        number: int | None = getattr(self._own, "number", None)
        if number is None:
            yield
            return
        with self._changed:
            self._waiting.remove(number)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                insort(self._waiting, number)
                self._changed.wait_for(lambda: self._waiting[0] == number, _LONGEST_TURN_S)

    def give_way(self) -> None:
        """For all other parts: wait while somebody's verdict is being made, a moment at most."""
        if not self._waiting:
            return  # without the lock: a look that comes too early or too late does no harm
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, _LONGEST_WAIT_S)


TURNS = Turns()
