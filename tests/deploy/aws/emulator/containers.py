"""Images that are directories, and the bundle's own server process as their container."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import FAULTS

LOOPBACK = "127.0.0.1"


@dataclass
class Container:
    """A running bundle."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path


class Images:
    """Where built images lie (by config digest), and which interpreter runs them."""

    def __init__(self, directory: Path, python: str) -> None:
        self.directory = directory
        self.python = python
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, config_digest: str) -> Path:
        return self.directory / config_digest.removeprefix("sha256:")

    def run(
        self, config_digest: str, name: str, *argument: str, secrets: dict[str, str] | None = None
    ) -> Container:
        """`docker run IMAGE ARGUMENT`, as SageMaker starts a container: the image's own ENTRYPOINT
        with the argument in place of its CMD. Raises ValueError when the image cannot be run."""
        root = self.path(config_digest)
        if not root.is_dir():
            raise ValueError(f"no image {config_digest} was built")
        command = [*entrypoint(root / "Dockerfile"), *argument]
        if not re.fullmatch(r"python(3(\.\d+)?)?", command[0]):
            raise ValueError(f"the image starts {command[0]!r}, which only its own base image has")
        broken = FAULTS.take("container")
        port = int(broken.message) if broken else _free_port()
        log = self.directory / f"{name}-{port}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "HOST": LOOPBACK,
            "PORT": str(port),
            "PYTHONPATH": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "HOME": str(self.directory),
            **(secrets or {}),
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self.python, *command[1:]],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Container(process, port, log)

    def run_once(
        self, image_digest: str, command: list[str], variables: dict[str, str]
    ) -> tuple[int, list[str]]:
        """`docker run IMAGE COMMAND` to its end: exit code and the lines that it wrote.

        The image is named by the digest of its manifest, as a registry tells it.
        """
        root = self.path(_config_of(image_digest))
        command = [*entrypoint(root / "Dockerfile"), *command]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.directory),
            **variables,
        }
        done = subprocess.run(
            [self.python, *command[1:]],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace").splitlines()


def healthy(container: Container, limit_s: float) -> str:
    """Waits for GET /ping to answer 200; empty when it did, else why not."""
    until = time.monotonic() + limit_s
    url = f"http://{LOOPBACK}:{container.port}/ping"
    while time.monotonic() < until:
        if container.process.poll() is not None:
            tail = container.log.read_text(errors="replace")[-500:]
            return f"the container ended with {container.process.returncode}: {tail}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return ""
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return f"no answer on /ping within {limit_s:g} s"


def invoke(container: Container, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    """POST /invocations: status, content type and body."""
    return forward(container, "POST", "/invocations", body, headers)


def forward(
    container: Container, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, str, bytes]:
    """Any request to the server: status, content type and body."""
    status, answered, content = passed_on(container, method, path, body, headers)
    return status, answered.get("content-type", ""), content


def passed_on(
    container: Container, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """Any request to the server: status, the headers that a balancer passes back, and body."""
    passed = {k: v for k, v in headers.items() if k.lower() not in ("host", "content-length")}
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{container.port}{path}",
        data=body or None,
        headers=passed,
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, _end_to_end(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, _end_to_end(error.headers), error.read()


def _end_to_end(headers: Any) -> dict[str, str]:
    kept = ("content-type", "www-authenticate", "retry-after")
    return {name: headers[name] for name in kept if name in headers}


def stop(container: Container) -> None:
    """SIGTERM, and SIGKILL ten seconds later, to the process and what it started."""
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(container.process.pid, number)
        try:
            container.process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        return


def entrypoint(dockerfile: Path) -> list[str]:
    """The exec form of the last ENTRYPOINT. The shell form would swallow the argument `serve`."""
    found: list[str] | None = None
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "FROM":
            found = None
        if word.upper() == "ENTRYPOINT":
            if not rest.strip().startswith("["):
                raise ValueError(f"ENTRYPOINT {rest!r} is the shell form: it ignores its argument")
            found = json.loads(rest)
    if not found:
        raise ValueError("the Dockerfile has no ENTRYPOINT that takes the argument serve")
    return found


def _config_of(image_digest: str) -> str:
    """The config digest of the manifest in this account's registry."""
    from ministack.services import ecr

    for name in ecr._repositories:
        found = ecr._find_image(name, {"imageDigest": image_digest})
        if found:
            digest: str = json.loads(found["imageManifest"])["config"]["digest"]
            return digest
    raise ValueError(f"CannotPullContainerError: {image_digest}: not found")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
