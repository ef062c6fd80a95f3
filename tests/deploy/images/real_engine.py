"""A real engine in a corner of its own, a real registry on the loopback address, and the two calls
of Amazon's registry that the product makes of it, answered from what that registry says."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import base_image  # noqa: E402

BASE = "localhost/advisor-test-base:1"
REPOSITORY = "model-deployment-advisor"
KINDS = ("docker.distribution.manifest.v2", "oci.image.manifest.v1")
MANIFESTS = ", ".join(f"application/vnd.{kind}+json" for kind in KINDS)
CONTAINERS = """\
[containers]
netns = "host"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
"""


def why_not() -> str:
    """What this machine lacks for building and running real images; "" when it lacks nothing."""
    lacking = [
        program
        for program in ("buildah", "podman", "runc", "docker-registry", "openssl")
        if shutil.which(program) is None
    ]
    if lacking:
        return f"not on this machine: {', '.join(lacking)} (apt install {' '.join(lacking)})"
    if os.geteuid() != 0:
        return "these engines are tried as root only"
    return base_image.why_not()


def environment(folder: Path, certificate: Path) -> dict[str, str]:
    """What keeps the engines in `folder`: their own storage, and the one certificate to trust.

    Isolation, runtime, network and limits are what also works without systemd and with few rights.
    """
    folder.mkdir(parents=True)
    files = {
        "storage.conf": f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\n'
        f'runroot = "{folder}/run"\n',
        "containers.conf": CONTAINERS,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "SSL_CERT_FILE": str(certificate),
        "BUILDAH_ISOLATION": "chroot",
    }


def ran(*command: str, limit_s: float = 120, given: str | None = None) -> str:
    """What the command prints. Fails with what it complained of."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=limit_s, input=given, check=False
    )
    assert done.returncode == 0, (command, done.stderr[-2000:])
    return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Registry:
    """Debian's docker-registry, which lets nobody in without the password."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.password = secrets.token_hex(32)
        folder.mkdir(parents=True)
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        ran(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
            "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(key), "-out", str(self.certificate),
        )  # fmt: skip
        (folder / "htpasswd").write_text(f"AWS:{_bcrypt(self.password)}\n")
        (folder / "config.yml").write_text(
            "version: 0.1\nlog: {level: warn}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}\n"
            f"http: {{addr: '{self.host}', tls: {{certificate: {self.certificate}, key: {key}}}}}\n"
            f"auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"
        )
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(folder / "config.yml")],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.client = httpx.Client(
            base_url=f"https://{self.host}",
            auth=("AWS", self.password),
            verify=ssl.create_default_context(cafile=str(self.certificate)),
            trust_env=False,
        )
        until = time.monotonic() + 60
        while True:
            try:
                self.client.get("/v2/").raise_for_status()
                return
            except httpx.TransportError:
                assert self._process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.1)

    def manifest(self, reference: str) -> httpx.Response:
        """The manifest under a tag or digest, as the registry gives it."""
        path = f"/v2/{REPOSITORY}/manifests/{reference}"
        return self.client.get(path, headers={"Accept": MANIFESTS})

    def close(self) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def amazon(registry: Registry) -> Iterator[str]:
    """GetAuthorizationToken and DescribeImages over HTTP; the address."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            code, answer = {"GetAuthorizationToken": _token, "DescribeImages": _images}[operation](
                registry, given
            )
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _token(registry: Registry, _: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    token = base64.b64encode(f"AWS:{registry.password}".encode()).decode()
    data = {"authorizationToken": token, "proxyEndpoint": f"https://{registry.host}"}
    return 200, {"authorizationData": [data]}


def _images(registry: Registry, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    (image,) = given["imageIds"]
    found = registry.manifest(image["imageTag"])
    if found.status_code == 404:
        return 400, {"__type": "ImageNotFoundException", "message": "no such image"}
    detail = {
        "imageDigest": found.headers["Docker-Content-Digest"],
        "imageManifestMediaType": found.headers["Content-Type"],
        "imageTags": [image["imageTag"]],
    }
    return 200, {"imageDetails": [detail]}


def _bcrypt(password: str) -> str:
    """The only hash that the registry takes, from the system's own library."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed = crypt(password.encode(), b"$2b$05$" + secrets.token_hex(11).encode())
    assert isinstance(hashed, bytes)
    return hashed.decode()
