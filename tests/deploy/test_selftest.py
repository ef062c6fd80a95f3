"""`python -m deploy selftest` on this machine: real processes, real predictions, nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli import main
from deploy.targets import local_process


def test_this_machine_is_proven_and_left_empty(
    advisor_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.md"
    assert main(["selftest", "--target", "docker-host", "--yes", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert out.read_text() == said
    assert "# Self-test of docker-host: passed" in said
    for verb in ("plan", "apply", "status", "predict", "destroy"):
        assert f"| {verb} | yes |" in said
    assert "200 in" in said
    assert "Left behind: nothing" in said
    assert local_process.strays(advisor_home.resolve()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--target", "docker-host", "--region", "us-east-1"], "leave --region out"),
        (["--target", "ecs-fargate"], "--region us-east-1"),
        (["--target", "docker-hots"], "did you mean docker-host"),
        (["--target", "docker-host", "--max-usd", "nan"], "no sum of US dollars"),
        (["--target", "docker-host", "--max-usd", "-1"], "no sum of US dollars"),
        (["--target", "docker-host", "--model", "none.onnx"], "none.onnx"),
        (["--target", "docker-host"], "pass --yes"),
    ],
)
def test_what_cannot_be_tested_is_one_line(
    arguments: list[str], told: str, advisor_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["selftest", *arguments])
    except SystemExit as stopped:  # argparse
        code = int(stopped.code or 0)
    [line] = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert told in line
    assert local_process.strays(advisor_home.resolve()) == []
