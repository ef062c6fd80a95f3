"""The tables of deployments and runs, and the database they live in."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from advisor.errors import InputError
from deploy.home import home
from deploy.run_models import Stopped

DATABASE_VARIABLE = "ADVISOR_DATABASE_URL"
DATABASE_FILE = "advisor.sqlite"
SQLITE_WAIT_MS = 30_000
CREATION_LOCK = 7_311_902_460  # any number, as long as every server uses the same

_metadata = sa.MetaData()

deployments = sa.Table(
    "deployment",
    _metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("plan_digest", sa.String(64), nullable=False),
    sa.Column("active_run", sa.String(160)),  # at most one run changes a deployment at a time
    sa.Column("last_run", sa.String(160)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("endpoint", sa.Text),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("updated_at", sa.String(40), nullable=False),
)
plans = sa.Table(
    "deployment_plan",
    _metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("stored_at", sa.String(40), nullable=False),
)
runs = sa.Table(
    "deployment_run",
    _metadata,
    sa.Column("run_id", sa.String(160), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("plan_digest", sa.String(64), nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("executor", sa.Text, nullable=False),
    sa.Column("takeovers", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("started_at", sa.String(40)),
    sa.Column("finished_at", sa.String(40)),
    sa.Column("error", sa.Text),
    sa.Column("exit_code", sa.Integer),
    sa.Column("result", sa.Text),
)
moves = sa.Table(
    "deployment_move",
    _metadata,
    sa.Column("run_id", sa.String(160), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),  # deploy.move_store.MoveOrder
)
events = sa.Table(
    "deployment_event",
    _metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("run_id", sa.String(160), nullable=False, index=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("resource", sa.Text),
    sqlite_autoincrement=True,
)


def database_url() -> str:
    """$ADVISOR_DATABASE_URL, else a SQLite file in `deploy.home.home()`. Raises InputError."""
    given = os.environ.get(DATABASE_VARIABLE)
    if not given:
        return f"sqlite:///{home().resolve() / DATABASE_FILE}"
    try:
        url = sa.make_url(given)
    except sa.exc.ArgumentError:
        raise InputError(
            f"{DATABASE_VARIABLE} is not a database URL; use postgresql+psycopg://user@host/name"
        ) from None
    in_a_file = url.drivername == "sqlite" and url.database not in (None, "", ":memory:")
    if not in_a_file and url.drivername != "postgresql+psycopg":
        raise InputError(
            f"{DATABASE_VARIABLE} is {url.render_as_string(hide_password=True)}; use "
            "postgresql+psycopg://user@host/name or sqlite:////path/to/file"
        )
    return given


def open_engine(url: str) -> sa.Engine:
    """An engine on the database, with the tables in place."""
    engine = sa.create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_up_sqlite)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # CREATE ... IF NOT EXISTS alone clashes with another server that starts just now.
            lock = sa.func.pg_advisory_xact_lock(CREATION_LOCK)
            connection.execute(sa.select(lock))
        for table in _metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
    return engine


def insert_if_new(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    """Insert a row unless its key is there already."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(table).values(row).on_conflict_do_nothing())


def _set_up_sqlite(connection: Any, _: Any) -> None:
    # Writers queue for the lock instead of failing when a read turns into a write.
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout = {SQLITE_WAIT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def hold_run(connection: sa.Connection, run_id: str, executor: str) -> None:
    """Nobody takes the run over before this transaction ends. Raises Stopped when it is not that
    executor's any more: it slept, was thought dead, and must write nothing beside the other."""
    row = runs.c
    held = connection.execute(
        sa.update(runs)
        .where(row.run_id == run_id, row.executor == executor)
        .values(executor=executor)
    )
    if not held.rowcount:
        raise Stopped
