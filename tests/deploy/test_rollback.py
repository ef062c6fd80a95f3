"""Going back to the version before: on this machine, with real servers, killed and refused."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from advisor.errors import DeployError, InputError
from deploy import rollback, runs
from deploy.cli import main
from deploy.requests import PlanRequest
from deploy.run_models import RunState
from deploy.target import Plan
from deploy.targets import local_process
from deploy.targets.local import LocalTarget

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 90
ROW = b'{"instances": [[1, 1, 1, 1]]}'
Deploy = Callable[[float], Plan]


@pytest.fixture
def deploy(
    local_request: Callable[..., PlanRequest], advisor_home: Path, tmp_path: Path
) -> Iterator[Deploy]:
    """deploy(4.0): "tiny" is updated, from one and the same file, to the model that answers 4.0."""

    def update(answer: float) -> Plan:
        plan = LocalTarget().plan(local_request(written(tmp_path / "model.onnx", answer)))
        run = runs.wait(runs.start_apply(plan), LIMIT_S)
        assert run.state == "succeeded", run.error
        return plan

    yield update
    runs.shutdown(finish_s=20)


def written(path: Path, answer: float) -> Path:
    """An ONNX model that sums its four features, of which the first counts so much."""
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "sum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 1], [answer, 0, 0, 0])],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def went_back(name: str = "tiny") -> RunState:
    plan = rollback.plan_rollback(name)
    return runs.wait(runs.start_rollback(name, plan), LIMIT_S)


def answer(name: str = "tiny") -> float:
    plan = runs.deployment(name).plan
    body = LocalTarget().predict(plan, ROW, "application/json").body
    return float(body["predictions"][0])


def bundles(home: Path) -> int:
    return len(list((home / "deployments" / "tiny").glob("bundle-*")))


def said(run_id: str) -> str:
    return "\n".join(e.message for e in runs.events(run_id))


def test_the_version_before_serves_again_without_its_file_and_back_and_forth(
    deploy: Deploy, advisor_home: Path
) -> None:
    first = deploy(1.0)
    second = deploy(2.0)  # over the same file: nothing but what is kept knows the first
    run = went_back()
    assert (run.state, run.kind, run.error) == ("succeeded", "rollback", None)
    assert f"with the digest {first.model_digest[:12]}" in said(run.run_id)
    assert answer() == 1.0
    [found] = runs.deployments()
    assert (found.state, found.plan.model_digest) == ("running", first.model_digest)
    assert went_back().state == "succeeded"  # and forward again
    assert answer() == 2.0
    assert runs.deployment("tiny").plan.model_digest == second.model_digest
    deploy(3.0)
    assert bundles(advisor_home) == 2  # the one before, and no older one
    assert went_back().state == "succeeded"
    assert answer() == 2.0
    assert len(local_process.strays(advisor_home.resolve())) == 1
    runs.wait(runs.start_destroy("tiny"), LIMIT_S)
    assert not (advisor_home / "deployments" / "tiny").exists()


def test_what_is_not_kept_is_refused_in_a_sentence(
    deploy: Deploy, advisor_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(name: str = "tiny") -> str:
        capsys.readouterr()
        assert main(["rollback", name, "--yes"]) == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        return line

    assert "there is no deployment 'nobody'" in refused("nobody")
    deploy(1.0)
    assert "keeps no version before the one that runs" in refused()
    deploy(1.0)  # the same again is no update
    assert "keeps no version before the one that runs" in refused()
    runs.launch()  # the terminal has stopped it
    runs.wait(runs.start_destroy("tiny"), LIMIT_S)
    assert "tiny is destroyed" in refused()
    deploy(2.0)  # what was before the end is gone
    assert "keeps no version before" in refused()


@pytest.mark.slow
def test_the_terminal_says_what_changes_asks_and_goes_back(
    deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(1.0)
    deploy(2.0)
    assert main(["rollback", "tiny"]) == 2  # nobody to ask
    told = capsys.readouterr()
    assert "pass --yes" in told.err
    assert "Will serve again: the model" in told.out
    assert answer() == 2.0
    assert main(["rollback", "tiny", "--yes", "--format", "json"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert (run["kind"], run["state"]) == ("rollback", "succeeded")
    assert answer() == 1.0


@pytest.mark.slow
def test_one_that_does_not_come_up_leaves_what_served(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(1.0)
    deploy(2.0)
    plan = rollback.plan_rollback("tiny")
    with monkeypatch.context() as patch:

        def late(*_: object, **__: object) -> float:
            raise DeployError("the server was not ready in time")

        patch.setattr(local_process, "wait_ready", late)
        run = runs.wait(runs.start_rollback("tiny", plan), LIMIT_S)
    assert (run.state, run.error) == ("failed", "the server was not ready in time")
    assert runs.deployment("tiny").state == "running"
    assert answer() == 2.0
    assert went_back().state == "succeeded"  # and it may be tried again
    assert answer() == 1.0


@pytest.mark.slow
def test_an_update_that_gives_no_prediction_can_be_rolled_back(
    deploy: Deploy,
    local_request: Callable[..., PlanRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stands, and failed: just when going back is wanted."""
    deploy(1.0)
    plan = LocalTarget().plan(local_request(written(tmp_path / "model.onnx", 2.0)))
    with monkeypatch.context() as patch:

        def silent(*_: object) -> None:
            raise DeployError("no answer")

        patch.setattr(LocalTarget, "predict", silent)
        assert runs.wait(runs.start_apply(plan), LIMIT_S).state == "failed"
    assert runs.deployment("tiny").plan.bundle_hash == plan.bundle_hash
    assert went_back().state == "succeeded"
    assert answer() == 1.0


@pytest.mark.slow
def test_two_clicks_are_one_rollback_and_an_update_waits(deploy: Deploy, tmp_path: Path) -> None:
    deploy(1.0)
    second = deploy(2.0)
    plans = [rollback.plan_rollback("tiny") for _ in range(2)]
    ids: list[str] = []
    clicks = [
        threading.Thread(target=lambda p=p: ids.append(runs.start_rollback("tiny", p)))
        for p in plans
    ]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join(LIMIT_S)
    assert len(set(ids)) == 1
    assert rollback.active("tiny") == ids[0]
    with pytest.raises(DeployError, match="is being changed"):
        rollback.plan_rollback("tiny")
    with pytest.raises(DeployError, match="being changed by another rollback"):
        runs.start_apply(second)
    assert runs.wait(ids[0], LIMIT_S).state == "succeeded"
    assert rollback.active("tiny") is None


@pytest.mark.slow
def test_a_plan_is_refused_once_another_update_was_faster(deploy: Deploy) -> None:
    deploy(1.0)
    deploy(2.0)
    plan = rollback.plan_rollback("tiny")
    deploy(3.0)
    run = runs.wait(runs.start_rollback("tiny", plan), LIMIT_S)
    assert run.state == "failed"
    assert "so tiny cannot go back; plan again" in (run.error or "")
    assert answer() == 3.0


@pytest.mark.slow
def test_the_default_of_a_target_keeps_nothing(deploy: Deploy) -> None:
    from deploy.target import Target

    plan = deploy(1.0)
    with pytest.raises(InputError, match="docker-host keeps no version before"):
        Target.plan_rollback(LocalTarget(), plan, [])


DYING = """
    import os, sys
    from deploy import rollback, run_store, runs

    append = run_store.RunStore.append

    def append_and_die(self, run_id, event, **more):
        append(self, run_id, event, **more)
        if event.message.startswith(sys.argv[1]):
            os._exit(9)

    run_store.RunStore.append = append_and_die
    run_id = runs.start_rollback("tiny", rollback.plan_rollback("tiny"))
    runs.wait(run_id, 90)
"""
STEPS = ("Going back", "Started", "Process", "Stopping", "Asking for")


@pytest.mark.slow
@pytest.mark.parametrize("where", STEPS)
def test_one_that_is_killed_anywhere_is_finished_by_the_next_process(
    where: str, deploy: Deploy, advisor_home: Path
) -> None:
    deploy(1.0)
    deploy(2.0)
    runs.shutdown(finish_s=20)
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DYING), where], cwd=ROOT, check=False,
        timeout=LIMIT_S,
    )  # fmt: skip
    assert killed.returncode == 9
    [run] = [r for r in runs.runs("tiny") if r.kind == "rollback"]
    assert run.is_active
    runs.launch()
    assert runs.wait(run.run_id, LIMIT_S).state == "succeeded"
    assert "goes on in another" in said(run.run_id)
    assert answer() == 1.0
    assert len(local_process.strays(advisor_home.resolve())) == 1
    assert went_back().state == "succeeded"  # the other one is still kept
    assert answer() == 2.0
