"""One refresh at a time on a shelf."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from advisor.errors import PriceRefreshError


@contextmanager
def locked(shelf: Path) -> Iterator[None]:
    """Hold the shelf's lock file, which carries the holder's process id.

    The kernel frees the lock when the process dies. Raises PriceRefreshError while another
    refresh holds it.
    """
    with (shelf / "refresh.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise PriceRefreshError(
                f"another refresh (process {holder}) is at work in {shelf}; wait until it ends"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
