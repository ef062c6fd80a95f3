"""Wrong input: the status, and a sentence that names what is wrong."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_server import loaders
from model_server.errors import RequestError
from model_server.payload import Decoder
from model_server.signature import Signature
from serving import Server

from deploy.artifact import inspect


def npy(rows: Any) -> bytes:
    out = io.BytesIO()
    array = np.asarray(rows)
    np.save(out, array.astype("f4") if array.dtype.kind == "f" else array, allow_pickle=True)
    return out.getvalue()


def npy_of(shape: str) -> bytes:
    """An array of thirty numbers whose header claims another shape."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"\0" * 120


GOOD = [float(i) for i in range(30)]
BAD: list[tuple[str, str, Any, int, str, str]] = [
    # form, content type, body, status, code, words
    ("onnx", "application/json", b"", 400, "empty_body", "empty"),
    ("onnx", "application/json", b"   ", 400, "empty_body", "empty"),
    ("onnx", "application/json", b"[1, 2", 400, "json", "position 5"),
    ("onnx", "application/json", b'{"instances": [[NaN]]}', 400, "json", "missing value is null"),
    ("onnx", "application/json", b"[[1,\n -Infinity]]", 400, "json", "-Infinity at line 2"),
    ("onnx", "application/xml", b"<a/>", 415, "content_type", "application/xml"),
    ("onnx", "application/x-www-form-urlencoded", b"[]", 415, "content_type", "curl"),
    ("onnx", "application/json", b"\x1f\x8b\x08\x00", 415, "compressed", "compressed"),
    ("onnx", "application/json", b"\x28\xb5\x2f\xfd\x04", 415, "compressed", "compressed"),
    ("onnx", "application/octet-stream", npy([GOOD]), 415, "content_type", "application/x-npy"),
    ("onnx", "application/x-npy", b"[[1]]", 400, "npy", "cannot be read"),
    ("onnx", "application/x-npy", npy([GOOD])[:-1], 400, "npy", "119 follow"),
    ("onnx", "application/x-npy", npy_of("(1, 1000000000000, 30)"), 400, "npy", "120 follow"),
    ("onnx", "application/x-npy", npy_of("(" * 900), 400, "npy", "cannot be read"),
    ("onnx", "application/x-npy", npy_of("(-1, -30)"), 400, "npy", "shape (-1, -30)"),
    ("onnx", "application/x-npy", npy_of("()"), 400, "npy", "shape ()"),
    ("onnx", "application/x-npy", npy([[{"a": 1}]]), 422, "npy", "a pickle and never read"),
    ("onnx", "application/x-npy", npy([[1j] * 30]), 422, "npy", "complex128"),
    ("onnx", "application/x-npy", npy(np.empty((0, 30))), 422, "no_rows", "empty"),
    ("onnx", "application/x-npy", npy([GOOD[:7]]), 422, "features", "has 7 features"),
    ("onnx", "application/x-npy", npy([[GOOD]]), 422, "features", "has 1"),
    ("onnx", "application/x-npy", npy([["a"] * 30]), 422, "type", "a text ('a')"),
    ("onnx", "application/x-npy", npy([[*GOOD[:29], np.nan]]), 422, "not_finite", "feature 29"),
    ("onnx", "application/json", [], 422, "no_rows", "empty"),
    ("onnx", "application/json", {"instances": []}, 422, "no_rows", "empty"),
    ("onnx", "application/json", {"instances": 3}, 422, "instances", "a number"),
    ("onnx", "application/json", "text", 422, "shape", "a text"),
    ("onnx", "application/json", [GOOD[:29]], 422, "features", "has 29 features"),
    ("joblib", "application/json", [[*GOOD, 1]], 422, "features", "takes 30: mean radius"),
    ("onnx", "application/json", [GOOD, GOOD[:5]], 422, "features", "row 1 has 5"),
    ("onnx", "application/json", [[*GOOD[:29], None]], 422, "missing", "feature 29"),
    ("onnx", "application/json", [[*GOOD[:29], "7"]], 422, "type", "a text ('7')"),
    ("onnx", "application/json", [[*GOOD[:29], 1e300]], 422, "not_finite", "too large"),
    ("onnx", "application/json", [[*GOOD[:29], [1]]], 422, "type", "a list"),
    ("onnx", "application/json", [[GOOD]], 422, "features", "has 1"),
    ("onnx", "application/json", [{"a": 1}], 422, "names", "does not know feature names"),
    ("onnx", "application/json", [[]], 422, "features", "row 0 has no features"),
    ("onnx", "application/json", [[1]], 422, "features", "row 0 has 1 feature;"),
    ("onnx", "application/json", {"data": [GOOD]}, 422, "envelope", "has 'data' and no"),
    ("joblib", "application/json", {"inputs": [GOOD]}, 422, "envelope", "'inputs' and no"),
    ("onnx", "application/json", "[]".encode("utf-16"), 400, "json", "not UTF-8 text"),
    ("onnx", "multipart/form-data; boundary=x", b"--x", 415, "content_type", "--data-binary"),
    ("joblib", "application/json", [{"mean radius": 1, "x": 2}], 422, "names", "lacks 29"),
    ("joblib", "application/json", [{"mean radius": 1, "x": 2}], 422, "names", "'x'"),
    ("onnx", "application/json", {"instances": [GOOD], "parameters": {"method": "guess"}},
     422, "parameters", "guess"),
    ("onnx", "application/json", {"instances": [GOOD], "parameters": 3}, 422, "parameters", ""),
    ("onnx", "text/csv", b"\xff\xfe", 400, "csv", "UTF-8"),
    ("onnx", "text/csv", b'1,2,"3', 400, "csv", "cannot be read"),
    ("onnx", "text/csv", b"1,2,abc", 422, "type", "'abc'"),
    ("onnx", "text/csv", b"1,2", 422, "features", "has 2 features"),
    ("onnx", "application/jsonlines", b"[1]\n[2", 400, "json", "line 2"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "kind", "body", "status", "code", "words"), BAD)
def test_wrong_input_is_named(
    form: str, kind: str, body: Any, status: int, code: str, words: str, servers: dict[str, Server]
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = servers[form].client.post("/predict", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert words in answer.json()["error"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([{"a": 1}], "as a list of numbers"),
        ([[]], "row 0 is empty"),
        ({"x": [1]}, "has 'x' and no"),
    ],
)
def test_a_model_that_tells_nothing_of_its_rows_says_so_in_plain_words(
    body: Any, words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        Decoder(Signature(input_dtype="float32")).decode(json.dumps(body).encode(), "")


@pytest.mark.parametrize("path", ["/predict", "/v2/models/model/infer"])
@pytest.mark.parametrize(
    ("name", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", None), ("zstd, br", None)],
)
def test_a_packed_body_is_told_by_its_encoding(
    path: str, name: str, pack: Any, servers: dict[str, Server]
) -> None:
    body = pack(json.dumps([GOOD]).encode()) if pack else b"\x8b\x05\x80[[1]]\x03"
    for more in ({}, {"connection": "close"}):  # the short road and the long one
        answer = servers["onnx"].client.post(
            path, content=body, headers={"content-encoding": name, **more}
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "encoding")
        assert repr(name) in answer.json()["error"]
        assert answer.headers["accept-encoding"] == "identity"
    plain = {"content-encoding": "identity"}
    assert servers["onnx"].client.post("/predict", json=[GOOD], headers=plain).status_code == 200


@pytest.mark.parametrize("form", ["onnx", "joblib"])
@pytest.mark.parametrize("layout", ["<f4", ">f8", "column by column", "one row", "<i8"])
def test_a_numpy_file_is_answered_as_its_rows_are(
    form: str, layout: str, servers: dict[str, Server]
) -> None:
    rows = np.arange(60.0).reshape(2, 30)
    if layout == "column by column":
        sent = np.asfortranarray(rows)
    elif layout == "one row":
        sent = rows = rows[0]
    else:
        sent = rows.astype(layout)
    out = io.BytesIO()
    np.save(out, sent)
    client, kind = servers[form].client, {"content-type": "application/x-npy"}
    wanted = client.post("/predict", json=rows.tolist()).json()
    assert client.post("/predict", content=out.getvalue(), headers=kind).json() == wanted
    accept = kind | {"accept": "application/x-npy"}
    answer = client.post("/invocations", content=out.getvalue(), headers=accept)
    assert answer.headers["content-type"] == "application/x-npy"
    given = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert given.tolist() == [one["label"] if isinstance(one, dict) else one for one in wanted]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "inputs"),
        ({"inputs": [{"name": "x", "shape": [1, 30]}]}, 400, "data"),
        ({"inputs": [{"name": "x", "data": GOOD}]}, 400, "shape"),
        ({"inputs": [{"name": "x", "shape": [2, 30], "data": GOOD}]}, 422, "needs 60"),
        ({"inputs": [{"name": "x", "shape": [1, 3], "data": [1, 2, 3]}]}, 422, "3 features"),
    ],
)
def test_wrong_tensors_are_named(
    body: Any, status: int, words: str, servers: dict[str, Server]
) -> None:
    answer = servers["onnx"].client.post("/v2/models/model/infer", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/predict", 405, "use POST"),
        ("POST", "/ready", 405, "use GET"),
        ("GET", "/nothing", 404, "/predict"),
        ("POST", "/v1/models/other:predict", 404, "'model'"),
        ("POST", "/v2/models/other/infer", 404, "'model'"),
    ],
)
def test_wrong_routes_are_told(
    method: str, path: str, status: int, words: str, servers: dict[str, Server]
) -> None:
    answer = servers["onnx"].client.request(method, path)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    if status == 405:
        assert answer.headers["allow"] in words


def test_an_empty_csv_cell_is_a_missing_value(servers: dict[str, Server]) -> None:
    text = ",".join(["1"] * 29 + [""])
    answer = servers["onnx"].client.post(
        "/predict", content=text, headers={"content-type": "text/csv"}
    )
    assert answer.json()["code"] == "missing"


def test_a_bad_request_does_not_spoil_its_neighbours(servers: dict[str, Server]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = servers["joblib"].client
    bodies = [[GOOD] if i % 3 else [GOOD[:7]] for i in range(30)]
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda b: client.post("/predict", json=b).status_code, bodies))
    assert found == [200 if i % 3 else 422 for i in range(30)]


@pytest.mark.parametrize("towns", [["Rome", "Zürich", "東京"], [10, 20, 30]])
def test_categories_that_xgboost_damages_are_asked_by_code_and_said_so(
    towns: list[Any], tmp_path: Path
) -> None:
    import pandas as pd
    import xgboost

    frame = pd.DataFrame({"age": np.arange(90.0), "town": pd.Categorical(towns * 30)})
    frame["town"] = frame["town"].cat.set_categories(towns)
    aim = frame["town"].cat.codes * 5.0 + frame["age"] / 50
    model = xgboost.XGBRegressor(n_estimators=5, enable_categorical=True).fit(frame, aim)
    model.save_model(tmp_path / "model.ubj")
    artifact = inspect(tmp_path / "model.ubj")
    assert any("The categories of town cannot be read" in f for f in artifact.safety.findings)
    assert artifact.signature is not None
    signature = Signature.of(artifact.signature.model_dump())
    decoder = Decoder(signature)
    with pytest.raises(RequestError, match="in the order of training, from 0"):
        decoder.batch([[1.0, "Rome"]])
    with pytest.raises(RequestError, match=r"\('age'\) is a text \('old'\); it is a number$"):
        decoder.batch([["old", 1]])
    for value in (3, 10, -1, 0.5):
        with pytest.raises(RequestError, match="from 0 to 2"):
            decoder.batch([[1.0, 0], [1.0, value]])
    served = loaders.load("xgboost", tmp_path / "model.ubj", signature)
    rows = [[age, code] for age, code in zip(frame["age"], frame["town"].cat.codes, strict=True)]
    answers = served.predict(decoder.batch([[float(a), int(c)] for a, c in rows]), "default")
    assert np.allclose(answers.values, model.predict(frame), rtol=1e-5)
