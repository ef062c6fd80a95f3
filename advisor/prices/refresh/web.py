"""Reading the vendors' price lists: retries with growing pauses, and downloads that resume.

The only place in the decision that opens a connection. Every wait is bounded.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from advisor.errors import PriceRefreshError, RefreshCancelledError

ATTEMPTS = 6  # in a row without progress
LONGEST_PAUSE_S = 120.0
TIMEOUT = httpx.Timeout(60.0, connect=20.0)
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_SLICE_S = 0.25  # how soon a pause notices that it was cancelled


def never() -> bool:
    """The answer of a refresh that nobody can cancel."""
    return False


@dataclass
class Web:
    """A client with the manners that public price lists ask for; use it as a context manager.

    `cancelled` is asked between chunks and during pauses; RefreshCancelledError then ends the call.
    """

    cancelled: Callable[[], bool] = never
    pause_s: float = 1.0  # the first pause; each further one is twice as long
    attempts: int = ATTEMPTS
    on_bytes: Callable[[int, int], None] = lambda done, total: None
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=TIMEOUT, follow_redirects=True)
    )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def check(self) -> None:
        """Raises RefreshCancelledError once somebody has cancelled."""
        if self.cancelled():
            raise RefreshCancelledError("the refresh was cancelled; the prices are as they were")

    def json(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """A JSON document. Raises PriceRefreshError: refused, unreachable, cut off, no JSON."""
        failures, problem, asked = 0, "", None
        while failures < self.attempts:
            self._pause(failures, asked)
            failures += 1
            try:
                response = self.client.get(url, params=params, headers=headers)
            except httpx.TransportError as error:
                problem, asked = said(error), None
                failures += isinstance(error, httpx.ConnectError)  # nobody there: give up sooner
                continue
            if response.status_code in _BUSY:
                problem, asked = f"HTTP {response.status_code}", retry_after_s(response)
                continue
            if response.is_error:
                raise PriceRefreshError(f"{shown(url)} answered {_refusal(response)}")
            try:
                return response.json()
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                # A body that was cut short looks like this too: ask again before giving up.
                problem, asked = f"no JSON ({error})", None
        raise PriceRefreshError(_gave_up(url, problem))

    def download(self, url: str, into: Path) -> Path:
        """Fetch a large file into a directory, resuming what an earlier call left there.

        The part file goes on only while the server still has the same version (ETag); otherwise
        it starts over. Raises PriceRefreshError, and OSError when the disk refuses.
        """
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        done, part, tag = into / name, into / f"{name}.part", into / f"{name}.etag"
        if done.exists():
            return done
        failures, asked, problem = 0, None, ""
        while failures < self.attempts:
            self._pause(failures, asked)
            before = part.stat().st_size if part.exists() else 0
            try:
                if self._fetch(url, part, tag):
                    part.replace(done)
                    tag.unlink(missing_ok=True)
                    return done
                problem, asked = "the file was cut short", None
            except _Busy as busy:
                problem, asked = str(busy), busy.retry_after_s
            except httpx.TransportError as error:
                problem, asked = said(error), None
                failures += isinstance(error, httpx.ConnectError)
            after = part.stat().st_size if part.exists() else 0
            failures = 1 if after > before else failures + 1
        raise PriceRefreshError(_gave_up(url, problem))

    def _fetch(self, url: str, part: Path, tag: Path) -> bool:
        """One request; whether the part file is complete afterwards."""
        have = part.stat().st_size if part.exists() and tag.exists() else 0
        # Ranges count the bytes that are stored, so no compression on the way.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text(encoding="utf-8")}
        with self.client.stream("GET", url, headers=headers) as response:
            if response.status_code in _BUSY:
                raise _Busy(f"HTTP {response.status_code}", retry_after_s(response))
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                part.unlink()
                raise _Busy("the part file did not fit the list any more", None)
            if response.is_error:
                response.read()
                raise PriceRefreshError(f"{shown(url)} answered {_refusal(response)}")
            etag = response.headers.get("ETag", "")
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT and have > 0
            if resumed and not _goes_on(response, etag, tag, have):
                part.unlink()
                raise _Busy("the server went on with another version of the list", None)
            if etag and not etag.startswith("W/"):
                tag.write_text(etag, encoding="utf-8")
            else:
                tag.unlink(missing_ok=True)
            start = have if resumed else 0
            length = response.headers.get("Content-Length")
            total = start + int(length) if length and length.isdigit() else 0
            with part.open("ab" if resumed else "wb") as file:
                # As they arrive: what is buffered for a larger chunk would be lost with the line.
                for chunk in response.iter_raw():
                    file.write(chunk)
                    self.on_bytes(file.tell(), total)
                    self.check()
        return not total or part.stat().st_size == total

    def _pause(self, attempt: int, asked_s: float | None) -> None:
        """Wait as the server asked, else twice as long each time, with jitter."""
        self.check()
        if not attempt:
            return
        wait_s = (
            self.pause_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311
            if asked_s is None
            else asked_s
        )
        until = time.monotonic() + min(wait_s, LONGEST_PAUSE_S)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
            self.check()


class _Busy(Exception):
    """Ask again later."""

    def __init__(self, problem: str, retry_after_s: float | None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(problem)


def retry_after_s(response: httpx.Response) -> float | None:
    """The pause that a Retry-After header asks for, in seconds or as a date; None without one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def shown(url: str) -> str:
    """An address fit for a message: without its query, which may carry a key."""
    return str(httpx.URL(url).copy_with(query=None))


def said(error: Exception) -> str:
    """What a transport error says, or its kind where it says nothing."""
    return str(error) or type(error).__name__


def _goes_on(response: httpx.Response, etag: str, tag: Path, have: int) -> bool:
    if etag and etag != tag.read_text(encoding="utf-8"):
        return False
    return bool(response.headers.get("Content-Range", "").startswith(f"bytes {have}-"))


def _refusal(response: httpx.Response) -> str:
    words = " ".join(response.text.split())[:200]
    return f"HTTP {response.status_code}" + (f": {words}" if words else "")


def _gave_up(url: str, problem: str) -> str:
    return (
        f"{shown(url)} could not be read after several attempts ({problem}); try again later, "
        "what was downloaded is kept"
    )
