"""The packed bundle as a real process: every platform's routes, and predictions that agree."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pytest
from serving import Server

FORMS = ["joblib", "onnx"]
ROUTES = ["/invocations", "/predict", "/score", "/v1/models/model:predict"]


@pytest.fixture(scope="session")
def rows(examples: Path) -> list[list[float]]:
    return list(json.loads((examples / "breast_cancer_request.json").read_text())["instances"])


@pytest.fixture(scope="session")
def expected(examples: Path, rows: list[list[float]]) -> dict[str, tuple[list[str], Any]]:
    """(labels, probabilities) as each framework gives them without the server."""
    model = joblib.load(examples / "breast_cancer.joblib")
    array = np.array(rows)
    session = onnxruntime.InferenceSession(examples / "breast_cancer.onnx")
    labels, scores = session.run(None, {"features": array.astype(np.float32)})
    return {
        "joblib": (model.predict(array).tolist(), model.predict_proba(array)),
        "onnx": (labels.tolist(), scores),
    }


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("form", FORMS)
def test_every_route_gives_the_framework_s_own_predictions(
    form: str,
    route: str,
    servers: dict[str, Server],
    rows: list[list[float]],
    expected: dict[str, tuple[list[str], Any]],
) -> None:
    answer = servers[form].client.post(route, json={"instances": rows})
    assert answer.status_code == 200
    labels, scores = expected[form]
    found = answer.json()["predictions"]
    assert [p["label"] for p in found] == labels
    given = [[p["probabilities"]["benign"], p["probabilities"]["malignant"]] for p in found]
    np.testing.assert_allclose(given, scores, rtol=1e-6)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("form", FORMS)
def test_the_two_examples_are_the_same_model(
    form: str, expected: dict[str, tuple[list[str], Any]]
) -> None:
    assert expected[form][0] == expected["joblib"][0]
    np.testing.assert_allclose(expected[form][1], expected["joblib"][1], atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_kserve_v2_takes_and_gives_tensors(
    form: str,
    servers: dict[str, Server],
    rows: list[list[float]],
    expected: dict[str, tuple[list[str], Any]],
) -> None:
    client = servers[form].client
    flat = [value for row in rows for value in row]
    tensor = {"name": "features", "shape": [2, 30], "datatype": "FP64", "data": flat}
    answer = client.post("/v2/models/model/infer", json={"id": "a1", "inputs": [tensor]}).json()
    assert answer["id"] == "a1"
    predict, probabilities = answer["outputs"]
    assert (predict["name"], predict["datatype"], predict["shape"]) == ("predict", "BYTES", [2])
    assert predict["data"] == expected[form][0]
    np.testing.assert_allclose(
        np.reshape(probabilities["data"], probabilities["shape"]), expected[form][1], rtol=1e-6
    )
    described = client.get("/v2/models/model").json()
    assert described["inputs"][0]["shape"] == [-1, 30]


def test_health_and_metadata_routes(servers: dict[str, Server]) -> None:
    client = servers["onnx"].client
    for path in ("/ping", "/ready", "/live", "/v2/health/live", "/v2/health/ready",
                 "/v1/models/model", "/v2/models/model/ready", "/v2"):  # fmt: skip
        assert client.get(path).status_code == 200, path
    assert client.get("/v1/models").json() == {"models": ["model"]}
    assert client.get("/execution-parameters").json()["BatchStrategy"] == "MULTI_RECORD"
    assert client.head("/ping").status_code == 200


def test_the_docs_describe_this_model(servers: dict[str, Server]) -> None:
    client = servers["joblib"].client
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "mean radius" in page.text
    assert "benign, malignant" in page.text
    described = client.get("/openapi.json").json()
    assert {"/predict", "/invocations", "/score"} <= set(described["paths"])
    assert "mean radius" in described["info"]["description"]


def test_the_docs_page_loads_nothing_from_elsewhere(servers: dict[str, Server]) -> None:
    page = servers["onnx"].client.get("/docs")
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*['\"]?(?:https?:)?//", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_example_of_the_docs_page_is_answered(servers: dict[str, Server]) -> None:
    page = servers["joblib"].client.get("/docs").text
    example = html.unescape(page.split("<textarea id=body", 1)[1].split(">", 1)[1].split("<")[0])
    answer = servers["joblib"].client.post(
        "/predict", content=example, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 1


def test_metrics_count_what_was_answered(servers: dict[str, Server], rows: Any) -> None:
    client = servers["onnx"].client
    before = _metric(client.get("/metrics").text, 'model_requests_total{status="200"}')
    client.post("/predict", json={"instances": rows})
    after = _metric(client.get("/metrics").text, 'model_requests_total{status="200"}')
    assert after == before + 1
    assert _metric(client.get("/metrics").text, "model_ready") == 1


def test_bare_bodies_get_bare_answers(
    servers: dict[str, Server], rows: Any, expected: dict[str, tuple[list[str], Any]]
) -> None:
    client = servers["joblib"].client
    labels = expected["joblib"][0]
    assert [p["label"] for p in client.post("/predict", json=rows).json()] == labels
    assert [p["label"] for p in client.post("/predict", json=rows[0]).json()] == labels[:1]


def test_rows_may_be_records_by_feature_name(
    servers: dict[str, Server], rows: Any, examples: Path, expected: Any
) -> None:
    names = joblib.load(examples / "breast_cancer.joblib").feature_names_in_
    record = dict(reversed(list(zip(names, rows[0], strict=True))))
    client = servers["joblib"].client
    assert client.post("/predict", json=record).json()[0]["label"] == expected["joblib"][0][0]
    wrapped = client.post("/predict", json={"instances": [record]}).json()
    assert wrapped["predictions"][0]["label"] == expected["joblib"][0][0]


def test_csv_and_json_lines(servers: dict[str, Server], rows: Any, expected: Any) -> None:
    client = servers["joblib"].client
    text = "\n".join(",".join(map(str, row)) for row in rows)
    found = client.post("/invocations", content=text, headers={"content-type": "text/csv"})
    assert [p["label"] for p in found.json()] == expected["joblib"][0]
    found = client.post(
        "/invocations", content=text, headers={"content-type": "text/csv", "accept": "text/csv"}
    )
    assert found.headers["content-type"].startswith("text/csv")
    assert [line.split(",")[0] for line in found.text.splitlines()] == expected["joblib"][0]
    lines = "\n".join(json.dumps(row) for row in rows)
    kind = "application/jsonlines"
    found = client.post(
        "/invocations", content=lines, headers={"content-type": kind, "accept": kind}
    )
    assert [json.loads(v)["label"] for v in found.text.splitlines()] == expected["joblib"][0]


def test_the_method_parameter(servers: dict[str, Server], rows: Any, expected: Any) -> None:
    for form, server in servers.items():
        labels, scores = expected[form]
        for method, wanted in (("predict", labels), ("predict_proba", scores.tolist())):
            body = {"instances": rows, "parameters": {"method": method}}
            found = server.client.post("/predict", json=body).json()["predictions"]
            if method == "predict":
                assert found == wanted
            else:
                np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_many_clients_at_once_each_get_their_own_answer(servers: dict[str, Server]) -> None:
    """Batching may merge rows of several requests; nobody gets another's answer."""
    from concurrent.futures import ThreadPoolExecutor

    client = servers["joblib"].client
    rng = np.random.default_rng(0)
    batches = [rng.normal(20, 5, size=(1 + i % 3, 30)).tolist() for i in range(60)]

    def ask(rows: list[list[float]]) -> Any:
        return client.post("/predict", json={"instances": rows}).json()["predictions"]

    alone = [ask(rows) for rows in batches]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, batches))
    for one, other in zip(alone, together, strict=True):
        assert [p["label"] for p in one] == [p["label"] for p in other]
        for a, b in zip(one, other, strict=True):
            assert a["probabilities"]["benign"] == pytest.approx(b["probabilities"]["benign"])


def test_request_ids_are_kept_and_payloads_are_not_logged(
    servers: dict[str, Server], rows: Any
) -> None:
    import time

    server = servers["onnx"]
    marked = [*rows[0][:29], 987654.321]
    answer = server.client.post("/predict", json=[marked], headers={"x-request-id": "trace-42"})
    assert answer.headers["x-request-id"] == "trace-42"
    until = time.monotonic() + 10
    while not (mine := [e for e in server.events() if e.get("request_id") == "trace-42"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (mine[0]["status"], mine[0]["rows"], mine[0]["path"]) == (200, 1, "/predict")
    assert "987654" not in server.log.read_text()


def test_an_onnx_bundle_imports_no_scikit_learn(bundles: dict[str, Any]) -> None:
    code = (
        "import sys\n"
        "from model_server.service import Service\n"
        "from model_server.settings import Settings\n"
        "Service(Settings()).load()\n"
        "assert 'onnxruntime' in sys.modules\n"
        "print([m for m in ('sklearn', 'scipy', 'pandas', 'fastapi', 'onnx') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=bundles["onnx"].path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert found.stdout.splitlines()[-1] == "[]"


def _metric(text: str, name: str) -> float:
    line = next((v for v in text.splitlines() if v.startswith(f"{name} ")), f"{name} 0")
    return float(line.split()[-1])
