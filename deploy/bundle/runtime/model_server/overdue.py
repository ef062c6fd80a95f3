"""Ends calls of the model that do not come to an end.

A graph may loop for as long as a number in the request says, a pattern in a text step may try for
years. Who answers on the event loop leaves everybody deaf meanwhile, so there the limit is short.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol, runtime_checkable

from .errors import RequestError
from .log import Log

LOOP_LIMIT_S = 60.0  # a call that was expected to take two milliseconds
ABANDONED_S = 60.0  # of a call that nobody waits for any more
GRACE_S = 5.0  # from being told to stop until it has
LOOK_S = 1.0

Stop = Callable[[], None]


@runtime_checkable
class Stoppable(Protocol):
    """A model whose library can be told from another thread to give a call up."""

    def stopper(self) -> Stop:
        """What ends the calls that this thread makes from now on, as long as it takes no other."""


class OverdueError(Exception):
    """Raised within a call of Python code that has taken too long."""


def too_slow(limit_s: float) -> RequestError:
    return RequestError(
        504, "too_slow",
        f"the model had no answer after {limit_s:,.0f} s and was given up; look at what "
        "is special about these rows, or send fewer at once",
    )  # fmt: skip


def stopper_of(model: object) -> Stop | None:
    return model.stopper() if isinstance(model, Stoppable) else None


class OnLoop:
    """Watches the calls that are made on the event loop, from a thread beside it.

    What can be told to stop is told: ONNX Runtime by its own switch, Python by an exception. If
    that does not help, the process ends, so that another one is started. All methods belong to the
    thread of the loop, the main one.
    """

    def __init__(self, model: object, limit_s: float, log: Log) -> None:
        self.limit_s = min(limit_s, LOOP_LIMIT_S)
        self._model, self._log = model, log
        self._began = 0.0  # of the call that runs (`time.perf_counter`); 0: none does
        self._told = False  # it was told to stop
        self._stop: Stop | None = None
        self._ended: threading.Event | None = None

    def begin(self, now: float) -> None:
        if self._ended is None:
            self._ended = threading.Event()
            self._start(self._ended)
        self._began = now

    def end(self) -> bool:
        """Whether the call that has ended was told to."""
        self._began = 0.0
        if not self._told:
            return False
        self._told, self._stop = False, stopper_of(self._model)
        return True

    def close(self) -> None:
        if self._ended is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._ended.set()

    def _start(self, ended: threading.Event) -> None:
        self._stop = stopper_of(self._model)
        look_s = min(LOOK_S, self.limit_s / 4)
        if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
            # Python looks at signals within its own loops, and within its regular expressions.
            signal.signal(signal.SIGALRM, self._raise)
            signal.setitimer(signal.ITIMER_REAL, look_s, look_s)
        threading.Thread(
            target=self._watch, args=(ended, look_s), name="overdue", daemon=True
        ).start()

    def _for_s(self) -> float:
        """How long the call that runs has taken; 0 when none does."""
        began = self._began
        return time.perf_counter() - began if began else 0.0

    def _raise(self, _signal: int, _frame: FrameType | None) -> None:
        if self._for_s() > self.limit_s and not self._told:
            self._told = True
            raise OverdueError

    def _watch(self, ended: threading.Event, look_s: float) -> None:
        while not ended.wait(look_s):
            took = self._for_s()
            if took > self.limit_s and self._stop is not None and not self._told:
                self._told = True
                self._stop()
            elif took > self.limit_s + GRACE_S:
                self._log.event(
                    "prediction does not end", "error", seconds=round(took),
                    because="it cannot be stopped from outside, so this process ends",
                )  # fmt: skip
                self._log.flush()
                os._exit(1)
