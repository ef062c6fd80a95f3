"""The bundle really built by Buildah and by Podman, pushed to a registry, pulled again and run.

What stands in: a Debian base for the official Python image, and a registry on the loopback address
with the two calls that the product makes of Amazon's.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import psutil
import pytest
from real_engine import (
    BASE,
    REPOSITORY,
    Registry,
    amazon,
    base_image,
    environment,
    free_port,
    ran,
    why_not,
)

from advisor.catalog.loader import option
from advisor.errors import DeployError, RunCancelledError
from advisor.requirements import Model
from deploy.artifact import BYTES_IN_MB, Artifact, inspect
from deploy.aws.bootstrap import Bootstrap
from deploy.aws.images import Images
from deploy.aws.local_images import build_here
from deploy.aws.session import Aws, AwsSettings
from deploy.bundle.pack import Bundle, pack
from deploy.images.engines import EngineName
from deploy.machine_speed import measuring
from deploy.measure import measure
from deploy.target import Event

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(why_not()), reason=f"no real image is built here: {why_not()}"),
]

DRAIN_S = 25  # the server's own default
COLUMNS = 4


@dataclass
class Corner:
    """Engines, registry and account of this test run."""

    registry: Registry
    images: Images
    aws: Aws
    storage: Path


@dataclass
class Built:
    """An image in the registry, and how it came there."""

    engine: EngineName
    artifact: Artifact
    bundle: Bundle
    digest: str
    events: list[Event]
    added_mb: float  # the image without its base

    @property
    def log(self) -> str:
        return "\n".join(event.message for event in self.events)


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corner]:
    """Engines with a storage of their own that holds the base image alone."""
    folder = tmp_path_factory.mktemp("corner")
    registry = Registry(folder / "registry")
    with pytest.MonkeyPatch.context() as patch, amazon(registry) as address:
        for name, value in environment(folder / "engines", registry.certificate).items():
            patch.setenv(name, value)
        patch.setenv("ADVISOR_BASE_IMAGE", BASE)
        patch.setenv("AWS_ENDPOINT_URL_ECR", address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        ran("podman", "import", str(base_image.ensure()), BASE, limit_s=600)
        aws = Aws("us-east-1", AwsSettings())
        uri = f"{registry.host}/{REPOSITORY}"
        bootstrap = Bootstrap("bucket", REPOSITORY, uri, "project", "arm", "boundary", "role")
        yield Corner(registry, Images(aws, bootstrap), aws, folder / "engines")
        ran("podman", "rm", "--all", "--force")
        ran("buildah", "rm", "--all")
        ran("podman", "image", "rm", "--all", "--force", limit_s=300)
        registry.close()


@pytest.fixture(scope="module", params=["buildah", "podman"])
def built(
    request: pytest.FixtureRequest,
    corner: Corner,
    onnx_model: Path,
    joblib_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    """An ONNX model by Buildah, a scikit-learn model by Podman."""
    engine = cast(EngineName, request.param)
    artifact = inspect(onnx_model if engine == "buildah" else joblib_model)
    bundle = pack(artifact, tmp_path_factory.mktemp("bundle") / "bundle")
    events: list[Event] = []
    digest = build_here(
        bundle.path, bundle.image_tag, "x86_64", engine, corner.images, corner.aws, events.append
    )
    ran("podman", "login", "-u", "AWS", "--password-stdin", corner.registry.host,
        given=corner.registry.password)  # fmt: skip
    reference = f"{corner.registry.host}/{REPOSITORY}@{digest}"
    ran("podman", "pull", "--quiet", reference, limit_s=300)
    sizes = [
        int(ran("podman", "image", "inspect", "--format", "{{.Size}}", name))
        for name in (reference, BASE)
    ]
    added_mb = (sizes[0] - sizes[1]) / BYTES_IN_MB
    return Built(engine, artifact, bundle, digest, events, added_mb)


@pytest.fixture
def container(corner: Corner, built: Built) -> Iterator[tuple[str, httpx.Client]]:
    """The image as pulled from the registry by its digest, with as few rights as it goes."""
    port = free_port()
    name = ran(
        "podman", "run", "--detach", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all",
        "--security-opt", "no-new-privileges", "--env", f"PORT={port}", "--env", "HOST=127.0.0.1",
        f"{corner.registry.host}/{REPOSITORY}@{built.digest}",
    )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if client.get("/ready").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield name, client
    ran("podman", "rm", "--force", name)


def test_the_registry_holds_what_was_pushed(corner: Corner, built: Built) -> None:
    manifest = corner.registry.manifest(built.bundle.image_tag)
    assert manifest.headers["Docker-Content-Digest"] == built.digest
    # One image in Docker's own format: no index, no OCI, as SageMaker and Lambda ask.
    assert manifest.headers["Content-Type"].endswith("docker.distribution.manifest.v2+json")
    path = f"/v2/{REPOSITORY}/blobs/{manifest.json()['config']['digest']}"
    config = corner.registry.client.get(path, follow_redirects=True).json()
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert config["config"]["User"] == "10001"
    assert config["config"]["Entrypoint"] == ["python", "-m", "model_server"]
    assert config["config"]["Healthcheck"]["Test"][-1] == "health"


def test_the_build_is_told_step_by_step_and_never_the_password(
    corner: Corner, built: Built
) -> None:
    assert built.events[0].message.startswith(built.engine.capitalize())
    for step in ("FROM", "COPY requirements.txt", "pip install", "COPY . ./", "USER 10001"):
        assert step in built.log, step
    assert built.events[-1].message == f"Image {built.digest} is in the repository"
    assert corner.registry.password not in built.log


def test_nothing_of_the_build_stays_here(corner: Corner, built: Built) -> None:
    tagged = ran("buildah", "images", "--format", "{{.Name}}:{{.Tag}}")
    assert built.bundle.image_tag not in tagged
    assert ran("buildah", "containers", "--quiet") == ""


def test_a_second_build_of_the_bundle_is_the_first(corner: Corner, built: Built) -> None:
    assert corner.images.digest(built.bundle.image_tag) == built.digest
    again = pack(built.artifact, built.bundle.path.parent / "again")
    assert again.image_tag == built.bundle.image_tag


def test_it_answers_with_the_models_own_predictions(
    built: Built, container: tuple[str, httpx.Client]
) -> None:
    _, client = container
    assert client.get("/ping").status_code == 200
    rows = np.random.default_rng(3).normal(size=(25, COLUMNS)).astype(np.float32)
    answer = client.post("/invocations", json={"instances": rows.tolist()})
    assert answer.status_code == 200, answer.text
    given = answer.json()["predictions"]
    if built.artifact.format == "onnx":
        expected = rows @ np.array([1, 2, 3, 4], dtype=np.float32)
        assert np.allclose(given, expected, rtol=1e-5)
    else:
        import joblib

        model = joblib.load(built.artifact.path)
        assert [one["label"] for one in given] == model.predict(rows).tolist()
        chances = [list(one["probabilities"].values()) for one in given]
        assert np.allclose(chances, model.predict_proba(rows))


def test_it_is_nobody_and_cannot_write(container: tuple[str, httpx.Client]) -> None:
    name, client = container
    assert ran("podman", "exec", name, "id", "-u") == "10001"
    tried = "touch /opt/program/x 2>/dev/null || touch /usr/x 2>/dev/null || echo refused"
    assert ran("podman", "exec", name, "sh", "-c", tried) == "refused"
    status = ran("podman", "exec", name, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert client.get("/ping").status_code == 200
    # The image's own health check, as Docker and ECS run it.
    ran("podman", "exec", name, "python", "-m", "model_server", "health")


def test_what_is_not_for_the_image_is_not_in_it(container: tuple[str, httpx.Client]) -> None:
    name, _ = container
    found = set(ran("podman", "exec", name, "ls", "-A", "/opt/program").split())
    assert {"model_server", "model", "bundle.json"} <= found
    assert not {"Dockerfile", ".dockerignore"} & found


def test_on_sigterm_it_finishes_what_has_begun_and_ends_well(
    built: Built, container: tuple[str, httpx.Client]
) -> None:
    """A request of which half has arrived when the signal comes is still answered."""
    name, client = container
    body = json.dumps({"instances": [[1, 1, 1, 1]]}).encode()
    head = (
        "POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    port = client.base_url.port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=60) as begun:
        begun.sendall(head.encode() + body[:10])
        time.sleep(0.5)
        began = time.monotonic()
        ran("podman", "kill", "--signal", "TERM", name)
        time.sleep(0.5)
        begun.sendall(body[10:])
        answer = b""
        while chunk := begun.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b"predictions" in answer
    code = ran("podman", "wait", name, limit_s=DRAIN_S + 30)
    assert code == "0"
    assert time.monotonic() - began < DRAIN_S + 5


def test_the_image_is_as_large_as_measuring_said(
    built: Built,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Both without the base image, which is another one here."""
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path))
    base_mb = measuring().base_image.mb
    expected_mb = measure(built.artifact.path, seconds=0.3).image_mb - base_mb
    fields: dict[str, Any] = {"format": built.artifact.format, "size_mb": 0.01, "memory_mb": 100}
    assumed = option("ecs-fargate").image_mb(Model(**fields, service_time_ms=1)) - base_mb
    with capsys.disabled():
        print(
            f"\n{built.artifact.format}: {built.added_mb:.0f} MB on top of the base image; "
            f"measuring expects {expected_mb:.0f}, the catalog {assumed:.0f}"
        )
    assert built.added_mb == pytest.approx(expected_mb, rel=0.25)
    assert built.added_mb == pytest.approx(assumed, rel=0.5)


def test_a_cancelled_build_leaves_no_process_and_no_image(
    corner: Corner, built: Built, tmp_path: Path
) -> None:
    bundle = pack(built.artifact, tmp_path / "bundle")

    def cancelled(event: Event) -> None:
        if "pip install" in event.message:
            raise RunCancelledError("the run was cancelled")

    with pytest.raises(RunCancelledError):
        build_here(
            bundle.path, "cancelled", "x86_64", built.engine, corner.images, corner.aws, cancelled
        )
    until = time.monotonic() + 30
    while (left := _working(corner.storage)) and time.monotonic() < until:
        time.sleep(0.2)
    assert left == []
    assert "cancelled" not in ran("buildah", "images", "--format", "{{.Tag}}")
    assert ran("buildah", "containers", "--quiet") == ""
    assert corner.images.digest("cancelled") is None


def test_a_base_image_with_another_python_is_said(
    corner: Corner, built: Built, tmp_path: Path
) -> None:
    bundle = pack(built.artifact, tmp_path / "bundle")
    text = (bundle.path / "Dockerfile").read_text()
    wrong = text.replace(f"Python {bundle.python_version}", "Python 2.7").replace(
        "!= (3,", "!= (2,"
    )
    (bundle.path / "Dockerfile").write_text(wrong)
    with pytest.raises(DeployError, match=r"could not build .*the base image has no Python 2.7"):
        build_here(
            bundle.path, "wrong", "x86_64", built.engine, corner.images, corner.aws, lambda _: None
        )


def _working(storage: Path) -> list[str]:
    """Processes that still work in this storage."""
    found = []
    for process in psutil.process_iter(["pid", "environ", "cmdline"]):
        environ = process.info["environ"] or {}
        if process.pid != os.getpid() and str(storage) in environ.get(
            "CONTAINERS_STORAGE_CONF", ""
        ):
            found.append(" ".join(process.info["cmdline"] or []))
    return found
