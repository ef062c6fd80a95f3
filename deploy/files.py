"""Files that several processes write: replaced in whole, and locked by the kernel."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from advisor.errors import DeployError, InputError

LOCK_POLL_S = 0.1
LOCK_NAME = ".in-use"
SCRATCH_OLD_S = 60.0  # long after it was locked
Kept = TypeVar("Kept", bound=BaseModel)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text, never half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_kept(path: Path, kind: type[Kept], again: str) -> Kept | None:
    """What was kept as JSON in `path`; None if nothing was.

    `again` is what to do about one of another version ("measure again"): then DeployError.
    """
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValidationError as old:
        raise DeployError(f"{path} was written by another version; remove it and {again}") from old


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A new temporary folder, gone afterwards. What killed processes left of this kind goes now:
    theirs is who holds no lock any more."""
    place, old = Path(tempfile.gettempdir()), time.time() - SCRATCH_OLD_S
    for left in place.glob(f"{purpose}-*"):
        with suppress(OSError), (left / LOCK_NAME).open("r+") as file:
            if left.stat().st_mtime < old and try_lock(file.fileno()):
                shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=f"{purpose}-", ignore_cleanup_errors=True) as own,
        (Path(own) / LOCK_NAME).open("w") as file,
    ):
        try_lock(file.fileno())
        yield Path(own)


@contextmanager
def locked(
    path: Path, *, wait_s: float, busy: str, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the file's exclusive lock; the kernel frees it when the process dies.

    Waits up to `wait_s` seconds, calling `on_wait` once if it has to, then raises DeployError with
    the `busy` sentence. The file itself stays: removing a locked file would let two people in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + wait_s
    waited = False
    with path.open("a") as file:
        while not try_lock(file.fileno()):
            if time.monotonic() >= give_up_at:
                raise DeployError(busy)
            if on_wait is not None and not waited:
                on_wait()
            waited = True
            time.sleep(LOCK_POLL_S)
        yield


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """Hex digest of a file. Raises InputError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"cannot read the model file {path}: {error.strerror}; put it back or plan again"
        ) from None
