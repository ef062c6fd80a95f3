"""Reads and writes what is remembered of deployments: plans, runs and their events.

Events are only ever added, and every viewer reads the same rows. Times are UTC, as ISO text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from advisor.errors import DeployError, DeploymentNotFoundError, InputError
from deploy import run_tables as tables
from deploy.run_models import (
    ACTIVE,
    Deployment,
    Kind,
    RunState,
    RunStatus,
    StoredEvent,
    plan_digest,
)
from deploy.target import Event, Plan, State

HASH_CHARACTERS = 12


def open_store() -> RunStore:
    """The store of the database that the environment names now."""
    return _opened(tables.database_url())


class RunStore:
    """The tables; safe to share between threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = tables.open_engine(url)

    def begin(
        self,
        kind: Kind,
        plan: Plan,
        *,
        by: str,
        executor: str,
        name: str | None = None,
        order: str | None = None,
    ) -> tuple[str, bool]:
        """The id of a new pending run and True, or of the active run to the same end and False.

        `name` is the deployment's, where a move has made it another than the plan's; `order` says
        what a move is to do (deploy.move_store.MoveOrder). Raises DeployError when a run to another
        end is active, InputError when the name is taken by a deployment somewhere else.
        """
        digest, now, row = plan_digest(plan), _now(), tables.deployments.c
        name = name or self.name_of(plan)
        stored = {"digest": digest, "name": plan.name, "stored_at": now}
        planned = {"name": name, "plan_digest": digest, "state": "planned"}
        with self.engine.begin() as connection:
            tables.insert_if_new(
                connection, tables.plans, stored | {"document": plan.model_dump_json()}
            )
            tables.insert_if_new(
                connection, tables.deployments, planned | {"created_at": now, "updated_at": now}
            )
            active = connection.scalar(
                sa.select(row.active_run).where(row.name == name).with_for_update()
            )
            if active is None:
                if kind in ("apply", "rollback"):
                    self._check_same_place(connection, plan, name)
                run_id = self._next_id(connection, kind, plan, digest, name)
                connection.execute(
                    sa.insert(tables.runs).values(
                        run_id=run_id,
                        name=name,
                        kind=kind,
                        state="pending",
                        plan_digest=digest,
                        by=by,
                        executor=executor,
                        takeovers=0,
                        cancel_requested=False,
                        created_at=now,
                    )
                )
                if order is not None:
                    moved = {"run_id": run_id, "document": order}
                    connection.execute(sa.insert(tables.moves).values(moved))
                now_is: dict[str, Any] = {
                    "apply": {"plan_digest": digest, "state": "applying"},
                    "rollback": {"plan_digest": digest, "state": "applying"},
                    "destroy": {"plan_digest": digest, "state": "destroying"},
                    "move": {},  # it serves as before, until the switch
                }[kind]
                connection.execute(
                    sa.update(tables.deployments)
                    .where(row.name == name)
                    .values(active_run=run_id, last_run=run_id, updated_at=now, **now_is)
                )
                return run_id, True
            # Still inside: while the row is held, the active run cannot finish under our eyes.
            return self._same_end(active, kind, plan), False

    def name_of(self, plan: Plan) -> str:
        """The deployment that the plan's stands for: after a move it has another name."""
        for found in self.deployments():
            if found.plan.name == plan.name and found.state != "destroyed":
                return found.name
        return plan.name

    def run(self, run_id: str) -> RunState:
        """Raises DeploymentNotFoundError for an unknown id."""
        found = self._runs(sa.select(tables.runs).where(tables.runs.c.run_id == run_id))
        if not found:
            raise DeploymentNotFoundError(f"there is no run {run_id!r}; look at the list of runs")
        return found[0]

    def runs(self, name: str | None = None) -> list[RunState]:
        """Newest first, of one deployment or of all."""
        row = tables.runs.c
        query = sa.select(tables.runs).order_by(row.created_at.desc(), row.run_id.desc())
        return self._runs(query if name is None else query.where(row.name == name))

    def active_executors(self) -> list[tuple[str, str]]:
        """(run id, executor) of every run that is not finished."""
        row = tables.runs.c
        query = sa.select(row.run_id, row.executor).where(row.state.in_(ACTIVE))
        with self.engine.connect() as connection:
            return [(found.run_id, found.executor) for found in connection.execute(query)]

    def executor_of(self, run_id: str) -> str:
        """Who carries the run now."""
        query = sa.select(tables.runs.c.executor).where(tables.runs.c.run_id == run_id)
        with self.engine.connect() as connection:
            name: str = connection.execute(query).scalar_one()
            return name

    def take_over(self, run_id: str, old: str, new: str) -> int:
        """Which takeover of the run this is; 0 when another process inherited it first."""
        row = tables.runs.c
        with self.engine.begin() as connection:
            changed = connection.execute(
                sa.update(tables.runs)
                .where(row.run_id == run_id, row.executor == old, row.state.in_(ACTIVE))
                .values(executor=new, takeovers=row.takeovers + 1)
            )
            if not changed.rowcount:
                return 0
            count: int = connection.execute(
                sa.select(row.takeovers).where(row.run_id == run_id)
            ).scalar_one()
            return count

    def mark_running(self, run_id: str, executor: str) -> RunState:
        """The run as it was; from now on it runs in this executor, unless it is finished. Whoever
        carried it before can write nothing more."""
        row = tables.runs.c
        before = self.run(run_id)
        active = sa.update(tables.runs).where(row.run_id == run_id, row.state.in_(ACTIVE))
        with self.engine.begin() as connection:
            connection.execute(active.where(row.started_at.is_(None)).values(started_at=_now()))
            connection.execute(active.values(state="running", executor=executor))
        return before

    def request_cancel(self, run_id: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(tables.runs)
                .where(tables.runs.c.run_id == run_id)
                .values(cancel_requested=True)
            )

    def finish(
        self,
        run_id: str,
        state: RunStatus,
        *,
        deployment: State,
        result: dict[str, Any],
        plan: Plan | None = None,
        error: str | None = None,
        exit_code: int = 0,
        executor: str | None = None,
    ) -> None:
        """Close the run and free the deployment for the next. Repeating it changes nothing.

        `plan` is what the deployment stands at now, where that is not the run's own plan. Raises
        Stopped when the run is not that executor's, where one is named.
        """
        run, now, row = tables.runs.c, _now(), tables.deployments.c
        after: dict[str, Any] = {"active_run": None, "state": deployment, "updated_at": now}
        if plan is not None:
            after["plan_digest"] = plan_digest(plan)
        with self.engine.begin() as connection:
            if executor is not None:
                tables.hold_run(connection, run_id, executor)
            closed = connection.execute(
                sa.update(tables.runs)
                .where(run.run_id == run_id, run.state.in_(ACTIVE))
                .values(
                    state=state,
                    finished_at=now,
                    error=error,
                    exit_code=exit_code,
                    result=json.dumps(result),
                )
            )
            if closed.rowcount:
                connection.execute(
                    sa.update(tables.deployments)
                    .where(row.active_run == run_id)
                    .values(**after, endpoint=result.get("endpoint"))
                )

    def append(self, run_id: str, event: Event, *, executor: str | None = None) -> None:
        """Raises Stopped when the run is not that executor's, where one is named."""
        row = event.model_dump(mode="json") | {"run_id": run_id}
        with self.engine.begin() as connection:
            if executor is not None:
                tables.hold_run(connection, run_id, executor)
            connection.execute(sa.insert(tables.events).values(row))

    def events(self, run_id: str, after: int = 0) -> list[StoredEvent]:
        """The run's events with an id above `after`, oldest first."""
        row = tables.events.c
        query = sa.select(tables.events).where(row.run_id == run_id, row.id > after)
        with self.engine.connect() as connection:
            found = connection.execute(query.order_by(row.id)).mappings()
            return [StoredEvent.model_validate(dict(event)) for event in found]

    def plan(self, digest: str) -> Plan:
        query = sa.select(tables.plans.c.document).where(tables.plans.c.digest == digest)
        with self.engine.connect() as connection:
            return Plan.model_validate_json(connection.execute(query).scalar_one())

    def deployments(self) -> list[Deployment]:
        """Every deployment there is or was, by name."""
        with self.engine.connect() as connection:
            query = sa.select(tables.deployments).order_by(tables.deployments.c.name)
            return [self._deployment(dict(row)) for row in connection.execute(query).mappings()]

    def standing_plan(self, name: str) -> Plan | None:
        """The plan applied last and not destroyed since, if there is one; also one whose endpoint
        then gave no prediction: it stands."""
        for run in self.runs(name):
            if run.state == "succeeded" and run.kind == "destroy":
                return None
            if run.state == "succeeded" or run.result.get("applied"):
                return self.plan(run.plan_digest)
        return None

    def plans_since_destroyed(self, name: str) -> list[Plan]:
        """Every plan that was applied, or tried, under the name; newest first, each once."""
        found: dict[str, Plan] = {}
        for run in self.runs(name):
            if run.state == "succeeded" and run.kind == "destroy":
                break
            if run.kind != "destroy" and run.plan_digest not in found:
                found[run.plan_digest] = self.plan(run.plan_digest)
        return list(found.values())

    def _deployment(self, row: dict[str, Any]) -> Deployment:
        plan = self.plan(row.pop("plan_digest"))
        row["last_run"] = self.run(row["last_run"])
        return Deployment(option=plan.option, target=plan.target, plan=plan, **row)

    def _runs(self, query: sa.Select[Any]) -> list[RunState]:
        with self.engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        for row in rows:
            del row["executor"], row["takeovers"]
            row["result"] = json.loads(row["result"] or "{}")
        return [RunState.model_validate(row) for row in rows]

    def _same_end(self, active: str, kind: Kind, plan: Plan) -> str:
        run = self.run(active)
        # There is one version to go back to, and one end to destroy to, by whichever plan.
        is_same = kind in ("destroy", "rollback") or run.plan_digest == plan_digest(plan)
        if run.kind == kind and is_same:
            return active
        raise DeployError(
            f"{plan.name} is being changed by another {run.kind} (run {active}); wait for it, or "
            "cancel it"
        )

    def _check_same_place(self, connection: sa.Connection, plan: Plan, name: str) -> None:
        """A name moves to another target, account or region only once nothing is left there."""
        row = tables.deployments.c
        found = connection.execute(
            sa.select(row.state, tables.plans.c.document)
            .join(tables.plans, tables.plans.c.digest == row.plan_digest)
            .where(row.name == name)
        ).one()
        there = Plan.model_validate_json(found.document)
        if found.state != "destroyed" and there.name != plan.name:
            raise InputError(
                f"{name} has moved and stands as {there.name}; plan with --name {there.name} to "
                "change it, or choose another name"
            )
        if found.state != "destroyed" and _place(there) != _place(plan):
            raise InputError(
                f"{name} is a deployment on {' / '.join(_place(there))}; destroy it before it "
                f"moves to {' / '.join(_place(plan))}, move it with python -m deploy move, or choose "
                "another name"
            )

    def _next_id(
        self, connection: sa.Connection, kind: Kind, plan: Plan, digest: str, name: str
    ) -> str:
        ends = (plan.bundle_hash[:HASH_CHARACTERS], digest[:HASH_CHARACTERS])
        stem = "-".join((name, kind, *ends))
        before = connection.scalar(
            sa.select(sa.func.count()).where(tables.runs.c.run_id.startswith(f"{stem}-"))
        )
        return f"{stem}-{(before or 0) + 1}"


def _place(plan: Plan) -> tuple[str, str, str]:
    return plan.target, plan.account, plan.region


def _now() -> str:
    return datetime.now(UTC).isoformat()


@cache
def _opened(url: str) -> RunStore:
    return RunStore(url)
