"""The terminal on a whole account: what stands there whoever made it, and taking it down."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, client
from containers_support import only_the_bootstrap_is_left
from emulator.client import REGION, Emulator

from deploy.aws.session import AwsSettings
from deploy.cli import main
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator


def test_somebody_elses_deployment_is_seen_and_taken_down(
    emulator: Emulator, onnx_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
    target.apply(target.plan(asked(onnx_model, owner="ada")), Log())  # nothing of it is kept here
    client("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {
                "MetricName": "Invocations",
                "Dimensions": [
                    {"Name": "EndpointName", "Value": "mda-fraud"},
                    {"Name": "VariantName", "Value": "AllTraffic"},
                ],
                "Timestamp": datetime.now(UTC),
                "Value": 7,
            },
            *(
                {
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": "mda-fraud"},
                        {"Name": "VariantName", "Value": "AllTraffic"},
                    ],
                    "Timestamp": datetime.now(UTC),
                    "Value": microseconds,
                }
                for metric, microseconds in (("ModelLatency", 30_000), ("OverheadLatency", 5_000))
            ),
        ],
    )
    client("logs").put_retention_policy(
        logGroupName="/aws/sagemaker/Endpoints/mda-fraud", retentionInDays=365
    )
    account = ["list", "--account", "--region", REGION, "--drift"]
    assert main([*account, "--format", "json"]) == 0
    [seen] = json.loads(capsys.readouterr().out)
    assert (seen["name"], seen["target"], seen["state"]) == ("fraud", "sagemaker", "running")
    assert (seen["owner"], seen["recorded_here"], seen["expires_at"]) == ("ada", False, None)
    assert (seen["requests_last_hour"], seen["errors_last_hour"]) == (7, 0)
    assert 0 <= seen["hours_up"] < 1
    assert seen["p95_ms_last_hour"] == 35
    [changed] = seen["drift"]
    assert changed == "AWS::Logs::LogGroup /aws/sagemaker/Endpoints/mda-fraud (modified)"
    assert main(account) == 0
    told = capsys.readouterr().out
    assert "fraud  sagemaker  running  ada" in told
    assert f"fraud differs from its template: {changed}" in told

    assert main(["destroy", "fraud", "--region", REGION]) == 2
    assert "--yes" in capsys.readouterr().err
    assert main(["destroy", "--all", "--region", REGION]) == 2
    assert main(["destroy", "nobody", "--region", REGION, "--yes"]) == 2
    assert "there: fraud" in capsys.readouterr().err
    assert main(["destroy", "--all", "--region", REGION, "--yes"]) == 0
    assert "carries a deployment's tag any more" in capsys.readouterr().out
    assert only_the_bootstrap_is_left(emulator)
    assert main(account) == 0
    assert "Nothing of this tool stands" in capsys.readouterr().out


@pytest.mark.slow
def test_one_by_name_goes_as_wholly(
    emulator: Emulator, onnx_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
    target.apply(target.plan(asked(onnx_model)), Log())
    assert main(["destroy", "fraud", "--region", REGION, "--yes"]) == 0
    assert "Nothing of fraud is left" in capsys.readouterr().out
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "--account"], "--region us-east-1"),
        (["list", "--region", REGION], "go with --account"),
        (["list", "--account", "--region", "us-moon-1"], "such as us-"),
        (["destroy"], "--help"),
        (["destroy", "x", "--all"], "--help"),
        (["destroy", "Od d", "--region", REGION], "'od-d'"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    arguments: list[str], told: str, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as stopped:  # argparse
        code = int(stopped.code or 0)
    [line] = capsys.readouterr().err.strip().splitlines()
    assert (code, told in line) == (2, True), line
