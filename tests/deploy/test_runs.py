"""Durable runs, with real server processes, real crashes and both databases."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from advisor.errors import (
    DeployError,
    DeploymentNotFoundError,
    InputError,
    PreflightError,
    StalePlanError,
)
from deploy import move_store, run_engine, run_steps, runs
from deploy.files import locked
from deploy.requests import PlanRequest
from deploy.run_models import RunState, plan_digest
from deploy.run_store import open_store
from deploy.target import Plan
from deploy.targets import local_process
from deploy.targets.local import LocalTarget

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 90
KILLED = 9


@pytest.fixture
def plan(local_request: Callable[..., PlanRequest], onnx_model: Path) -> Plan:
    return LocalTarget().plan(local_request(onnx_model))


@pytest.fixture
def engine(advisor_home: Path) -> Iterator[None]:
    runs.launch()
    yield
    runs.shutdown(finish_s=20)


def finished(run_id: str) -> RunState:
    return runs.wait(run_id, LIMIT_S)


def servers(home: Path) -> list[psutil.Process]:
    return local_process.strays(home.resolve())


def until(found: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + LIMIT_S
    while not found():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def said(run_id: str) -> str:
    return "\n".join(e.message for e in runs.events(run_id))


@pytest.mark.usefixtures("engine")
def test_apply_proves_itself_and_destroy_takes_it_down(plan: Plan, advisor_home: Path) -> None:
    run_id = runs.start_apply(plan, by="ann")
    run = finished(run_id)
    assert (run.state, run.error, run.exit_code, run.by) == ("succeeded", None, 0, "ann")
    assert run.result["prediction"]["body"]["predictions"] == [0.0]

    events = runs.events(run_id)
    assert [e.id for e in events] == sorted(e.id for e in events)
    steps = list(dict.fromkeys(e.step for e in events))
    assert steps == ["check", "bundle", "start", "predict"]
    assert "[0.0]" in events[-1].message
    assert runs.events(run_id, after=events[1].id) == events[2:]
    assert list(runs.follow(run_id)) == events

    [found] = runs.deployments()
    assert (found.name, found.state, found.plan) == ("tiny", "running", plan)
    assert found.endpoint == run.result["endpoint"]
    assert found.last_run == run

    gone = finished(runs.start_destroy("tiny"))
    assert gone.state == "succeeded"
    assert servers(advisor_home) == []
    assert runs.deployments() == []
    assert [d.state for d in runs.deployments(destroyed=True)] == ["destroyed"]
    assert [r.kind for r in runs.runs("tiny")] == ["destroy", "apply"]

    assert finished(runs.start_destroy("tiny")).state == "succeeded"  # twice is fine
    assert finished(runs.start_apply(plan)).state == "succeeded"  # and so is beginning again


@pytest.mark.usefixtures("engine")
def test_a_second_click_finds_the_first_run(plan: Plan, advisor_home: Path) -> None:
    first = runs.start_apply(plan)
    assert runs.start_apply(plan) == first
    again = plan.model_copy(update={"created_at": plan.created_at.replace(year=2030)})
    assert runs.start_apply(again) == first
    with pytest.raises(DeployError, match=f"another apply .*{first}"):
        runs.start_destroy("tiny")
    assert finished(first).state == "succeeded"

    second = runs.start_apply(plan)  # finished: a new run, which finds the server
    assert second != first
    assert finished(second).state == "succeeded"
    assert "already runs this plan" in said(second)
    assert len(servers(advisor_home)) == 1


@pytest.mark.usefixtures("engine")
def test_a_failed_run_can_be_tried_again(
    local_request: Callable[..., PlanRequest], onnx_model: Path, advisor_home: Path
) -> None:
    port = local_process.free_port()
    plan = LocalTarget().plan(local_request(onnx_model, port=port))
    holder = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: not local_process.is_free(port))
        run = finished(runs.start_apply(plan))
    finally:
        holder.kill()
        holder.wait()
    assert (run.state, run.exit_code) == ("failed", PreflightError.exit_code)
    assert f"port {port} is taken" in (run.error or "")
    assert [d.state for d in runs.deployments()] == ["failed"]
    assert servers(advisor_home) == []

    again = finished(runs.start_apply(plan))
    assert (again.state, again.run_id) == ("succeeded", run.run_id[:-1] + "2")


@pytest.mark.usefixtures("engine")
def test_cancelling_takes_back_what_was_made(plan: Plan, advisor_home: Path) -> None:
    lock = advisor_home / "deployments" / ".tiny.lock"
    with locked(lock, wait_s=5, busy="never"):
        run_id = runs.start_apply(plan)
        until(lambda: "Waiting" in said(run_id))  # held in the middle of its apply step
        runs.cancel(run_id)
    run = finished(run_id)
    assert run.state == "cancelled"
    assert not [e for e in runs.events(run_id) if e.level == "error"]  # it went as was asked
    assert servers(advisor_home) == []
    assert runs.deployments() == []
    with pytest.raises(InputError, match="only an active run"):
        runs.cancel(run_id)


@pytest.mark.usefixtures("engine")
def test_a_cancelled_update_keeps_what_ran(
    plan: Plan,
    local_request: Callable[..., PlanRequest],
    onnx_model: Path,
    advisor_home: Path,
) -> None:
    finished(runs.start_apply(plan))
    update = LocalTarget().plan(local_request(onnx_model, port=local_process.free_port()))
    with locked(advisor_home / "deployments" / ".tiny.lock", wait_s=5, busy="never"):
        run_id = runs.start_apply(update)
        until(lambda: "Waiting" in said(run_id))
        runs.cancel(run_id)
    assert finished(run_id).state == "cancelled"
    [found] = runs.deployments()
    assert (found.state, plan_digest(found.plan)) == ("running", plan_digest(plan))
    assert LocalTarget().status(found.plan).endpoint == found.endpoint


def test_a_changed_model_is_refused_at_once(
    local_request: Callable[..., PlanRequest], onnx_model: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(onnx_model.read_bytes())
    plan = LocalTarget().plan(local_request(mine))
    mine.write_bytes(onnx_model.read_bytes() + b"\0")
    with pytest.raises(StalePlanError, match="plan again"):
        runs.start_apply(plan)
    mine.unlink()
    with pytest.raises(InputError, match="No such file"):
        runs.start_apply(plan)
    assert runs.runs() == []


@pytest.mark.usefixtures("engine")
def test_a_name_in_use_elsewhere_is_not_taken_over(plan: Plan) -> None:
    finished(runs.start_apply(plan))
    with pytest.raises(InputError, match="destroy it before it moves to local / other account"):
        runs.start_apply(plan.model_copy(update={"account": "other account"}))
    finished(runs.start_destroy("tiny"))
    moved = runs.start_apply(plan.model_copy(update={"account": "other account"}))
    assert finished(moved).state == "succeeded"


def test_a_run_that_brings_its_process_down_is_given_up(plan: Plan, advisor_home: Path) -> None:
    store = open_store()
    run_id, _ = store.begin("apply", plan, by="", executor="dead-0")
    for i in range(runs.MOST_TAKEOVERS):
        assert store.take_over(run_id, f"dead-{i}", f"dead-{i + 1}") == i + 1
    assert store.take_over(run_id, "dead-0", "late") == 0

    async def lifespan() -> None:
        runs.launch()  # as an ASGI server calls it: inside a running event loop

    asyncio.run(lifespan())
    try:
        run = runs.run(run_id)
        assert (run.state, run.error is not None and "interrupted 6 times" in run.error) == (
            "failed",
            True,
        )
        assert finished(runs.start_apply(plan)).state == "succeeded"
    finally:
        runs.shutdown()


def test_names_and_ids_that_do_not_exist(advisor_home: Path) -> None:
    with pytest.raises(DeploymentNotFoundError, match="'nobody'"):
        runs.start_destroy("nobody")
    with pytest.raises(DeploymentNotFoundError, match="'no-run'"):
        runs.run("no-run")
    assert runs.events("no-run") == []


@pytest.mark.usefixtures("engine")
def test_an_error_nobody_expected_closes_the_run(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "apply", lambda *_: 1 / 0)
        run = finished(runs.start_apply(plan))
    assert run.state == "failed"
    assert "ZeroDivisionError" in (run.error or "")
    assert finished(runs.start_apply(plan)).state == "succeeded"


def test_the_engine_opens_no_port_and_both_ends_can_be_repeated(advisor_home: Path) -> None:
    before = psutil.Process().net_connections("inet")
    runs.launch()
    runs.launch()
    assert psutil.Process().net_connections("inet") == before
    runs.shutdown()
    runs.shutdown()


def test_a_stop_in_the_middle_goes_on_after_the_next_launch(plan: Plan, advisor_home: Path) -> None:
    try:
        run_id = runs.start_apply(plan)
        until(lambda: "Started process" in said(run_id))
        runs.shutdown()
        assert runs.run(run_id).is_active
        runs.launch()
        assert finished(run_id).state == "succeeded"
    finally:
        runs.shutdown()
    assert len(servers(advisor_home)) == 1


CRASHING = """
    import os, sys
    from pathlib import Path
    from deploy import run_store, runs
    from deploy.target import Plan

    where, plan = sys.argv[1], Plan.model_validate_json(Path(sys.argv[2]).read_text())
    append = run_store.RunStore.append

    def append_and_die(self, run_id, event, **more):
        append(self, run_id, event, **more)
        if event.message.startswith(where):
            os._exit(9)

    run_store.RunStore.append = append_and_die
    if where == "before the workflow":
        runs._begin_workflow = lambda *_: os._exit(9)
    runs.start_apply(plan)
    runs.wait(runs.runs()[0].run_id, 90)
"""


@pytest.mark.parametrize(
    "where",
    ["before the workflow", "Started process", "Asking for a prediction"],
)
def test_a_run_killed_anywhere_is_finished_by_the_next_process(
    where: str, plan: Plan, advisor_home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json())
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CRASHING), where, str(file)],
        cwd=ROOT,
        check=False,
        timeout=LIMIT_S,
    )
    assert killed.returncode == KILLED
    [run] = runs.runs()
    assert run.is_active
    before = [p.pid for p in servers(advisor_home)]
    try:
        runs.launch()
        assert finished(run.run_id).state == "succeeded"
    finally:
        runs.shutdown()
    [server] = servers(advisor_home)
    assert "goes on in another" in said(run.run_id) or where == "before the workflow"
    if where == "Asking for a prediction":  # the apply step was done and is not done again
        assert [server.pid] == before


def test_a_run_of_a_living_process_is_left_to_it(plan: Plan, advisor_home: Path) -> None:
    store = open_store()
    sleeper = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from deploy.run_executor import Executor\n"
            "from deploy.run_store import open_store\n"
            "me = Executor(open_store().engine)\n"
            "print(me.name, flush=True)\n"
            "sys.stdin.read()",
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sleeper.stdout is not None
    name = sleeper.stdout.readline().strip()
    run_id, _ = store.begin("apply", plan, by="", executor=name)
    try:
        runs.launch()
        assert store.active_executors() == [(run_id, name)]
        assert runs.start_apply(plan) == run_id
        sleeper.kill()
        sleeper.wait()
        assert runs.start_apply(plan) == run_id  # looks for the dead first
        assert finished(run_id).state == "succeeded"
    finally:
        sleeper.kill()
        runs.shutdown()


def test_a_launched_process_soon_takes_over_what_another_left(
    plan: Plan, advisor_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "WATCH_EVERY_S", 0.1)
    runs.launch()
    try:
        run_id, _ = open_store().begin("apply", plan, by="", executor="dead")
        assert finished(run_id).state == "succeeded"
    finally:
        runs.shutdown()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """URL of a PostgreSQL of our own on a loopback port."""
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("PostgreSQL (initdb, postgres) is not installed here")
    data = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's own are closed to other users
    root = os.geteuid() == 0
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
    if root:
        shutil.chown(data, "postgres", "postgres")
    port = local_process.free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(
        ["initdb", "-D", data / "db", "-U", "app", "-A", "trust", "-E", "UTF8", "--no-sync"],
        cwd="/",
        check=True,
        **quiet,
        **who,
    )
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    settings += ["-c", f"unix_socket_directories={data}"]
    server = subprocess.Popen(
        ["postgres", "-D", data / "db", "-p", str(port), *settings],
        cwd="/",
        **quiet,
        **who,
    )
    until(lambda: not local_process.is_free(port))
    yield f"postgresql+psycopg://app@127.0.0.1:{port}/postgres"
    server.send_signal(signal.SIGINT)  # "fast": does not wait for clients that are still there
    server.wait(timeout=20)
    shutil.rmtree(data)


def test_postgresql_carries_runs_across_a_crash_too(
    postgres: str,
    plan: Plan,
    advisor_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADVISOR_DATABASE_URL", postgres)
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json())
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CRASHING), "Started process", str(file)],
        cwd=ROOT,
        check=False,
        timeout=LIMIT_S,
    )
    assert killed.returncode == KILLED
    try:
        runs.launch()
        [run] = runs.runs()
        assert finished(run.run_id).state == "succeeded"
        assert finished(runs.start_destroy("tiny")).state == "succeeded"
    finally:
        runs.shutdown()
        open_store().engine.dispose()
    assert servers(advisor_home) == []


CLICKING = """
    import sys
    from pathlib import Path
    from deploy import runs
    from deploy.target import Plan

    plan = Plan.model_validate_json(Path(sys.argv[1]).read_text())
    runs.launch()
    print("ready", flush=True)
    sys.stdin.readline()  # both click at once
    run_id = runs.start_apply(plan)
    print(run_id, runs.wait(run_id, 90).state, flush=True)
    sys.stdin.readline()
    runs.shutdown(finish_s=20)
"""


@pytest.mark.slow
def test_two_servers_that_click_at_once_over_postgresql_make_one_deployment(
    postgres: str,
    plan: Plan,
    advisor_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADVISOR_DATABASE_URL", postgres)
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json())
    command = [sys.executable, "-c", textwrap.dedent(CLICKING), str(file)]
    people = [
        subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for person in people:
            assert told_by(person) == "ready"
        for person in people:
            press(person)
        ends = {told_by(person) for person in people}
        for person in people:
            press(person)
            person.wait(timeout=LIMIT_S)
        [end] = ends
        assert end.endswith("succeeded")
        [run] = runs.runs()
        assert run.run_id == end.split()[0]
        assert len(servers(advisor_home)) == 1
    finally:
        for person in people:
            person.kill()
            person.wait(timeout=LIMIT_S)
        runs.shutdown()
        open_store().engine.dispose()


def test_a_process_whose_run_was_taken_over_stops_at_its_next_event(
    plan: Plan, advisor_home: Path
) -> None:
    runs.launch()
    try:
        engine = run_engine.current()
        run_id, _ = engine.store.begin("apply", plan, by="", executor=engine.executor.name)
        emit = run_steps.emitter(run_id)
        emit(run_steps.event_of("start", "mine"))
        assert engine.store.take_over(run_id, engine.executor.name, "another") == 1
        with pytest.raises(run_engine.Stopped):
            emit(run_steps.event_of("start", "not mine any more"))
        assert said(run_id) == "mine"
        engine.store.finish(run_id, "failed", deployment="unknown", result={})
    finally:
        runs.shutdown()


def test_the_fence_alone_keeps_an_owner_that_slept_from_writing(
    plan: Plan, advisor_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked, was told that the run is its own, and slept before it wrote."""
    runs.launch()
    try:
        engine = run_engine.current()
        store, name = engine.store, engine.executor.name
        run_id, _ = store.begin("apply", plan, by="", executor=name)
        monkeypatch.setattr(run_engine.Engine, "check_carries", lambda self, run_id: None)
        run_steps.emitter(run_id)(run_steps.event_of("start", "mine"))
        store.mark_running(run_id, "another")
        before = (said(run_id), runs.run(run_id), runs.deployments())
        writes: list[Callable[[], object]] = [
            lambda: run_steps.emitter(run_id)(run_steps.event_of("start", "not mine")),
            lambda: engine.finish(run_id, "succeeded", deployment="running", result={}),
            lambda: move_store.switch(engine, run_id, plan.name, plan, "http://elsewhere"),
            lambda: move_store.put_beside(engine, "beside", plan, "running", run_id),
        ]
        for write in writes:
            with pytest.raises(run_engine.Stopped):
                write()
        assert (said(run_id), runs.run(run_id), runs.deployments()) == before
        store.finish(run_id, "failed", deployment="unknown", result={}, executor="another")
        assert runs.run(run_id).state == "failed"
    finally:
        runs.shutdown()


SLEEPING = """
    import os, signal, sys
    from pathlib import Path
    from deploy import run_store, runs
    from deploy.target import Plan

    plan, append = Plan.model_validate_json(Path(sys.argv[1]).read_text()), run_store.RunStore.append

    def append_and_sleep(self, run_id, event, **more):
        append(self, run_id, event, **more)
        if event.message.startswith("Started process"):
            os.kill(os.getpid(), signal.SIGSTOP)

    run_store.RunStore.append = append_and_sleep
    run_id = runs.start_apply(plan)
    print(runs.wait(run_id, 90).state, flush=True)
    run_store.RunStore.append = append
    print(runs.wait(runs.start_apply(plan), 90).state, flush=True)  # awake, it takes part again
    runs.shutdown()
"""


END_OTHER_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid != pg_backend_pid() AND usename = 'app'
"""


@pytest.mark.slow
def test_a_machine_that_slept_while_another_took_its_run_over_does_not_go_on_beside_it(
    postgres: str,
    plan: Plan,
    advisor_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server has ended the sleeper's sessions, as it does when keepalives stay away."""
    monkeypatch.setenv("ADVISOR_DATABASE_URL", postgres)
    monkeypatch.setattr(runs, "WATCH_EVERY_S", 0.1)
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json())
    command = [sys.executable, "-c", textwrap.dedent(SLEEPING), str(file)]
    sleeper = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    try:
        until(lambda: psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED)
        with open_store().engine.begin() as connection:
            connection.execute(sa.text(END_OTHER_SESSIONS))
        [run] = runs.runs()
        runs.launch()
        until(lambda: "the run goes on in another one" in said(run.run_id))
        sleeper.send_signal(signal.SIGCONT)
        assert told_by(sleeper) == "succeeded"
        assert said(run.run_id).count("The endpoint answered") == 1
        assert said(run.run_id).count("goes on in another one") == 1
        assert told_by(sleeper) == "succeeded"
        assert len(servers(advisor_home)) == 1
    finally:
        sleeper.kill()
        sleeper.wait(timeout=LIMIT_S)
        runs.shutdown()
        open_store().engine.dispose()


def told_by(person: subprocess.Popen[str]) -> str:
    assert person.stdout is not None
    return person.stdout.readline().strip()


def press(person: subprocess.Popen[str]) -> None:
    assert person.stdin is not None
    person.stdin.write("\n")
    person.stdin.flush()


@pytest.mark.parametrize(
    "url", ["not a url", "mysql://db/x", "sqlite://", "postgresql://u:secret@h/x"]
)
def test_a_wrong_database_url_is_told_without_its_password(
    url: str, advisor_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADVISOR_DATABASE_URL", url)
    with pytest.raises(InputError, match="ADVISOR_DATABASE_URL") as told:
        runs.launch()
    assert "secret" not in str(told.value)
