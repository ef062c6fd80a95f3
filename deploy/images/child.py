"""One command of a container engine: its lines as they come, a secret by its input, an end to it."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import psutil

from advisor.errors import DeployError

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f]")
TOLD_LINE_CHARACTERS = 300
TOLD_LINES_ON_FAILURE = 5
LONGEST_READ = 1 << 16
SILENCE_S = 5.0  # after this long without a line the caller is asked whether to go on
TIDY_GRACE_S = 5.0
TERM_GRACE_S = 10.0
KILL_GRACE_S = 5.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, its standard output, the last lines of all that it said, and
    the last of those on standard error."""

    code: int
    output: str
    tail: tuple[str, ...]
    errors: tuple[str, ...]


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    limit_s: float,
    given: str | None = None,
    merged: bool = False,
    line: Tell = lambda _: None,
    silence: Callable[[float], None] = lambda _: None,
) -> Ended:
    """Run to the end; `line` gets each line, `silence` the seconds so far every so often.

    `given` goes to the command's input and nowhere else. With `merged` both its streams are one, in
    the order in which it wrote. Whatever `line` or `silence` raises, and
    a limit passed, ends the command with all that it started. Raises DeployError when the command
    cannot be started or takes longer than `limit_s`.
    """
    try:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            start_new_session=True,  # a group of its own, to be ended as a whole
        )
    except OSError as error:
        raise DeployError(f"{command[0]} cannot be started: {error.strerror}") from None
    lines: queue.Queue[tuple[str, str] | None] = queue.Queue()
    try:
        readers = [
            threading.Thread(target=_read, args=(name, pipe, lines), daemon=True)
            for name, pipe in (("out", process.stdout), ("err", process.stderr))
            if pipe is not None
        ]
        for reader in readers:
            reader.start()
        if given is not None:
            _give(process, given)
        output, tail, errors = _followed(process, lines, len(readers), limit_s, line, silence)
        return Ended(process.wait(timeout=KILL_GRACE_S), output, tail, errors)
    except subprocess.TimeoutExpired:
        raise DeployError(f"{_named(command)} said its last word and did not end") from None
    finally:
        if process.poll() is None:
            _end(process)


def clean(line: str) -> str:
    """A line fit for an event: no control characters, one line, not too long."""
    text = " ".join(CONTROL.sub(" ", line).split())
    return text if len(text) <= TOLD_LINE_CHARACTERS else text[: TOLD_LINE_CHARACTERS - 1] + "…"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command politely, then for good, and whatever it started with it.

    First what it started, or is about to: an engine whose build step died tidies up after itself,
    and one that is ended itself leaves its working containers.
    """
    until = time.monotonic() + TIDY_GRACE_S
    while process.poll() is None and time.monotonic() < until:
        for started in _started_by(process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself
                started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):  # then once more
            process.wait(timeout=0.1)
    for what, grace_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, KILL_GRACE_S)):
        with contextlib.suppress(ProcessLookupError):  # the whole group has ended
            os.killpg(process.pid, what)
        with contextlib.suppress(subprocess.TimeoutExpired):  # then the next, harder signal
            process.wait(timeout=grace_s)


def _started_by(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _followed(
    process: subprocess.Popen[bytes],
    lines: queue.Queue[tuple[str, str] | None],
    open_pipes: int,
    limit_s: float,
    line: Tell,
    silence: Callable[[float], None],
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    began = time.monotonic()
    output: list[str] = []
    tail: deque[str] = deque(maxlen=TOLD_LINES_ON_FAILURE)
    errors: deque[str] = deque(maxlen=TOLD_LINES_ON_FAILURE)
    while open_pipes:
        spent_s = time.monotonic() - began
        if spent_s > limit_s:
            raise DeployError(
                f"{_named(process.args)} has not ended within {limit_s / 60:.0f} minutes"
            )
        try:
            got = lines.get(timeout=min(SILENCE_S, max(0.01, limit_s - spent_s)))
        except queue.Empty:
            if process.poll() is not None:  # something that it left behind holds its pipes
                break
            silence(time.monotonic() - began)
            continue
        if got is None:
            open_pipes -= 1
            continue
        source, text = got
        if source == "out":
            output.append(text)
        if cleaned := clean(text):
            tail.append(cleaned)
            if source == "err":
                errors.append(cleaned)
            line(cleaned)
    return "".join(output), tuple(tail), tuple(errors)


def _read(name: str, pipe: IO[bytes], lines: queue.Queue[tuple[str, str] | None]) -> None:
    try:
        while raw := pipe.readline(LONGEST_READ):
            lines.put((name, raw.decode(errors="replace")))
    finally:
        lines.put(None)


def _give(process: subprocess.Popen[bytes], given: str) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError):  # it ended without reading; its words say why
        process.stdin.write(given.encode())
        process.stdin.close()


def _named(command: Any) -> str:
    return " ".join(command[:2])
