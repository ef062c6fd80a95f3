"""What a plan for this machine says of a deployment that runs already, before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deploy.requests import PlanRequest
from deploy.target import Plan
from deploy.targets import local_process
from deploy.targets.local import LocalTarget

Request = Callable[..., PlanRequest]
LOCAL = LocalTarget()


def said(plan: Plan) -> list[tuple[str, str]]:
    return [(thing.action, thing.kind) for thing in plan.resources]


def test_an_update_says_what_it_takes_the_place_of_and_who_has_to_be_told(
    local_request: Request, joblib_model: Path, onnx_model: Path, advisor_home: Path
) -> None:
    first = LOCAL.plan(local_request(joblib_model))
    assert {action for action, _ in said(first)} == {"create"}
    running = LOCAL.apply(first, lambda _: None)
    try:
        port = int(running.outputs["port"])
        update = LOCAL.plan(local_request(onnx_model))
        assert said(update) == [
            ("replace", "process"), ("replace", "port"), ("create", "directory"),
            ("keep", "directory"), ("keep", "file"),
        ]  # fmt: skip
        details = {thing.kind: thing.detail for thing in update.resources[:2]}
        assert f"in the place of process {running.outputs['pid']}" in details["process"]
        assert f"127.0.0.1:{port}: whoever calls that needs the new address" in details["port"]
        assert update.resources[3].name == running.outputs["bundle"]

        same_port = LOCAL.plan(local_request(onnx_model, port=port))
        assert ("keep", "port") in said(same_port)
        again = LOCAL.plan(local_request(joblib_model))
        assert {action for action, _ in said(again)} == {"keep"}
        moved = LOCAL.plan(local_request(joblib_model, port=local_process.free_port()))
        assert said(moved) == [
            ("replace", "process"), ("replace", "port"), ("keep", "directory"), ("keep", "file"),
        ]  # fmt: skip
    finally:
        LOCAL.destroy(first, lambda _: None)
