"""Durable runs: an apply or a destroy that survives the process which began it.

The steps run in a DBOS workflow, so a run that was killed goes on from the step it was in, in
whichever process launches next. Plans, runs and events are our own rows in the same database
(`deploy.run_store`): a page, a terminal and a second server all read the same log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy.exc import OperationalError

from advisor.errors import DeployError, DeploymentNotFoundError, InputError
from deploy import move_steps, run_engine, run_steps
from deploy.move_store import MoveOrder
from deploy.registry import target
from deploy.requests import check_name
from deploy.run_engine import Engine
from deploy.run_models import Deployment, Kind, RunState, StoredEvent, plan_digest
from deploy.run_store import open_store
from deploy.target import Event, Plan

__all__ = [
    "Deployment",
    "RunState",
    "StoredEvent",
    "cancel",
    "deployment",
    "deployments",
    "events",
    "follow",
    "launch",
    "run",
    "runs",
    "shutdown",
    "standing_name",
    "start_apply",
    "start_destroy",
    "start_destroy_of",
    "start_move",
    "start_rollback",
    "wait",
]

APPLICATION = "model-deployment-advisor"
# Raise this when the steps of a workflow change: a run never resumes into steps it did not start.
STEPS_VERSION = "1"
MOST_TAKEOVERS = 5  # a run that brings its process down must not do so for ever
UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")
WATCH_EVERY_S = 15.0
LISTENER_EVERY_S = 0.2  # nothing here listens, but a shutdown waits for one round
STOP_LIMIT_S = 10.0
POLL_S = 0.2

_changing = threading.RLock()
_log = logging.getLogger(__name__)
# DBOS adds a handler of its own unless it finds one; this one follows sys.stderr when it changes.
logging.getLogger("dbos").addHandler(logging.lastResort or logging.NullHandler())


def launch() -> None:
    """Start carrying out runs in this process, those of dead processes first. Fine to repeat.

    Raises InputError for a wrong ADVISOR_DATABASE_URL.
    """
    with _changing:
        if run_engine.is_launched():
            return
        engine = Engine(open_store())
        run_engine.set_current(engine)  # first: DBOS may begin to work before launch() returns
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": engine.store.url,
            "application_version": STEPS_VERSION,
            "executor_id": engine.executor.name,
            "log_level": "WARNING",
            "notification_listener_polling_interval_sec": LISTENER_EVERY_S,
        }
        with ExitStack() as on_failure:
            on_failure.callback(_forget, engine)
            DBOS(config=config)
            DBOS.launch()
            # In a thread: an ASGI lifespan calls this inside its event loop, where DBOS refuses
            # its blocking calls.
            with ThreadPoolExecutor(max_workers=1) as thread:
                thread.submit(_inherit, engine).result()
            on_failure.pop_all()
        threading.Thread(target=_watch, args=(engine,), name="run-watch", daemon=True).start()


def shutdown(finish_s: float = 0) -> None:
    """Stop carrying out runs; unfinished ones go on at the next launch. Fine to repeat.

    Waits up to `finish_s` for runs of this process to end by themselves, then stops them at their
    next event, which leaves things exactly as a crash would.
    """
    with _changing:
        if not run_engine.is_launched():
            return
        engine = run_engine.current()
        engine.idle_within(finish_s)
        engine.stopping.set()
        idle = engine.idle_within(STOP_LIMIT_S)
        _forget(engine, still_at_work=not idle)


def start_apply(plan: Plan, *, by: str = "") -> str:
    """Begin to apply a plan and return the run's id at once; launches the engine if need be.

    An apply of the same plan that is still active is that run: a second click finds the first.
    Raises StalePlanError when the model file changed, InputError when it or the target is gone,
    or the name is in use on another target; DeployError when something else is being done to it.
    """
    check_name(plan.name)
    target(plan.target)
    run_steps.check_not_stale(plan)
    return _start("apply", plan, by)


def start_destroy(name: str, *, by: str = "") -> str:
    """Begin to destroy a deployment and return the run's id at once.

    Raises DeploymentNotFoundError for an unknown name, DeployError while an apply is active.
    """
    return _start("destroy", deployment(name).plan, by, name=name)


def start_destroy_of(plan: Plan, *, by: str = "") -> str:
    """Begin to destroy what a plan names, also where nothing of it is kept here (an adopted plan).

    Raises DeployError while something else is being done to it.
    """
    check_name(plan.name)
    return _start("destroy", plan, by)


def start_move(
    name: str, plan: Plan, sample: bytes, *, keep_old: bool = False, by: str = ""
) -> str:
    """Begin to move a deployment to where `plan` puts it and return the run's id at once.

    The plan is `deploy.moving.plan_move`'s. `sample` is the request that both have to answer alike
    before the name is switched; then the old one is removed, or with `keep_old` gets a name of its
    own. Whatever fails before takes the new one back. Raises InputError, DeployError.
    """
    old = deployment(name).plan
    check_name(plan.name)
    run_steps.check_not_stale(plan)
    order = MoveOrder(old_digest=plan_digest(old), keep_old=keep_old, sample=sample.decode())
    return _start("move", plan, by, name=name, order=order)


def start_rollback(name: str, plan: Plan, *, by: str = "") -> str:
    """Begin to let the version before serve again and return the run's id at once.

    The plan is `deploy.rollback.plan_rollback`'s. A rollback that is active already is that run,
    and the plan is taken away again. A failed one leaves what served. Raises DeployError while
    something else is being done to the deployment.
    """
    check_name(plan.name)
    run_id = _start("rollback", plan, by, name=name)
    if run(run_id).plan_digest != plan_digest(plan):
        target(plan.target).discard(plan)
    return run_id


def standing_name(name: str) -> str:
    """What stands under the deployment's name: after a move it has another name where it is."""
    for found in deployments():
        if found.name == name:
            return found.plan.name
    return name


def cancel(run_id: str) -> None:
    """Ask an active apply to stop at its next event and to take back what it made.

    Returns at once; the run is "cancelled" when that is done. Raises InputError when the run is
    finished or is a destroy, DeploymentNotFoundError for an unknown id.
    """
    found = run(run_id)
    if not found.is_active:
        raise InputError(f"run {run_id} is {found.state}; only an active run can be cancelled")
    if found.kind == "destroy":
        raise InputError(f"run {run_id} is a destroy, which cannot be cancelled; let it finish")
    store = open_store()
    store.request_cancel(run_id)
    store.append(run_id, Event(step="cancel", level="warning", message="Asked to cancel"))


def run(run_id: str) -> RunState:
    """Raises DeploymentNotFoundError for an unknown id."""
    return open_store().run(run_id)


def runs(name: str | None = None) -> list[RunState]:
    """All runs, or those of one deployment, newest first."""
    return open_store().runs(name)


def events(run_id: str, after: int = 0) -> list[StoredEvent]:
    """The run's events with an id above `after`, oldest first."""
    return open_store().events(run_id, after)


def deployments(*, destroyed: bool = False) -> list[Deployment]:
    """Deployments by name; with `destroyed` also those that are gone."""
    found = open_store().deployments()
    return [d for d in found if destroyed or d.state != "destroyed"]


def deployment(name: str) -> Deployment:
    """The deployment of that name, also a destroyed one. Raises DeploymentNotFoundError."""
    known = deployments(destroyed=True)
    for found in known:
        if found.name == name:
            return found
    names = ", ".join(d.name for d in known if d.state != "destroyed")
    there_are = f"there are: {names}" if names else "there are none yet"
    raise DeploymentNotFoundError(f"there is no deployment {name!r}; {there_are}")


def follow(run_id: str) -> Iterator[StoredEvent]:
    """Each event of a run as it comes, until the run is finished. Blocks in between."""
    store, last = open_store(), 0
    while True:
        finished = not store.run(run_id).is_active
        for event in store.events(run_id, last):
            last = event.id
            yield event
        if finished:
            return
        time.sleep(POLL_S)


def wait(run_id: str, limit_s: float) -> RunState:
    """The finished run. Raises DeployError when it is still active after the limit."""
    give_up_at = time.monotonic() + limit_s
    while (found := run(run_id)).is_active:
        if time.monotonic() >= give_up_at:
            raise DeployError(
                f"run {run_id} is still {found.state} after {limit_s:g} s and goes on"
            )
        time.sleep(POLL_S)
    return found


def _start(
    kind: Kind, plan: Plan, by: str, *, name: str | None = None, order: MoveOrder | None = None
) -> str:
    launch()
    engine = run_engine.current()
    engine.executor.hold()
    _inherit(engine)
    run_id, is_new = engine.store.begin(
        kind,
        plan,
        by=by,
        executor=engine.executor.name,
        name=name,
        order=order.model_dump_json() if order else None,
    )
    if is_new:
        _begin_workflow(run_id, kind)
    return run_id


def _begin_workflow(run_id: str, kind: Kind) -> None:
    workflow = {
        "apply": run_steps.apply_workflow,
        "rollback": run_steps.apply_workflow,
        "destroy": run_steps.destroy_workflow,
        "move": move_steps.move_workflow,
    }[kind]
    with SetWorkflowID(run_id):
        DBOS.start_workflow(workflow, run_id)


def _inherit(engine: Engine) -> None:
    """Let the runs of dead processes go on here."""
    me = engine.executor
    for run_id, executor in engine.store.active_executors():
        if not me.is_dead(executor):
            continue
        takeover = engine.store.take_over(run_id, executor, me.name)
        if not takeover:
            continue
        found = DBOS.get_workflow_status(run_id)
        if takeover > MOST_TAKEOVERS:
            why = f"was interrupted {takeover} times"
        elif found is None:  # its process died between writing the run down and starting it
            why = ""
            _begin_workflow(run_id, engine.store.run(run_id).kind)
        elif found.status not in UNFINISHED:
            why = f"stopped as {found.status}"
        elif found.app_version != STEPS_VERSION:
            why = "was begun by another version of this product"
        else:
            why = ""
            DBOS.resume_workflow(run_id)
        if why:
            engine.store.finish(
                run_id,
                "failed",
                deployment="unknown",
                result={},
                error=f"run {run_id} {why} and cannot go on; apply or destroy again",
                exit_code=1,
            )


def _watch(engine: Engine) -> None:
    """Another process may die at any time; take its runs over soon."""
    while not engine.stopping.wait(WATCH_EVERY_S):
        with _changing:
            if engine.stopping.is_set():
                return
            try:
                engine.executor.hold()
                _inherit(engine)
            except OperationalError:
                _log.warning("looking for runs of dead processes failed", exc_info=True)


def _forget(engine: Engine, still_at_work: bool = False) -> None:
    DBOS.destroy()
    run_engine.set_current(None)
    if not still_at_work:  # else its lock must go no sooner than the process
        engine.executor.close()
