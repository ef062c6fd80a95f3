"""Which processes carry out runs, and which of them have died.

A process holds a lock for as long as it lives, and the kernel (SQLite: a lock file beside the
database) or the server (PostgreSQL: an advisory lock of a session) frees it when the process is
gone, however it went. So a run whose executor's lock is free has nobody left to finish it.
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from deploy.files import try_lock


class Executor:
    """This process as one that carries out runs. `name` is new each time."""

    def __init__(self, engine: sa.Engine) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._engine = engine
        self._file: IO[str] | None = None
        self._session: sa.Connection | None = None
        if engine.dialect.name == "sqlite":
            self._file = self._lock_file(self.name).open("a")
            try_lock(self._file.fileno())
        else:
            self._session = self._locked_session()

    def hold(self) -> None:
        """Take the lock again where the server ended the session that held it: the network was
        gone for long, or this machine slept. Raises OperationalError while the server is away."""
        if self._session is None:
            return
        try:
            self._session.execute(sa.select(1))
        except OperationalError:
            self._session.close()
            self._session = self._locked_session()

    def close(self) -> None:
        """Let others take over what this process had; called once it has stopped working."""
        if self._file is not None:
            self._lock_file(self.name).unlink(missing_ok=True)
            self._file.close()
        if self._session is not None:
            # A pooled connection would keep its session, and with it the lock.
            self._session.invalidate()
            self._session.close()

    def is_dead(self, other: str) -> bool:
        """Has the process of that executor name ended?"""
        if other == self.name:
            return False
        if self._session is None:
            return self._is_unlocked(other)
        with self._engine.connect() as connection:
            # Freed again at the end of this transaction: it only asks.
            return bool(
                connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_key(other))))
            )

    def _locked_session(self) -> sa.Connection:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        session.execute(sa.select(sa.func.pg_advisory_lock(_key(self.name))))
        return session

    def _is_unlocked(self, other: str) -> bool:
        path = self._lock_file(other)
        try:
            with path.open() as file:
                if not try_lock(file.fileno()):
                    return False
        except FileNotFoundError:
            return True
        path.unlink(missing_ok=True)
        return True

    def _lock_file(self, name: str) -> Path:
        directory = Path(f"{self._engine.url.database}.executors")
        directory.mkdir(exist_ok=True, mode=0o700)
        return directory / f"{name}.lock"


def _key(name: str) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(name, 0)
