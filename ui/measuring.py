"""Models that are being measured, one after the other. Knows no Streamlit.

The work itself is in processes of its own; the thread here waits for it and keeps how far it is,
so that a refresh or a second viewer of the same model finds the same measuring under way.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from advisor.errors import AdvisorError, InputError
from deploy.acceptance import Decision
from deploy.artifact import safe_name
from deploy.measure import measure
from deploy.measurement import Measurement

MOST_WAITING = 8
_LOG = logging.getLogger(__name__)
_KEPT = 64


@dataclass
class Measuring:
    """One measuring. `found` or `error` is set when it is over."""

    digest: str
    what: str = "Waiting for its turn"
    share: float = 0.0
    found: Measurement | None = None
    error: str | None = None
    stopped: bool = False

    @property
    def is_over(self) -> bool:
        return self.found is not None or self.error is not None


# One at a time: two models timed together would slow each other down.
_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="measuring")
_all: OrderedDict[str, Measuring] = OrderedDict()
_lock = threading.Lock()


def start(
    digest: str,
    model: Path,
    sample: tuple[str, bytes] | None,
    decision: Decision | None = None,
) -> Measuring:
    """Measure the model, or join the measuring of it that is under way.

    `sample`: name and content of a file of rows. `decision`: that unknown code is loaded with it.

    Raises InputError when too many wait already.
    """
    with _lock:
        now = _all.get(digest)
        if now is not None and not (now.is_over or now.stopped):
            return now  # one that was stopped is on its way out: this one waits for its turn
        if sum(not m.is_over for m in _all.values()) >= MOST_WAITING:
            raise InputError(f"{MOST_WAITING} models wait to be measured already; try again later")
        fresh = Measuring(digest)
        _all[digest] = fresh
        _all.move_to_end(digest)
        while len(_all) > _KEPT:
            _all.popitem(last=False)
    _worker.submit(_run, fresh, model, sample, decision)
    return fresh


def of(digest: str) -> Measuring | None:
    """The measuring of this model that is under way or was last done since the app started."""
    with _lock:
        return _all.get(digest)


def stop(digest: str) -> None:
    """Let the measuring of this model end; it says so itself within about a second."""
    now = of(digest)
    if now is not None:
        now.stopped = True


def _run(
    now: Measuring, model: Path, sample: tuple[str, bytes] | None, decision: Decision | None
) -> None:
    def tell(what: str, share: float) -> None:
        now.what, now.share = what, share

    try:
        with tempfile.TemporaryDirectory(prefix="sample-") as folder:
            rows = None
            if sample is not None:
                rows = Path(folder) / safe_name(sample[0])
                rows.write_bytes(sample[1])
            now.found = measure(
                model, sample=rows, decision=decision, progress=tell, cancelled=lambda: now.stopped
            )
    except AdvisorError as error:
        now.error = str(error)
    except Exception:  # noqa: BLE001 - whatever it is, it is logged and the page is told
        # Not an error of ours to explain: the log has it, and the page must not wait for ever.
        _LOG.exception("Measuring %s ended unexpectedly", model.name)
        now.error = "measuring ended unexpectedly; the app's log says why"
