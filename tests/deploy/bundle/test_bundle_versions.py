"""A server with other libraries than the model was checked with says so."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from conftest import StartServer
from serving import start

from deploy.bundle.pack import Bundle


def with_versions(bundle: Bundle, folder: Path, **versions: str) -> Path:
    shutil.copytree(bundle.path, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["checked_with"] |= {name.replace("_", "-"): v for name, v in versions.items()}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


def test_the_same_versions_are_no_news(
    bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    server = start_server(bundles["joblib"].path, WORKERS="1")
    assert server.client.post("/predict", json=[[0.0] * 30]).status_code == 200
    assert not [e for e in server.events() if e["event"] == "other versions"]


def test_other_versions_are_a_warning(
    bundles: dict[str, Bundle], start_server: StartServer, tmp_path: Path
) -> None:
    folder = with_versions(
        bundles["joblib"], tmp_path / "bundle", scikit_learn="0.1", some_library="9"
    )
    server = start_server(folder, WORKERS="1")
    end = time.monotonic() + 10
    while not (said := [e for e in server.events() if e["event"] == "other versions"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert said[0]["level"] == "warning"
    assert "scikit-learn 0.1, and " in said[0]["because"]
    assert "some-library 9, which is not installed" in said[0]["because"]
    assert server.client.post("/predict", json=[[0.0] * 30]).status_code == 200


def test_a_model_that_does_not_load_names_them(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    folder = with_versions(bundles["onnx"], tmp_path / "bundle", onnxruntime="0.1")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "onnxruntime.py").write_text(
        "raise ModuleNotFoundError('no', name='onnxruntime')"
    )
    server = start(folder, tmp_path / "log", wait=False, PYTHONPATH=str(tmp_path / "none"))
    try:
        assert server.process.wait(60) == 1
    finally:
        server.client.close()
    because = next(e["because"] for e in server.events() if e["event"] == "model not loaded")
    assert "onnxruntime is not installed; pip install onnxruntime" in because
    assert "checked with onnxruntime 0.1, and" in because
