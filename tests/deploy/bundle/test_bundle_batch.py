"""The batch entry: files in, predictions out, in order, resumable, in shards."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import escape

import numpy as np
import pytest
from model_server.batch import Job, Shard
from model_server.errors import ModelError
from model_server.loaders import Model, load
from model_server.locate import locate
from model_server.log import Log
from model_server.storage import storage

from deploy.bundle.pack import Bundle

RNG = np.random.default_rng(1)
ROWS = RNG.normal(20, 8, size=(25, 30)).tolist()


@pytest.fixture(scope="module")
def model(bundles: dict[str, Bundle]) -> Model:
    found = locate({}, bundles["onnx"].path)
    return load(found.format, found.path, found.signature)


@pytest.fixture(scope="module")
def labels(model: Model) -> list[str]:
    from model_server.payload import Decoder

    found = model.predict(Decoder(model.signature).batch(ROWS), "predict")
    return list(found.as_json())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    return source, target


def write(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(model: Model, source: Path, target: Path, shard: Shard | None = None, **more: Any) -> Any:
    job = Job(model, storage(str(source)), storage(str(target)), shard or Shard(), Log(), **more)
    return job.run()


def test_the_command_predicts_lines_and_csv_in_order(
    bundles: dict[str, Bundle], folders: tuple[Path, Path], labels: list[str]
) -> None:
    source, target = folders
    write(source / "a.jsonl", ROWS[:10])
    (source / "b.csv").write_text("\n".join(",".join(map(str, r)) for r in ROWS[10:]))
    found = subprocess.run(
        [sys.executable, "-m", "model_server", "batch", "--input", str(source), "--output",
         str(target), "--chunk-rows", "4"],
        cwd=bundles["onnx"].path, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    results = read(target / "a.jsonl.predictions.jsonl") + read(target / "b.csv.predictions.jsonl")
    assert [r["label"] for r in results] == labels
    assert sorted(p.name for p in target.iterdir()) == [
        "a.jsonl.predictions.jsonl", "b.csv.predictions.jsonl",
    ]  # fmt: skip
    assert json.loads(found.stdout.splitlines()[-1])["counts"]["rows"] == 25


def test_what_is_done_is_skipped_and_an_interrupted_file_is_done_again(
    model: Model, folders: tuple[Path, Path]
) -> None:
    source, target = folders
    for name in ("a", "b"):
        write(source / f"{name}.jsonl", ROWS[:5])
    target.mkdir()
    (target / "a.jsonl.predictions.jsonl").write_text("done before\n")
    (target / "b.jsonl.predictions.jsonl.99.part").write_text("half\n")
    assert run(model, source, target) == {"files": 1, "rows": 5, "errors": 0, "skipped": 1}
    assert (target / "a.jsonl.predictions.jsonl").read_text() == "done before\n"
    assert len(read(target / "b.jsonl.predictions.jsonl")) == 5
    assert run(model, source, target, again=True)["files"] == 2


def test_a_bad_row_stops_with_its_line_unless_allowed(
    model: Model, folders: tuple[Path, Path]
) -> None:
    source, target = folders
    write(source / "a.jsonl", [*ROWS[:3], ROWS[3][:7], *ROWS[4:6]])
    with pytest.raises(ModelError, match=r"a\.jsonl, line 4: row 0 has 7 features.*--max-errors"):
        run(model, source, target)
    assert not list(target.iterdir())
    assert run(model, source, target, max_errors=1)["errors"] == 1
    found = read(target / "a.jsonl.predictions.jsonl")
    assert [("error" in r) for r in found] == [False, False, False, True, False, False]


def test_shards_take_files_when_there_are_enough(model: Model, folders: tuple[Path, Path]) -> None:
    source, target = folders
    for i in range(5):
        write(source / f"{i}.jsonl", ROWS[i * 5 : i * 5 + 5])
    counts = [run(model, source, target, Shard(i, 2))["files"] for i in range(2)]
    assert counts == [3, 2]
    assert len(list(target.iterdir())) == 5


def test_shards_take_chunks_of_one_file_without_gaps(
    model: Model, folders: tuple[Path, Path], labels: list[str]
) -> None:
    source, target = folders
    write(source / "a.jsonl", ROWS)
    rows = [run(model, source, target, Shard(i, 4), chunk_rows=3)["rows"] for i in range(4)]
    assert sum(rows) == 25
    found = []
    for i in range(4):
        part = f"a.jsonl.part-{i:05d}-of-00004.predictions.jsonl"
        found.append([r["label"] for r in read(target / part)])
    merged = [chunk for k in range(3) for part in found for chunk in part[k * 3 : k * 3 + 3]]
    assert merged == labels


def test_the_array_job_variables_make_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Shard.from_env() == Shard(0, 1)
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "2")
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_SIZE", "5")
    assert Shard.from_env() == Shard(2, 5)
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "5")
    with pytest.raises(ModelError, match="below the size"):
        Shard.from_env()


def test_csv_with_names_in_any_order(
    bundles: dict[str, Bundle], folders: tuple[Path, Path]
) -> None:
    found = locate({}, bundles["joblib"].path)
    model = load(found.format, found.path, found.signature)
    names = found.signature.feature_names or []
    source, target = folders
    lines = [",".join(reversed(names))]
    lines += [",".join(str(v) for v in reversed(row)) for row in ROWS[:4]]
    (source / "a.csv").write_text("\ufeff" + "\n".join(lines))
    write(source / "b.jsonl", ROWS[:4])
    run(model, source, target)
    assert read(target / "a.csv.predictions.jsonl") == read(target / "b.jsonl.predictions.jsonl")


def test_no_input_is_told(model: Model, folders: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError, match=r"there are no \.csv"):
        run(model, *folders)
    with pytest.raises(ModelError, match="neither a path nor an s3"):
        storage("gs://bucket/in")


def test_azure_ml_s_functions_answer_files_in_order(
    bundles: dict[str, Bundle], folders: tuple[Path, Path], labels: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from model_server import azureml_batch

    source, _ = folders
    write(source / "a.jsonl", ROWS[:3])
    write(source / "b.jsonl", ROWS[3:5])
    found = locate({}, bundles["onnx"].path)
    monkeypatch.setattr(azureml_batch, "locate", lambda: found)
    azureml_batch.init()
    answers = azureml_batch.run([str(source / "a.jsonl"), str(source / "b.jsonl")])
    assert [a["label"] for a in answers] == labels[:5]


class S3Handler(BaseHTTPRequestHandler):
    """As much of S3 as the batch entry uses, over the loopback: list, head, get, put."""

    objects: dict[str, bytes]

    def do_GET(self) -> None:
        url = urlparse(self.path)
        query = parse_qs(url.query)
        if "list-type" in query:
            prefix = f"{url.path.strip('/')}/{query.get('prefix', [''])[0]}"
            bucket = url.path.strip("/")
            keys = [k[len(bucket) + 1 :] for k in sorted(self.objects) if k.startswith(prefix)]
            items = "".join(f"<Contents><Key>{escape(k)}</Key></Contents>" for k in keys)
            self._answer(200, f"<ListBucketResult>{items}</ListBucketResult>".encode())
        else:
            self._object()

    def do_HEAD(self) -> None:
        self._object()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "aws-chunked" or b";chunk-signature" in body:
            size, _, rest = body.partition(b"\r\n")
            body = rest[: int(size.split(b";")[0], 16)]
        self.objects[unquote(urlparse(self.path).path).strip("/")] = body
        self._answer(200, b"")

    def _object(self) -> None:
        found = self.objects.get(unquote(urlparse(self.path).path).strip("/"))
        self._answer(200 if found is not None else 404, found or b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    S3Handler.objects = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), S3Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield S3Handler.objects
    server.shutdown()
    server.server_close()


def test_s3_in_and_out(model: Model, s3: dict[str, bytes], labels: list[str]) -> None:
    lines = "".join(json.dumps(r) + "\n" for r in ROWS[:6]).encode()
    s3["data/in/x/a.jsonl"] = lines
    s3["data/in/b.jsonl"] = lines
    s3["data/in/readme.md"] = b"not rows"
    s3["data/out/b.jsonl.predictions.jsonl"] = b"done before\n"
    job = Job(model, storage("s3://data/in/"), storage("s3://data/out"), Shard(), Log())
    assert job.run() == {"files": 1, "rows": 6, "errors": 0, "skipped": 1}
    result = s3["data/out/x/a.jsonl.predictions.jsonl"].decode().splitlines()
    assert [json.loads(line)["label"] for line in result] == labels[:6]
    assert s3["data/out/b.jsonl.predictions.jsonl"] == b"done before\n"
