"""The commands that a real account is tried with: `selftest`, and what is bootstrapped there."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulator.client import REGION, Emulator

from deploy.aws.__main__ import main
from deploy.cli import main as deploy

pytestmark = pytest.mark.emulator

SELFTEST = ["selftest", "--target", "sagemaker-realtime", "--region", REGION]


def test_selftest_status_and_remove(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--region", REGION]) == 0
    assert "the first apply makes the stack" in capsys.readouterr().out
    assert deploy([*SELFTEST, "--yes"]) == 0
    told = capsys.readouterr().out
    assert "# Self-test of sagemaker-realtime: passed" in told
    for verb in ("apply", "predict", "destroy"):
        assert f"| {verb} | yes |" in told
    assert "Left behind: nothing" in told
    assert emulator.state()["schedules"] == {}
    assert main(["status", "--region", REGION]) == 0
    assert "model-deployment-advisor: current" in capsys.readouterr().out
    assert main(["remove", "--region", REGION, "--yes"]) == 0
    assert emulator.state()["stacks"] == {}
    assert main(["remove", "--region", REGION, "--yes"]) == 0
    assert capsys.readouterr().out.endswith("There was nothing to remove\n")


@pytest.mark.slow
def test_a_selftest_that_fails_takes_down_what_it_made(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.fault("create AWS::SageMaker::Endpoint", "", "Insufficient capacity")
    assert deploy([*SELFTEST, "--yes"]) == 1
    told = capsys.readouterr().out
    assert "# Self-test of sagemaker-realtime: FAILED" in told
    assert "Insufficient capacity" in told
    assert "| destroy | yes |" in told
    assert "Left behind: nothing" in told


def test_errors_are_one_line_and_no_traceback(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert main(["status", "--region", REGION]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "no AWS credentials" in told
    for command in (["status"], ["remove", "--yes"]):
        assert main([*command, "--region", "eu-nowhere-1"]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert "'eu-nowhere-1' is no region" in line


def test_a_plan_that_cannot_be_written_down_leaves_nothing_that_waits(
    bootstrapped: None, emulator: Emulator, onnx_model: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    need, before = tmp_path / "need.json", emulator.state()["stacks"]
    need.write_text(
        '{"model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 8},'
        ' "traffic": {"mode": "realtime", "requests_per_month": 2000000}}'
    )
    plan = ["plan", "--target", "sagemaker-realtime", "--model", str(onnx_model)]
    nowhere = str(tmp_path / "no" / "plan.json")
    assert deploy([*plan, "--requirements", str(need), "--out", nowhere]) == 2
    assert "cannot write the plan" in capsys.readouterr().err
    assert emulator.state()["stacks"] == before


@pytest.mark.parametrize(
    ("more", "told"), [([], "pass --yes"), (["--yes", "--max-usd", "0"], "--max-usd is 0.00")]
)
def test_refusing_takes_the_plan_away(
    more: list[str], told: str, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy([*SELFTEST, *more]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert told in line
    assert emulator.state()["stacks"] == {}
