"""A refresh of the prices beside the page: one at a time, followed by whoever looks.

It runs as a process of its own (the terminal's command), so that reading a price list of hundreds
of MB holds up nobody's page, and so that ending it can leave nothing half done. Knows no Streamlit.
"""

from __future__ import annotations

import atexit
import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from advisor.errors import PriceRefreshError

_STEP = re.compile(r"\[(\d+)/(\d+)\] (.*)")
_END_S = 10


@dataclass(frozen=True)
class Progress:
    """How far a refresh is. `failed` says why it ended without new prices, "" while it has not."""

    provider: str
    regions: tuple[str, ...]
    via: str
    done: int = 0
    total: int = 0
    what: str = "starting"
    is_active: bool = True
    failed: str = ""
    cancelled: bool = False
    machines: int = 0
    rates: int = 0
    kept: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class Refresher:
    """Starts, follows and cancels the refresh of this server."""

    command: Sequence[str] = (sys.executable, "-m", "advisor", "prices", "refresh")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _process: subprocess.Popen[str] | None = None
    _progress: Progress | None = None
    _cancelled: bool = False

    def progress(self) -> Progress | None:
        """The refresh under way, else the last one; None before the first."""
        with self._lock:
            return self._progress

    def start(
        self, provider: str, regions: Sequence[str], via: str = "bulk", *, accept: bool = False
    ) -> None:
        """Begin. Raises PriceRefreshError while another one is under way."""
        with self._lock:
            if self._progress and self._progress.is_active:
                raise PriceRefreshError(
                    f"the prices of {self._progress.provider} are being refreshed; wait or cancel"
                )
            more = ["--region", *regions] if regions else []
            more += ["--accept-jumps"] if accept else []
            more += ["--via", via] if provider == "aws" else []
            process = subprocess.Popen(
                [*self.command, "--provider", provider, "--format", "json", *more],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._process, self._cancelled = process, False
            self._progress = Progress(provider, tuple(regions), via)
        atexit.register(self.cancel)
        threading.Thread(target=self._follow, args=(process,), daemon=True).start()

    def cancel(self) -> None:
        """End the refresh under way; the prices stay as they are."""
        with self._lock:
            process, self._cancelled = self._process, True
        if process is not None and process.poll() is None:
            process.terminate()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for above
        assert process.stderr is not None  # noqa: S101
        out: list[str] = []
        reader = threading.Thread(target=_drain, args=(process.stdout, out), daemon=True)
        reader.start()
        last = ""
        for line in process.stderr:
            found = _STEP.fullmatch(line.strip())
            if found:
                self._change(done=int(found[1]), total=int(found[2]), what=found[3])
            else:
                last = line.strip() or last
        code = process.wait()
        reader.join(timeout=_END_S)
        if code == 0:
            told = json.loads("".join(out))
            self._change(
                is_active=False,
                machines=told["machines"],
                rates=told["rates"],
                kept=len(told["kept"]),
                notes=(*told["accepted"], *told["notes"]),
            )
        elif self._cancelled:
            self._change(is_active=False, failed="it was cancelled", cancelled=True)
        else:
            why = last.removeprefix("advisor: ") or f"its process ended with {code}"
            self._change(is_active=False, failed=why)

    def _change(self, **parts: object) -> None:
        with self._lock:
            if self._progress:
                self._progress = Progress(**(vars(self._progress) | parts))


def _drain(stream: IO[str], into: list[str]) -> None:
    into.extend(stream)


REFRESHER = Refresher()
