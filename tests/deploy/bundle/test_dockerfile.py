"""The Dockerfile as a parser reads it, and the image that it begins with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from advisor.errors import InputError
from deploy.artifact import Artifact
from deploy.bundle.base_image import base_image
from deploy.bundle.pack import Bundle, pack

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
DIGEST = "sha256:" + "0a" * 32


def steps(bundle: Bundle) -> list[tuple[str, str]]:
    parser = DockerfileParser(path=str(bundle.path), cache_content=True)
    return [(step["instruction"], step["value"]) for step in parser.structure]


def test_the_steps_are_these(bundles: dict[str, Bundle]) -> None:
    found = steps(bundles["onnx"])
    assert [name for name, _ in found] == [
        "FROM", "ENV", "WORKDIR", "COPY", "RUN", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK",
        "ENTRYPOINT", "CMD",
    ]  # fmt: skip
    by_name = dict(found)
    assert by_name["FROM"] == f"public.ecr.aws/docker/library/python:{PYTHON}-slim"
    assert json.loads(by_name["ENTRYPOINT"]) == ["python", "-m", "model_server"]
    assert json.loads(by_name["CMD"]) == ["serve"]
    # Libraries come before the model, so that a new model rebuilds in seconds.
    (libraries, rest) = [i for i, (name, _) in enumerate(found) if name == "COPY"]
    assert found[libraries][1] == "requirements.txt ./"
    assert "pip install" in found[libraries + 1][1]
    assert found[rest][1] == ". ./"


def test_the_server_is_nobody_in_particular_from_the_last_step_on(
    bundles: dict[str, Bundle],
) -> None:
    found = steps(bundles["joblib"])
    after = [name for name, _ in found][[name for name, _ in found].index("USER") + 1 :]
    assert ("USER", "10001") in found
    assert "RUN" not in after
    assert "COPY" not in after


def test_every_package_is_pinned_and_nothing_else_is_fetched(bundles: dict[str, Bundle]) -> None:
    for bundle in bundles.values():
        ran = [value for name, value in steps(bundle) if name == "RUN"]
        assert not [line for line in ran if "http" in line or "curl" in line]
        assert all("==" in line for line in bundle.requirements)


def test_what_docker_ignores_is_not_in_the_image(bundles: dict[str, Bundle]) -> None:
    ignored = (bundles["onnx"].path / ".dockerignore").read_text().splitlines()
    assert {"Dockerfile", ".dockerignore", "**/__pycache__", "*.zip"} <= set(ignored)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "public.ecr.aws/docker/library/python:3.11-slim"),
        ("registry.example.com/mirror/python", "registry.example.com/mirror/python:3.11-slim"),
        ("registry.example.com:5000/python:3.11", "registry.example.com:5000/python:3.11"),
        (f"registry.example.com/python@{DIGEST}", f"registry.example.com/python@{DIGEST}"),
        (f"r.example.com/python:3.11-slim@{DIGEST}", f"r.example.com/python:3.11-slim@{DIGEST}"),
        ("localhost/base:3.11", "localhost/base:3.11"),
        (" python ", "python:3.11-slim"),
    ],
)
def test_a_mirror_takes_the_place_of_the_base_image(given: str, expected: str) -> None:
    assert base_image("3.11", {"ADVISOR_BASE_IMAGE": given}) == expected


@pytest.mark.parametrize(
    "given",
    ["https://registry.example.com/python", "Python:3.11", "a b", "python:", "x\nRUN rm -rf /",
     "python@sha256:12", "../python"],
)  # fmt: skip
def test_what_is_no_image_name_is_refused(given: str) -> None:
    with pytest.raises(InputError, match=r"ADVISOR_BASE_IMAGE is .*write it like"):
        base_image("3.11", {"ADVISOR_BASE_IMAGE": given})


def test_a_mirror_is_another_bundle_and_is_asked_for_its_python(
    artifacts: dict[str, Artifact],
    bundles: dict[str, Bundle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADVISOR_BASE_IMAGE", "localhost/base:1")
    mirrored = pack(artifacts["onnx"], tmp_path / "mirrored")
    assert mirrored.hash != bundles["onnx"].hash
    found = steps(mirrored)
    assert found[0] == ("FROM", "localhost/base:1")
    assert str(tuple(sys.version_info[:2])) in found[1][1]
    assert mirrored.requirements == bundles["onnx"].requirements


def test_a_wrong_mirror_is_said_before_anything_is_removed(
    artifacts: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = pack(artifacts["onnx"], tmp_path / "bundle")
    monkeypatch.setenv("ADVISOR_BASE_IMAGE", "no image")
    with pytest.raises(InputError):
        pack(artifacts["onnx"], tmp_path / "bundle")
    assert (kept.path / "bundle.json").is_file()
