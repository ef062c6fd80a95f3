"""The Lambda image's handler, and the real Runtime Interface Client against a stand-in for AWS's
runtime API on the loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lambda_runtime import Environment
from deploy.artifact import Artifact
from deploy.bundle.pack import Bundle, pack

ROW = [0.0] * 30


def http_api(path: str, body: Any, method: str = "POST", **headers: str) -> dict[str, Any]:
    """An event as API Gateway's HTTP API (payload 2.0) and function URLs send it."""
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json", **headers},
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"},
            "stage": "$default", "requestId": "1",
        },
        "body": body if isinstance(body, str) else json.dumps(body), "isBase64Encoded": False,
    }  # fmt: skip


def rest_api(path: str, body: Any) -> dict[str, Any]:
    """An event as API Gateway's REST API (payload 1.0) sends it."""
    return {
        "resource": "/{proxy+}", "path": path, "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"}, "multiValueHeaders": {},
        "queryStringParameters": None, "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "127.0.0.1"}},
        "body": json.dumps(body), "isBase64Encoded": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def bundle(artifacts: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pack(artifacts["onnx"], tmp_path_factory.mktemp("lambda") / "b", variant="lambda")


EVENTS: dict[str, dict[str, Any]] = {
    "http": http_api("/predict", {"instances": [ROW, ROW]}),
    "ping": http_api("/ping", "", "GET"),
    "rest": rest_api("/invocations", [ROW]),
    "wrong": http_api("/predict", "[1"),
    "nowhere": http_api("/nowhere", "", "GET"),
    "direct": {"instances": [ROW], "parameters": {"method": "predict"}},
    "direct wrong": {"instances": [[1, 2]]},
}


@pytest.fixture(scope="module")
def answers(bundle: Bundle) -> dict[str, Any]:
    """Each event's answer from one process, as one warm instance would give it."""
    code = (
        "import json, sys\n"
        "from model_server.lambda_handler import handler\n"
        "for line in sys.stdin:\n"
        "    name, event = json.loads(line)\n"
        "    try:\n"
        "        found = handler(event, None)\n"
        "    except ValueError as wrong:\n"
        "        found = {'raised': str(wrong)}\n"
        "    print('ANSWER', json.dumps([name, found]))\n"
    )
    lines = "".join(json.dumps(item) + "\n" for item in EVENTS.items())
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=bundle.path, input=lines, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    told = [line[7:] for line in found.stdout.splitlines() if line.startswith("ANSWER")]
    return dict(json.loads(line) for line in told)


def test_an_http_api_event_is_answered(answers: dict[str, Any]) -> None:
    found = answers["http"]
    assert found["statusCode"] == 200
    predictions = json.loads(found["body"])["predictions"]
    assert len(predictions) == 2
    assert set(predictions[0]) == {"label", "probabilities"}
    assert answers["ping"]["statusCode"] == 200


def test_a_rest_api_event_is_answered(answers: dict[str, Any]) -> None:
    assert answers["rest"]["statusCode"] == 200
    assert json.loads(answers["rest"]["body"])[0]["label"] in ("benign", "malignant")


def test_errors_come_back_as_http(answers: dict[str, Any]) -> None:
    assert answers["wrong"]["statusCode"] == 400
    assert answers["nowhere"]["statusCode"] == 404


def test_a_direct_invoke_is_answered_without_http(answers: dict[str, Any]) -> None:
    assert answers["direct"]["predictions"][0] in ("benign", "malignant")
    assert "has 2 features" in answers["direct wrong"]["raised"]


@pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is built for Linux alone")
def test_the_image_s_entry_point_serves_an_event(bundle: Bundle, tmp_path: Path) -> None:
    """`python -m awslambdaric model_server.lambda_handler.handler`, as the image starts it."""
    docker = (bundle.path / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "awslambdaric"]' in docker
    command = [sys.executable, "-m", "awslambdaric", "model_server.lambda_handler.handler"]
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    environment = Environment(command, bundle.path, tmp_path / "log", arn)
    try:
        well, answer = environment.invoke(EVENTS["http"], 60)
        assert environment.ready_s is not None
        wrong = environment.invoke({"instances": [[1, 2]]}, 60)
    finally:
        environment.stop()
    assert well, answer
    assert answer["statusCode"] == 200
    assert len(json.loads(answer["body"])["predictions"]) == 2
    assert wrong[0] is False
    assert "has 2 features" in wrong[1]["errorMessage"]
