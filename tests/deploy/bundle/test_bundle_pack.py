"""Packing: the same model gives the same bundle, pinned and complete."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from advisor.errors import ArtifactError
from deploy.artifact import Artifact
from deploy.bundle.pack import Bundle, archive, image_tag, pack
from deploy.bundle.requirements import pinned


def test_the_same_artifact_gives_the_same_hash_and_zip(
    artifacts: dict[str, Artifact], bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    again = pack(artifacts["onnx"], tmp_path / "onnx")
    first = bundles["onnx"]
    assert again.hash == first.hash
    assert again.image_tag == first.image_tag == f"bundle-{first.hash[:24]}"
    assert image_tag(first.hash, "arm64") == f"{first.image_tag}-arm64"
    for path in (tmp_path / "onnx").rglob("*"):
        os.utime(path, (1, 1))  # times do not count
    one, two = archive(first), archive(again)
    assert one.read_bytes() == two.read_bytes()
    assert archive(again) == two


def test_the_hash_covers_model_server_and_variant(
    artifacts: dict[str, Artifact], bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    other = pack(artifacts["onnx"], tmp_path / "lambda", variant="lambda")
    assert len({bundles["onnx"].hash, bundles["joblib"].hash, other.hash}) == 3


def test_the_archive_holds_the_bundle_and_nothing_else(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["joblib"]
    with zipfile.ZipFile(archive(bundle)) as found:
        assert found.namelist() == bundle.files
        assert {i.date_time for i in found.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for name in bundle.files:
            assert found.read(name) == (bundle.path / name).read_bytes()
    assert not [f for f in bundle.files if "__pycache__" in f or f.endswith(".pyc")]


def test_requirements_are_pinned_to_what_is_installed(bundles: dict[str, Bundle]) -> None:
    for form, needed, absent in (
        ("onnx", {"onnxruntime", "numpy", "uvicorn", "fastapi", "starlette"}, {"scikit-learn"}),
        ("joblib", {"scikit-learn", "scipy", "joblib", "threadpoolctl"}, {"onnxruntime"}),
    ):
        pins = dict(line.split("==") for line in bundles[form].requirements)
        assert needed <= set(pins)
        assert not (absent | {"mangum", "boto3", "streamlit"}) & set(pins)
        assert all(importlib.metadata.version(n) == v for n, v in pins.items())
        text = (bundles[form].path / "requirements.txt").read_text()
        assert text.splitlines() == bundles[form].requirements


def test_variants_bring_their_own_packages(
    artifacts: dict[str, Artifact], bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    function = pack(artifacts["onnx"], tmp_path / "lambda", variant="lambda")
    batch = pack(artifacts["onnx"], tmp_path / "batch", variant="batch")
    names = {r.split("==")[0] for r in function.requirements}
    assert {"mangum", "awslambdaric"} <= names
    assert "model_server/lambda_handler.py" in function.files
    assert "model_server/lambda_handler.py" not in bundles["onnx"].files
    assert "boto3" in {r.split("==")[0] for r in batch.requirements}
    docker = (function.path / "Dockerfile").read_text()
    assert 'CMD ["model_server.lambda_handler.handler"]' in docker
    assert "HEALTHCHECK" not in docker


def test_the_dockerfile_keeps_the_contract(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["joblib"]
    lines = (bundle.path / "Dockerfile").read_text().splitlines()
    assert lines[0] == f"FROM public.ecr.aws/docker/library/python:{bundle.python_version}-slim"
    assert "USER 10001" in lines
    assert 'ENTRYPOINT ["python", "-m", "model_server"]' in lines
    assert 'CMD ["serve"]' in lines
    assert "EXPOSE 8080" in lines
    assert any("compileall" in line for line in lines)


def test_the_manifest_says_what_is_inside(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["joblib"]
    manifest = json.loads((bundle.path / "bundle.json").read_text())
    model = bundle.path / "model" / manifest["model"]["file"]
    assert hashlib.sha256(model.read_bytes()).hexdigest() == manifest["model"]["digest"]
    assert manifest["model"]["signature"]["n_features"] == 30
    assert manifest["checked_with"]["scikit-learn"] == importlib.metadata.version("scikit-learn")
    for name in bundle.files:
        mode = stat.S_IMODE((bundle.path / name).stat().st_mode)
        assert mode == (0o755 if name == "serve" else 0o644)


def test_an_old_bundle_is_replaced_and_anything_else_is_kept(
    artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    first = pack(artifacts["onnx"], folder)
    (folder / "left-over").write_text("x")
    assert pack(artifacts["onnx"], folder).hash == first.hash
    assert not (folder / "left-over").exists()
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.txt").write_text("keep me")
    with pytest.raises(ArtifactError, match="holds no bundle"):
        pack(artifacts["onnx"], strange)
    assert (strange / "thesis.txt").exists()


def test_a_model_that_changed_since_it_was_looked_at_is_not_packed(
    artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    copy = tmp_path / "model.onnx"
    copy.write_bytes(artifacts["onnx"].path.read_bytes() + b"\0")
    with pytest.raises(ArtifactError, match="changed since it was looked at"):
        pack(artifacts["onnx"].model_copy(update={"path": copy}), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_other_library_versions_than_checked_are_not_packed(
    artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    other = artifacts["onnx"].model_copy(update={"libraries": {"onnxruntime": "0.0.1"}})
    with pytest.raises(ArtifactError, match=r"checked with onnxruntime 0\.0\.1"):
        pack(other, tmp_path / "b")


def test_pins_follow_markers_and_extras() -> None:
    found = {p.split("==")[0] for p in pinned(["uvicorn", "prometheus-client"])}
    assert {"uvicorn", "click", "h11", "prometheus-client"} <= found
    assert "colorama" not in found  # uvicorn needs it on Windows only
    assert "watchfiles" not in found  # only with the "standard" extra
    with pytest.raises(ArtifactError, match="no-such-package"):
        pinned(["no-such-package"])
