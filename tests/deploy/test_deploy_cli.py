"""`python -m deploy`: what it prints, its exit codes, and several terminals at once."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from deploy.cli import main
from deploy.files import locked
from deploy.targets import local_process

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS: dict[str, Any] = {
    "model": {"format": "onnx", "size_mb": 1, "memory_mb": 200, "service_time_ms": 2},
    "traffic": {"mode": "realtime", "requests_per_month": 100_000},
    "placement": {"clouds": ["own-hardware"], "node_hourly_usd": 0.1},
}
LIMIT_S = 120


@pytest.fixture
def requirements_file(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.yaml"
    path.write_text(yaml.safe_dump(REQUIREMENTS))
    return path


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Deploy = Callable[..., Done]


@pytest.fixture
def deploy(advisor_home: Path, capsys: pytest.CaptureFixture[str]) -> Deploy:
    """deploy(*arguments): the command in this process, with nobody at the terminal."""

    def run(*arguments: str | Path) -> Done:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stopped:  # argparse
            code = int(stopped.code or 0)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def plan_file(deploy: Deploy, onnx_model: Path, requirements_file: Path) -> Path:
    out = requirements_file.with_name("plan.json")
    done = deploy(*plan_arguments("docker-host", onnx_model, requirements_file, out))
    assert done.returncode == 0, done.stderr
    return out


def terminal(*arguments: str | Path, **streams: Any) -> subprocess.Popen[str]:
    """The command as a process of its own, which hears Ctrl-C also when the tests run in the
    background of a shell that does not."""
    command = [sys.executable, "-m", "deploy", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | streams
    return subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **pipes,
    )


def plan_arguments(option: str, model: Path, requirements: Path, out: Path) -> list[str | Path]:
    named: list[str | Path] = ["--target", option, "--model", model]
    return ["plan", *named, "--requirements", requirements, "--out", out]


def one_line(done: Done, code: int) -> str:
    """The single line on stderr of a command that went wrong."""
    assert done.returncode == code, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert "Traceback" not in line
    return line


def test_the_whole_way(
    deploy: Deploy, advisor_home: Path, onnx_model: Path, requirements_file: Path, tmp_path: Path
) -> None:
    out, ask = tmp_path / "plan.json", tmp_path / "ask.json"
    ask.write_text('{"instances": [[1, 1, 1, 1]]}')
    planned = deploy(*plan_arguments("docker-host", onnx_model, requirements_file, out))
    assert planned.returncode == 0, planned.stderr
    for told in ("weighted-sum", "this machine", "$0.00", "process", "127.0.0.1 only"):
        assert told in planned.stdout
    assert json.loads(out.read_text())["target"] == "local"

    dropped = deploy("discard", out)  # planning for this machine writes nothing
    assert (dropped.returncode, "nothing was changed" in dropped.stdout) == (0, True)
    asked = deploy("apply", out)
    assert "--yes" in one_line(asked, 2)
    assert "$0.00" in asked.stdout  # shown before asking

    applied = deploy("apply", out, "--yes")
    assert applied.returncode == 0, applied.stderr
    assert 'The endpoint answered {"predictions": [0.0]}' in applied.stdout
    assert "curl -s -X POST http://127.0.0.1:" in applied.stdout

    [listed] = json.loads(deploy("list", "--format", "json").stdout)
    assert (listed["name"], listed["state"]) == ("weighted-sum", "running")
    status = json.loads(deploy("status", "weighted-sum", "--format", "json").stdout)
    assert status["endpoint"] == listed["endpoint"]
    answer = deploy("predict", "weighted-sum", "--input", ask)
    assert json.loads(answer.stdout)["predictions"] == [10.0]

    assert "--yes" in one_line(deploy("destroy", "weighted-sum"), 2)
    destroyed = deploy("destroy", "weighted-sum", "--yes", "--format", "json")
    assert destroyed.returncode == 0, destroyed.stderr
    assert json.loads(destroyed.stdout)["state"] == "succeeded"
    assert local_process.identity(int(status["outputs"]["pid"])) is None
    assert "no deployments" in deploy("list").stdout
    assert "destroyed" in deploy("status", "weighted-sum").stdout
    assert deploy("destroy", "weighted-sum", "--yes").returncode == 0


def test_two_terminals_at_once_make_one_deployment(plan_file: Path, advisor_home: Path) -> None:
    both = [terminal("apply", plan_file, "--yes") for _ in range(2)]
    said = [one.communicate(timeout=LIMIT_S)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert len(local_process.strays(advisor_home.resolve())) == 1


def test_a_terminal_is_asked_and_ctrl_c_takes_the_apply_back(
    deploy: Deploy, plan_file: Path, advisor_home: Path
) -> None:
    ours, theirs = pty.openpty()
    with locked(advisor_home / "deployments" / ".weighted-sum.lock", wait_s=5, busy="never"):
        process = terminal("apply", plan_file, stdin=theirs, stderr=subprocess.PIPE)
        os.write(ours, b"y\n")
        read_until("Apply weighted-sum? [y/N]", process)
        read_until("Waiting", process)
        process.send_signal(signal.SIGINT)
        read_until("Asked to cancel", process)
    _, problem = process.communicate(timeout=LIMIT_S)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 1
    assert "cancelled; what the run made was taken back" in problem
    assert local_process.strays(advisor_home.resolve()) == []
    assert "no deployments" in deploy("list").stdout


def test_no_on_a_terminal_changes_nothing(plan_file: Path, advisor_home: Path) -> None:
    ours, theirs = pty.openpty()
    process = terminal("apply", plan_file, stdin=theirs)
    os.write(ours, b"n\n")
    said, _ = process.communicate(timeout=LIMIT_S)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 1
    assert "Nothing was changed." in said
    assert not (advisor_home / "deployments").exists()


def read_until(wanted: str, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if wanted in line:
            return
    raise AssertionError(f"the process ended without saying {wanted!r}")


def test_a_changed_model_makes_the_plan_stale(
    deploy: Deploy, advisor_home: Path, onnx_model: Path, requirements_file: Path, tmp_path: Path
) -> None:
    mine, out = tmp_path / "mine.onnx", tmp_path / "plan.json"
    mine.write_bytes(onnx_model.read_bytes())
    assert deploy(*plan_arguments("docker-host", mine, requirements_file, out)).returncode == 0
    mine.write_bytes(onnx_model.read_bytes() + b"\0")
    assert "plan again" in one_line(deploy("apply", out, "--yes"), 2)


def test_a_port_can_be_asked_for(
    deploy: Deploy, advisor_home: Path, onnx_model: Path, requirements_file: Path, tmp_path: Path
) -> None:
    port, out = local_process.free_port(), tmp_path / "plan.json"
    arguments = plan_arguments("docker-host", onnx_model, requirements_file, out)
    assert deploy(*arguments, "--port", str(port)).returncode == 0
    assert json.loads(out.read_text())["parameters"]["port"] == port
    assert "1024 to 65535" in one_line(deploy(*arguments, "--port", "80"), 2)


def test_public_is_refused_where_nothing_can_be(
    deploy: Deploy, onnx_model: Path, requirements_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.json"
    asked = plan_arguments("docker-host", onnx_model, requirements_file, out)
    done = deploy(*asked, "--public")
    assert done.returncode == 2
    assert "docker-host cannot be reached from the internet" in done.stderr
    assert "ecs-fargate" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "changes", "code", "told"),
    [
        ("docker-host", {"placement": {"clouds": ["aws"]}}, 3, "add own-hardware to placement"),
        ("docker-host", {"control": {"canary": True}}, 3, "you ask for canaries"),
        ("local", {}, 2, "'local' is a target; name an option that is deployed there: docker-host"),
        ("docker-hots", {}, 2, "did you mean docker-host"),
        ("docker-host", {"traffic": {"mode": "sometimes"}}, 2, "traffic.mode"),
    ],
)
def test_a_plan_that_cannot_be(
    deploy: Deploy,
    option: str,
    changes: dict[str, Any],
    code: int,
    told: str,
    advisor_home: Path,
    onnx_model: Path,
    tmp_path: Path,
) -> None:
    need = {k: dict(v) for k, v in REQUIREMENTS.items()}
    for section, values in changes.items():
        need[section] = need.get(section, {}) | values
    file, out = tmp_path / "need.json", tmp_path / "plan.json"
    file.write_text(json.dumps(need))
    assert told in one_line(deploy(*plan_arguments(option, onnx_model, file, out)), code)
    assert not out.exists()


def test_files_that_are_not_what_they_should_be(
    deploy: Deploy, advisor_home: Path, onnx_model: Path, requirements_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.json"
    no_model = tmp_path / "none.onnx"
    assert "none.onnx" in one_line(
        deploy(*plan_arguments("docker-host", no_model, requirements_file, out)), 2
    )
    nowhere = tmp_path / "no" / "plan.json"
    assert "cannot write" in one_line(
        deploy(*plan_arguments("docker-host", onnx_model, requirements_file, nowhere)), 2
    )
    assert "cannot read" in one_line(deploy("apply", out, "--yes"), 2)
    assert "cannot read" in one_line(deploy("discard", out), 2)
    out.write_text("{")
    assert "neither JSON nor YAML" in one_line(deploy("apply", out, "--yes"), 2)
    out.write_text("name: only")
    assert "is not a plan" in one_line(deploy("apply", out, "--yes"), 2)


@pytest.mark.parametrize(
    "arguments",
    [("status", "nobody"), ("destroy", "nobody", "--yes"), ("predict", "nobody", "--input", "x")],
)
def test_an_unknown_deployment(
    deploy: Deploy, arguments: tuple[str, ...], advisor_home: Path
) -> None:
    assert "'nobody'" in one_line(deploy(*arguments), 2)


def test_a_wrong_command_is_one_line(deploy: Deploy, advisor_home: Path) -> None:
    assert "--help" in one_line(deploy("weigh", "x"), 2)
    assert "PLAN" in one_line(deploy("apply"), 2)


def test_a_trial_whose_hour_has_passed_is_asked_for(
    deploy: Deploy, plan_file: Path, advisor_home: Path
) -> None:
    """Nobody here took it down, so what the runs know is not the truth any more."""
    over = json.loads(plan_file.read_text()) | {"expires_at": "2026-01-01T00:00:00Z"}
    plan_file.write_text(json.dumps(over))
    assert deploy("apply", plan_file, "--yes").returncode == 0
    listed = deploy("list").stdout
    assert "EXPIRY" in listed
    assert "running  expired" in listed
    [server] = local_process.strays(advisor_home.resolve())
    server.kill()
    [found] = json.loads(deploy("list", "--format", "json").stdout)
    assert found["state"] not in ("running", "destroyed")
    assert deploy("destroy", "weighted-sum", "--yes").returncode == 0
