"""Long work beside the page, one piece at a time for each kind. Knows no Streamlit.

The thread here waits for processes of its own and keeps how far they are, so that a refresh or a
second viewer finds the same work under way.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from advisor.errors import AdvisorError, InputError

MOST_WAITING = 8
_KEPT = 64
_log = logging.getLogger(__name__)

Found = TypeVar("Found")
Progress = Callable[[str, float], None]
Cancelled = Callable[[], bool]


@dataclass
class Work(Generic[Found]):
    """One piece of work. `found` or `error` is set when it is over."""

    key: str
    what: str = "Waiting for its turn"
    share: float = 0.0
    found: Found | None = None
    error: str | None = None
    stopped: bool = False

    @property
    def is_over(self) -> bool:
        return self.found is not None or self.error is not None


class Background(Generic[Found]):
    """Work of one kind: `name` is for the log and for sentences ("load tests")."""

    def __init__(self, name: str) -> None:
        self._name = name
        # One at a time: two measurements together would disturb each other.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name.replace(" ", "-"))
        self._all: OrderedDict[str, Work[Found]] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, key: str, job: Callable[[Progress, Cancelled], Found]) -> Work[Found]:
        """Begin the work, or join the one of this key. Raises InputError when too many wait."""
        with self._lock:
            now = self._all.get(key)
            if now is not None and not (now.is_over or now.stopped):
                return now  # one that was stopped is on its way out: this one waits for its turn
            if sum(not w.is_over for w in self._all.values()) >= MOST_WAITING:
                raise InputError(f"{MOST_WAITING} {self._name} wait already; try again later")
            fresh: Work[Found] = Work(key)
            self._all[key] = fresh
            self._all.move_to_end(key)
            while len(self._all) > _KEPT:
                self._all.popitem(last=False)
        self._worker.submit(self._run, fresh, job)
        return fresh

    def of(self, key: str) -> Work[Found] | None:
        """The work of this key that is under way or was last done since the app started."""
        with self._lock:
            return self._all.get(key)

    def stop(self, key: str) -> None:
        """Let the work of this key end; it says so itself."""
        now = self.of(key)
        if now is not None:
            now.stopped = True

    def forget(self) -> None:
        """For tests: nothing was done yet."""
        with self._lock:
            self._all.clear()

    def _run(self, now: Work[Found], job: Callable[[Progress, Cancelled], Found]) -> None:
        def tell(what: str, share: float) -> None:
            now.what, now.share = what, share

        try:
            now.found = job(tell, lambda: now.stopped)
        except AdvisorError as error:
            now.error = str(error)
        except Exception:  # noqa: BLE001 - a thread's exception would vanish; it is logged and said
            _log.exception("%s: %s ended unexpectedly", self._name, now.key)
            now.error = "it ended unexpectedly; the app's log says why"
