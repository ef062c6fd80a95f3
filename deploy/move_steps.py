"""The workflow of a move: deploy beside, prove, compare, switch, remove the old.

Whatever fails before the switch takes the new one away, and the old one has served all along. After
the switch the new one serves; what of the old would not go gets a name of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from dbos import DBOS

from advisor.errors import DeployError
from deploy import run_steps
from deploy.move_store import MoveOrder, order_of, put_beside, switch
from deploy.moving import beside, compare, taken
from deploy.registry import target
from deploy.run_engine import current
from deploy.run_steps import RECOVERIES, Outcome
from deploy.target import Emit, Plan, State

OLD = "old"
_log = logging.getLogger(__name__)


@DBOS.workflow(name="move", max_recovery_attempts=RECOVERIES)
def move_workflow(run_id: str) -> None:
    with run_steps.Carried(run_id) as carried:
        if carried.is_finished:
            return
        result: dict[str, Any] = {}
        before = (run_steps.check_step, run_steps.apply_step, run_steps.smoke_step, compare_step)
        for step in (*before, switch_step):
            outcome = _done(step, run_id)
            result |= outcome["result"]
            if outcome["error"] is not None:
                close_failed_move_step(run_id, outcome)
                return
        removed = remove_old_step(run_id)
        close_move_step(run_id, removed, result | removed["result"])


@DBOS.step()
def compare_step(run_id: str) -> Outcome:
    order, old = _order(run_id)

    def ask(plan: Plan, emit: Emit) -> dict[str, Any]:
        emit(run_steps.event_of("compare", f"Asking {old.name} and {plan.name} the same"))
        said = compare(old, plan, order.sample.encode())
        emit(run_steps.event_of("compare", said, "done"))
        return {"compared": said}

    return run_steps.outcome_of(run_id, ask)


@DBOS.step()
def switch_step(run_id: str) -> Outcome:
    _, old = _order(run_id)

    def change(plan: Plan, emit: Emit) -> dict[str, Any]:
        store = current().store
        name = store.run(run_id).name
        there, was = target(plan.target).status(plan), target(old.target).status(old)
        if there.state != "running":
            raise DeployError(f"{plan.name} does not run: {there.message}")
        switch(current(), run_id, name, plan, there.endpoint)
        said = f"{name} is now {plan.name} at {there.endpoint or 'its queue'}"
        emit(
            run_steps.event_of(
                "switch", f"{said}; before it was {was.endpoint or old.name}", "done"
            )
        )
        return {"endpoint": there.endpoint, "endpoint_before": was.endpoint}

    return run_steps.outcome_of(run_id, change)


@DBOS.step()
def remove_old_step(run_id: str) -> Outcome:
    order, old = _order(run_id)

    def remove(plan: Plan, emit: Emit) -> dict[str, Any]:
        if order.keep_old:
            return {}
        report = target(old.target).destroy(old, emit)
        if report.left_behind:
            raise DeployError(f"left behind: {', '.join(report.left_behind)}")
        return {"removed": report.removed, "kept": report.kept}

    return run_steps.outcome_of(run_id, remove, cancellable=False)


@DBOS.step()
def close_move_step(run_id: str, removed: Outcome, result: dict[str, Any]) -> None:
    """The end after the switch: what stands beside is named, and how to destroy it."""
    store = current().store
    name, (order, old) = store.run(run_id).name, _order(run_id)
    error = None
    if order.keep_old or removed["error"]:
        state: State = "running" if order.keep_old else "unknown"
        called = _name_beside(old, f"{name}-{OLD}")
        put_beside(current(), called, old, state, run_id)
        way_out = f"python -m deploy destroy {called}"
        if removed["error"]:
            error = f"{name} has moved, but the old one is not gone: {removed['error']}; {way_out}"
            current().append(run_id, run_steps.event_of("end", error, "error"))
        else:
            said = f"The old one stands as {called}, and bills; take it down: {way_out}"
            current().append(run_id, run_steps.event_of("end", said, "warning"))
    current().finish(
        run_id,
        "failed" if error else "succeeded",
        deployment="running",
        result=result,
        error=error,
        exit_code=removed["exit_code"],
    )


@DBOS.step()
def close_failed_move_step(run_id: str, outcome: Outcome) -> None:
    """Take the new one away; the old one serves as before."""
    store = current().store
    run = store.run(run_id)
    new, (_, old) = store.plan(run.plan_digest), _order(run_id)
    removal = run_steps.remove(new, run_steps.emitter(run_id))
    error = outcome["error"]
    if removal["error"]:
        called = _name_beside(new, new.name)
        put_beside(current(), called, new, "unknown", run_id)
        error = f"{error}; {new.name} is not taken away ({removal['error']}): destroy {called}"
    else:
        error = f"{error}; {new.name} was taken away and {old.name} serves as before"
    state, endpoint = run_steps.standing(old)
    current().append(run_id, run_steps.event_of("end", error, "error"))
    current().finish(
        run_id,
        "cancelled" if outcome["cancelled"] else "failed",
        deployment=state,
        result={"endpoint": endpoint},
        plan=old,
        error=error,
        exit_code=outcome["exit_code"],
    )


def _done(step: Callable[[str], Outcome], run_id: str) -> Outcome:
    """The step's outcome; of an error that nobody expected one that takes the new one back."""
    try:
        return step(run_id)
    except Exception as error:
        # While stopping, everything fails that touches the closed engine: not the run's fault.
        if current().stopping.is_set():
            raise
        _log.exception("the move %s", run_id)
        said = f"an error nobody expected, {type(error).__name__}: {error}; see the log"
        return Outcome(error=said, exit_code=1, cancelled=False, result={})


def _order(run_id: str) -> tuple[MoveOrder, Plan]:
    store = current().store
    order = order_of(store, run_id)
    return order, store.plan(order.old_digest)


def _name_beside(plan: Plan, wanted: str) -> str:
    """A free name for what stands there; the one that it has already, when this runs again."""
    known = current().store.deployments()
    own = [d.name for d in known if d.plan.name == plan.name and d.state != "destroyed"]
    if own:
        return own[0]
    alive = taken(d for d in known if d.state != "destroyed")
    return beside(wanted, alive) if wanted in alive else wanted
