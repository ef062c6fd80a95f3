"""Moving a deployment: beside, proven, switched, the old one removed; killed and failed anywhere."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from advisor.errors import DeployError, InputError
from deploy import moving, runs
from deploy.cli import main
from deploy.requests import PlanRequest
from deploy.run_models import RunState, plan_digest
from deploy.target import Plan, Prediction
from deploy.targets import local_process
from deploy.targets.local import LocalTarget

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120
ROW = b'{"instances": [[1, 1, 1, 1]]}'


@pytest.fixture
def old(
    local_request: Callable[..., PlanRequest], onnx_model: Path, advisor_home: Path
) -> Iterator[Plan]:
    """What runs as "tiny" on this machine."""
    plan = LocalTarget().plan(local_request(onnx_model))
    run = runs.wait(runs.start_apply(plan), LIMIT_S)
    assert run.state == "succeeded", run.error
    yield plan
    runs.shutdown(finish_s=20)


def planned(name: str = "tiny") -> Plan:
    """A move of it to another port of this machine."""
    return moving.plan_move(
        runs.deployment(name), moving.taken(runs.deployments()), "docker-host",
        settings={"port": local_process.free_port()},
    )  # fmt: skip


def moved(plan: Plan, name: str = "tiny", *, keep_old: bool = False) -> RunState:
    return runs.wait(runs.start_move(name, plan, ROW, keep_old=keep_old), LIMIT_S)


def servers(home: Path) -> list[Path]:
    """Where the living servers' bundles lie."""
    return sorted(Path(p.cwd()).parent for p in local_process.strays(home.resolve()))


def said(run_id: str) -> str:
    return "\n".join(e.message for e in runs.events(run_id))


def test_the_name_means_the_new_one_and_the_old_one_is_gone(old: Plan, advisor_home: Path) -> None:
    was = runs.deployment("tiny").endpoint
    new = planned()
    assert new.name == "tiny-2"
    run = moved(new)
    assert (run.state, run.error, run.name, run.kind) == ("succeeded", None, "tiny", "move")
    assert run.result["endpoint_before"] == was
    assert "Both give the same answer" in said(run.run_id)
    [found] = runs.deployments()
    assert (found.name, found.plan, found.state) == ("tiny", new, "running")
    assert found.endpoint == run.result["endpoint"] != was
    assert len(servers(advisor_home)) == 1
    assert LocalTarget().status(old).state == "destroyed"

    # It is updated, moved on and destroyed under its own name.
    assert runs.standing_name("tiny") == "tiny-2"
    assert runs.wait(runs.start_apply(new), LIMIT_S).name == "tiny"
    assert planned().name == "tiny-3"
    gone = runs.wait(runs.start_destroy("tiny"), LIMIT_S)
    assert (gone.state, gone.name) == ("succeeded", "tiny")
    assert servers(advisor_home) == []
    assert runs.deployments() == []


@pytest.mark.slow
def test_the_old_one_may_stay_under_a_name_of_its_own(old: Plan, advisor_home: Path) -> None:
    run = moved(planned(), keep_old=True)
    assert run.state == "succeeded"
    assert "The old one stands as tiny-old" in said(run.run_id)
    assert {d.name: d.plan.name for d in runs.deployments()} == {
        "tiny": "tiny-2",
        "tiny-old": "tiny",
    }
    assert len(servers(advisor_home)) == 2
    runs.wait(runs.start_destroy("tiny-old"), LIMIT_S)
    assert LocalTarget().status(old).state == "destroyed"
    assert LocalTarget().predict(runs.deployment("tiny").plan, ROW, "application/json").body


@pytest.mark.slow
def test_another_answer_takes_the_new_one_back(
    old: Plan, advisor_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalTarget.predict

    def predict(self: LocalTarget, plan: Plan, body: bytes, content_type: str) -> Prediction:
        answer = real(self, plan, body, content_type)
        if plan.name != "tiny-2":
            return answer
        return answer.model_copy(update={"body": {"predictions": [10.5]}})

    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "predict", predict)
        run = moved(planned())
    assert run.state == "failed"
    assert "tiny-2 answers otherwise than tiny: the answer[0] was 10.0 and is 10.5" in (
        run.error or ""
    )
    assert "tiny-2 was taken away and tiny serves as before" in (run.error or "")
    [found] = runs.deployments()
    assert (found.state, plan_digest(found.plan)) == ("running", plan_digest(old))
    assert LocalTarget().status(old).endpoint == found.endpoint
    assert len(servers(advisor_home)) == 1
    assert moved(planned()).state == "succeeded"  # and it may be tried again


def test_an_error_nobody_expected_leaves_the_old_one_alone(
    old: Plan, advisor_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "predict", lambda *_: 1 / 0)
        run = moved(planned())
    assert run.state == "failed"
    assert "ZeroDivisionError" in (run.error or "")
    assert "tiny-2 was taken away" in (run.error or "")
    assert [(d.name, d.plan.name, d.state) for d in runs.deployments()] == [
        ("tiny", "tiny", "running")
    ]
    assert len(servers(advisor_home)) == 1


@pytest.mark.slow
def test_an_old_one_that_will_not_go_is_named(
    old: Plan, advisor_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(*_: object) -> None:
        raise DeployError("the machine will not let go")

    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "destroy", stuck)
        run = moved(planned())
    assert run.state == "failed"
    assert "tiny has moved, but the old one is not gone: the machine" in (run.error or "")
    assert {d.name for d in runs.deployments()} == {"tiny", "tiny-old"}
    runs.wait(runs.start_destroy("tiny-old"), LIMIT_S)
    assert [d.plan.name for d in runs.deployments()] == ["tiny-2"]
    assert len(servers(advisor_home)) == 1


DYING = """
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
    runs.start_move("tiny", plan, b'{"instances": [[1, 1, 1, 1]]}')
    runs.wait(runs.runs("tiny")[0].run_id, 90)
"""
STEPS = (
    "weighted-sum.onnx is",
    "Packing",
    "Started",
    "Asking for",
    "Both give",
    "tiny is now",
    "Stopping",
)


@pytest.mark.parametrize(
    "where", [pytest.param(s, marks=() if s == "tiny is now" else pytest.mark.slow) for s in STEPS]
)
def test_a_move_killed_anywhere_is_finished_by_the_next_process(
    where: str, old: Plan, advisor_home: Path, tmp_path: Path
) -> None:
    new, file = planned(), tmp_path / "plan.json"
    file.write_text(new.model_dump_json())
    runs.shutdown()
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DYING), where, str(file)],
        cwd=ROOT, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert killed.returncode == 9
    run = runs.runs("tiny")[0]
    assert run.is_active
    runs.launch()
    assert runs.wait(run.run_id, LIMIT_S).state == "succeeded"
    assert "goes on in another" in said(run.run_id)
    [found] = runs.deployments()
    assert (found.name, found.plan.name) == ("tiny", "tiny-2")
    assert len(servers(advisor_home)) == 1


def test_the_terminal_moves_it(
    old: Plan, advisor_home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    port = local_process.free_port()
    move = ["move", "tiny", "--to", "docker-host", "--port", str(port)]
    assert main(move) == 2
    told = capsys.readouterr()
    assert "pass --yes" in told.err
    assert "Cost a month: $0.00 before, $0.00 after" in told.out
    assert main([*move, "--yes"]) == 0
    told = capsys.readouterr()
    assert f"tiny is now tiny-2 at http://127.0.0.1:{port}" in told.out
    assert main(["list"]) == 0
    assert f"http://127.0.0.1:{port}" in capsys.readouterr().out
    rows = tmp_path / "rows.json"
    rows.write_bytes(ROW)
    assert main(["predict", "tiny", "--input", str(rows)]) == 0
    assert "10.0" in capsys.readouterr().out


def test_what_is_asked_wrongly_is_one_line(old: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    for given, told in (
        (["nobody", "--to", "docker-host"], "'nobody'"),
        (["tiny", "--to", "moon"], "'moon' names no place"),
        (["tiny", "--to", "ecs:moon"], "ecs:fargate"),
        (["tiny", "--to", "docker-host"], "is on docker-host already"),
        (["tiny", "--to", "docker-host", "--sample", "/none"], "cannot read /none"),
    ):
        capsys.readouterr()
        assert main(["move", *given, "--yes"]) == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        assert told in line


@pytest.mark.slow
def test_a_changed_model_is_not_moved(
    local_request: Callable[..., PlanRequest], onnx_model: Path, advisor_home: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(onnx_model.read_bytes())
    plan = LocalTarget().plan(local_request(mine))
    try:
        runs.wait(runs.start_apply(plan), LIMIT_S)
        mine.write_bytes(onnx_model.read_bytes() + b"\0")
        with pytest.raises(InputError, match="is not the model that tiny serves"):
            planned()
    finally:
        runs.shutdown(finish_s=20)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([0.1, 2.0], [0.100001, 2.0], True),
        ([0.1], [0.101], False),
        ([{"label": "a", "score": 1.0}], [{"label": "a", "score": 1.0}], True),
        ([{"label": "a"}], [{"label": "b"}], False),
        ([1], [1, 1], False),
        ([True], [1], True),
        (["a"], [1], False),
        ({"x": None}, {"x": None}, True),
    ],
)
def test_answers_are_the_same_within_rounding(one: object, other: object, same: bool) -> None:
    assert (moving.difference(one, other) is None) is same


@pytest.mark.parametrize(
    ("name", "in_use", "expected"),
    [
        ("fraud", [], "fraud-2"),
        ("fraud", ["fraud-2"], "fraud-3"),
        ("fraud-2", ["fraud"], "fraud-3"),
        ("x" * 40, [], "x" * 38 + "-2"),
    ],
)
def test_names_beside(name: str, in_use: list[str], expected: str) -> None:
    assert moving.beside(name, in_use) == expected
