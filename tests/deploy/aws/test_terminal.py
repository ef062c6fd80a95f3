"""python -m deploy.aws: the commands that a real account is tried with."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulator.client import REGION, Emulator

from deploy.aws.__main__ import main

pytestmark = pytest.mark.emulator


def test_smoke_status_and_remove(
    emulator: Emulator, onnx_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--region", REGION]) == 0
    assert "the first apply makes the stack" in capsys.readouterr().out
    assert main(["smoke", "--region", REGION, str(onnx_model), "--yes"]) == 0
    told = capsys.readouterr().out
    assert "create AWS::SageMaker::Endpoint mda-smoke-test" in told
    assert "Prediction in" in told
    assert "Left behind: nothing" in told
    assert main(["status", "--region", REGION]) == 0
    assert "model-deployment-advisor: current" in capsys.readouterr().out
    assert main(["remove", "--region", REGION, "--yes"]) == 0
    assert emulator.state()["stacks"] == {}
    assert main(["remove", "--region", REGION, "--yes"]) == 0
    assert capsys.readouterr().out.endswith("There was nothing to remove\n")


def test_errors_are_one_line_and_no_traceback(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert main(["status", "--region", REGION]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "no AWS credentials" in told


def test_saying_no_takes_the_plan_away(
    emulator: Emulator, onnx_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["smoke", "--region", REGION, str(onnx_model)]) == 1
    assert emulator.state()["stacks"] == {}
