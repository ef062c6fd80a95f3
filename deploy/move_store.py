"""What is remembered of moves: the order of each, and which plan a deployment's name means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from deploy import run_tables as tables
from deploy.run_engine import Engine
from deploy.run_models import plan_digest
from deploy.run_store import RunStore
from deploy.target import Plan, State


class MoveOrder(BaseModel):
    """What a move was asked to do. `sample` is the request that both have to answer alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    old_digest: str
    keep_old: bool
    sample: str


def order_of(store: RunStore, run_id: str) -> MoveOrder:
    query = sa.select(tables.moves.c.document).where(tables.moves.c.run_id == run_id)
    with store.engine.connect() as connection:
        return MoveOrder.model_validate_json(connection.execute(query).scalar_one())


def switch(engine: Engine, run_id: str, name: str, plan: Plan, endpoint: str | None) -> None:
    """From now on the deployment's name means that plan. Fine to repeat. Raises Stopped when
    another process carries the run."""
    values = {"plan_digest": plan_digest(plan), "state": "running", "endpoint": endpoint}
    row = tables.deployments.c
    with engine.store.engine.begin() as connection:
        tables.hold_run(connection, run_id, engine.executor.name)
        connection.execute(
            sa.update(tables.deployments)
            .where(row.name == name)
            .values(**values, updated_at=datetime.now(UTC).isoformat())
        )


def put_beside(engine: Engine, name: str, plan: Plan, state: State, run_id: str) -> None:
    """What a move leaves standing gets a name of its own, so that it can be destroyed by it. Raises
    Stopped when another process carries the run."""
    now = datetime.now(UTC).isoformat()
    values: dict[str, Any] = {
        "plan_digest": plan_digest(plan), "state": state, "last_run": run_id, "updated_at": now,
    }  # fmt: skip
    row = tables.deployments.c
    with engine.store.engine.begin() as connection:
        tables.hold_run(connection, run_id, engine.executor.name)
        tables.insert_if_new(
            connection, tables.deployments, values | {"name": name, "created_at": now}
        )
        connection.execute(
            sa.update(tables.deployments)
            .where(row.name == name, row.active_run.is_(None))
            .values(**values)
        )
