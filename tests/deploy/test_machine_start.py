"""What a machine of its own does when it starts: the script itself, by bash, with tools that tell."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest
from template_views import decided

from deploy.aws.templates import load

KNOWN = {
    "AWS::Region": "eu-central-1", "AWS::StackName": "mda-fraud", "ImageUri": "acc/repo:bundle-1",
    "Logs": "/mda/fraud", "Targets": "arn:targets", "LookPolicy": "look", "TokenPolicy": "token",
    "Token": "arn:secret",
}  # fmt: skip
REPORT = "cfn-signal --exit-code {} --stack mda-fraud --resource Machines --region eu-central-1"
LIMIT_S = 60


def script(**parameters: str) -> str:
    """The user data under these parameters, as CloudFormation fills it in."""
    view = decided(load("ec2.yaml"), parameters)
    data = view["Resources"]["MachineTemplate"]["Properties"]["LaunchTemplateData"]
    text, names = data["UserData"]["Fn::Base64"]["Fn::Sub"]
    filled = {k: _put(v if isinstance(v, str) else v["Fn::Sub"], KNOWN) for k, v in names.items()}
    return _put(text, KNOWN | filled)


def _put(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(f"${{{name}}}", value)
    return re.sub(r"\$\{!(.+?)\}", r"${\1}", text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class Machine:
    """A machine whose tools write down how they were called, and answer what they are told to."""

    def __init__(self, directory: Path) -> None:
        self.tools, self.log = directory / "tools", directory / "log"
        self.tools.mkdir()
        self.log.touch()
        for name in ("dnf", "systemctl", "docker", "cfn-signal", "sleep", "curl", "aws"):
            self.tool(name, "")
        # It reads what it is sent: who writes to one that has gone ends by a signal.
        self.tool("docker", 'case "$*" in login*) cat > /dev/null;; esac')
        self.tool("curl", 'case "$*" in *instance-id*) echo i-1;; *) echo session;; esac')
        self.health("healthy")

    def tool(self, name: str, does: str) -> None:
        path = self.tools / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.log}\n{does}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def health(self, *states: str) -> None:
        """What the balancer says of the machine, once each; the last of them from then on."""
        left = self.log.with_name("states")
        left.write_text("\n".join(states) + "\n")
        shift = f"head -n 1 {left}; [ $(wc -l < {left}) = 1 ] || sed -i 1d {left}"
        self.tool("aws", f'case "$*" in elbv2*) {shift};; *) echo word;; esac')

    def starts(self, text: str) -> list[str]:
        subprocess.run(
            ["bash", "-c", text], env={"PATH": f"{self.tools}:/usr/bin:/bin"}, check=False,
            timeout=LIMIT_S, capture_output=True,
        )  # fmt: skip
        return self.log.read_text().splitlines()


def test_it_reports_once_the_balancer_sends_it_requests(machine: Machine) -> None:
    machine.health("initial", "initial", "unhealthy", "healthy")
    done = machine.starts(script(Reach="private"))
    assert done[-1] == REPORT.format(0)
    asked = [line for line in done if line.startswith("aws elbv2 describe-target-health")]
    assert len(asked) == 4
    assert "--target-group-arn arn:targets --targets Id=i-1" in asked[0]
    run = next(n for n, line in enumerate(done) if line.startswith("docker run"))
    assert run < done.index(asked[0])


@pytest.mark.parametrize("tool", ["dnf", "systemctl", "docker", "curl"])
def test_a_start_that_fails_is_reported_at_once(machine: Machine, tool: str) -> None:
    machine.tool(tool, "exit 7")
    done = machine.starts(script(Reach="private"))
    assert done[-1] == REPORT.format(7)
    assert not any(line.startswith("aws elbv2") for line in done)


def test_a_server_that_never_gets_healthy_is_reported_before_the_update_gives_up(
    machine: Machine,
) -> None:
    machine.health("unhealthy")
    done = machine.starts(script(Reach="private"))
    assert done[-1] == REPORT.format(1)
    waited_s = 10 * done.count("sleep 10")
    policy = load("ec2.yaml").content["Resources"]["Machines"]["UpdatePolicy"]
    yes, limit, otherwise = policy["AutoScalingRollingUpdate"]["PauseTime"]["Fn::If"]
    assert (yes, limit) == ("HasWayOut", "PT20M")
    assert otherwise == {"Ref": "StartPause"}
    assert 600 < waited_s <= 15 * 60  # five minutes for the start itself, and for what asking takes


def test_no_token_no_server_and_that_is_reported(machine: Machine) -> None:
    machine.tool("aws", 'case "$*" in secretsmanager*) exit 1;; *) echo word;; esac')
    done = machine.starts(script(Reach="certificate", CertificateArn="arn:cert"))
    assert done[-1] == REPORT.format(1)
    assert not any(line.startswith("docker run") for line in done)


@pytest.mark.parametrize("network", [{"Sealed": "true"}, {"VpcId": "vpc-1"}])
def test_where_cloudformation_may_not_be_reached_nothing_is_reported(
    machine: Machine, network: dict[str, str]
) -> None:
    """An update waits for a time there: a report that does not arrive would undo it."""
    done = machine.starts(script(Reach="private", **network))
    assert done[-1].startswith("docker run")
    assert not any(line.startswith("cfn-signal") for line in done)
    update = decided(load("ec2.yaml"), network)["Resources"]["Machines"]["UpdatePolicy"]
    rolling = update["AutoScalingRollingUpdate"]
    assert rolling["WaitOnResourceSignals"] is False
    assert rolling["PauseTime"] == {"Ref": "StartPause"}
