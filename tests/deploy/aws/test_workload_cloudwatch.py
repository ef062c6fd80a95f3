"""The workload import against an emulated CloudWatch, and what it says when AWS refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from emulator.client import REGION, Emulator

from advisor.cli import main
from advisor.errors import TrafficError
from advisor.workload_import.cloudwatch import metrics_of, read_cloudwatch

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOUR = timedelta(hours=1)
SOURCES = (
    ("sagemaker:fraud/AllTraffic", "AWS/SageMaker", "Invocations",
     {"EndpointName": "fraud", "VariantName": "AllTraffic"}),
    ("lambda:score", "AWS/Lambda", "Invocations", {"FunctionName": "score"}),
    ("api:shop", "AWS/ApiGateway", "Count", {"ApiName": "shop"}),
    ("api:a1b2c3d4e5", "AWS/ApiGateway", "Count", {"ApiId": "a1b2c3d4e5"}),
    ("alb:app/front/50dc6c495c0c9188", "AWS/ApplicationELB", "RequestCount",
     {"LoadBalancer": "app/front/50dc6c495c0c9188"}),
)  # fmt: skip


def put(namespace: str, name: str, dimensions: dict[str, str], figures: dict[datetime, float]):
    client = boto3.client("cloudwatch", region_name=REGION)
    data = [
        {
            "MetricName": name,
            "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
            "Timestamp": at,
            "Value": value,
        }
        for at, value in figures.items()
    ]
    for part in range(0, len(data), 500):
        client.put_metric_data(Namespace=namespace, MetricData=data[part : part + 500])


@pytest.mark.emulator
@pytest.mark.parametrize(("source", "namespace", "metric", "dimensions"), SOURCES)
def test_the_traffic_of_each_source_is_read(
    emulator: Emulator, source: str, namespace: str, metric: str, dimensions: dict[str, str]
) -> None:
    hours = {NOW - i * HOUR: 100.0 + i % 24 for i in range(1, 7 * 24 + 1)}
    put(namespace, metric, dimensions, hours)
    found = read_cloudwatch(source, REGION, weeks=2)
    assert found.requests == sum(hours.values())
    assert found.requests_per_month == pytest.approx(sum(hours.values()) / 168 * 730)
    assert found.weeks == pytest.approx(1)
    slot = (NOW - HOUR).weekday() * 24 + (NOW - HOUR).hour
    assert found.pattern[slot] == 101


@pytest.mark.emulator
def test_latency_and_the_busiest_minute_of_an_endpoint(emulator: Emulator, capsys) -> None:
    pair = {"EndpointName": "fraud", "VariantName": "blue"}
    minutes = {NOW - timedelta(minutes=i): 6.0 for i in range(1, 24 * 60 + 1)}
    minutes[NOW - timedelta(minutes=90)] = 600.0
    put("AWS/SageMaker", "Invocations", pair, minutes)
    put("AWS/SageMaker", "ModelLatency", pair, dict.fromkeys(minutes, 12_500.0))
    assert main(
        ["workload", "--cloudwatch", "sagemaker:fraud/blue", "--region", REGION, "--weeks", "1",
         "--format", "json"]
    ) == 0  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert found["model_latency_ms"] == pytest.approx(12.5)
    assert found["peak_requests_per_second"] == pytest.approx(10)
    assert found["hours_filled"] > 100  # a day says little of a week, and that is said


@pytest.mark.emulator
def test_no_figures_and_refusals_are_one_clear_sentence(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    ask = ["workload", "--cloudwatch", "lambda:nobody", "--region", REGION]
    assert main(ask) == 2
    assert "CloudWatch holds no Invocations of the function nobody in us-east-1" in (
        capsys.readouterr().err
    )
    for code, said in (
        ("ExpiredToken", "the AWS credentials have expired"),
        ("AccessDenied", "ask for cloudwatch:GetMetricData"),
        ("InvalidClientTokenId", "does not know these credentials"),
    ):
        emulator.fault("monitoring.GetMetricData", code, "no")
        assert main(ask) == 2
        err = capsys.readouterr().err
        assert said in err, code
        assert err.count("\n") == 1
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert main(ask) == 2
    assert "no AWS credentials were found" in capsys.readouterr().err


@pytest.mark.emulator
def test_throttling_is_waited_out(emulator: Emulator) -> None:
    put("AWS/Lambda", "Invocations", {"FunctionName": "score"}, {NOW - 5 * HOUR: 50.0})
    emulator.fault("monitoring.GetMetricData", "Throttling", "Rate exceeded", times=2)
    assert read_cloudwatch("lambda:score", REGION, weeks=1).requests == 50


def test_every_page_is_read_and_alternatives_add_up() -> None:
    client = boto3.client(
        "cloudwatch", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    at = [NOW - i * HOUR for i in range(1, 5)]

    def page(identity: str, times: list[datetime], token: str | None) -> dict[str, object]:
        result = {"Id": identity, "Label": "x", "StatusCode": "Complete", "Timestamps": times,
                  "Values": [10.0] * len(times)}  # fmt: skip
        return {"MetricDataResults": [result]} | ({"NextToken": token} if token else {})

    with Stubber(client) as stub:
        stub.add_response("get_metric_data", page("q0", at[:2], "more"))
        stub.add_response("get_metric_data", page("q1", at[1:3], "again"))
        stub.add_response("get_metric_data", page("q0", at[3:], None))
        stub.add_response("get_metric_data", page("q0", [], None))
        found = read_cloudwatch("api:shop", client=client, now=NOW)
        stub.assert_no_pending_responses()
    assert found.requests == 50
    assert found.rows == 4


def test_no_region_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(TrafficError, match="no AWS region was given; name one with --region"):
        read_cloudwatch("lambda:score")


def test_sources_are_understood_or_refused() -> None:
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/front/50dc"
    assert metrics_of(f"alb:{arn}").dimensions == ((("LoadBalancer", "app/front/50dc"),),)
    assert metrics_of("sagemaker:fraud").dimensions[0][1] == ("VariantName", "AllTraffic")
    for bad in ("", "fraud", "redis:x", "lambda:", "lambda:a\nb"):
        with pytest.raises(TrafficError):
            metrics_of(bad)
    with pytest.raises(TrafficError, match="ask for 1 to 15"):
        read_cloudwatch("lambda:x", REGION, weeks=99)
