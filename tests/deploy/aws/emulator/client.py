"""The tests' side of the emulator: start it, arm it, look into it, stop it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cfnlint.decode import cfn_yaml
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
TEMPLATES = ROOT / "deploy" / "templates"
ACCOUNT = "123456789012"
REGION = "us-east-1"


class Emulator:
    """One emulated account in a process of its own, on the loopback address."""

    def __init__(self, directory: Path) -> None:
        if not PYTHON.exists():
            raise RuntimeError(
                f"{PYTHON} is not there; make it with: python tools/emulator_venv.py"
            )
        directory.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "emulator.log"
        schemas = directory / "schemas.json"
        schemas.write_text(json.dumps(registry_schemas()), encoding="utf-8")
        configuration = directory / "configuration.json"
        configuration.write_text(
            json.dumps({
                "port": self.port, "account": ACCOUNT, "region": REGION, "python": sys.executable,
                "images": str(directory / "images"), "schemas": str(schemas),
            }),
            encoding="utf-8",
        )  # fmt: skip
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                [str(PYTHON), str(HERE), str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"},
            )
        # A connection a question: on a busy machine one that rested may be closed meanwhile.
        alone = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=60, limits=alone)
        self._wait()

    def environment(self) -> dict[str, str]:
        """What points the AWS SDK here, and nothing else does."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.log.parent / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.log.parent / "no-credentials"),
        }

    def fault(self, where: str, code: str, message: str, **more: int) -> None:
        """Fail a call ("sts.GetCallerIdentity"), a resource ("create AWS::X::Y") or a "build"."""
        self._ask("fault", {"where": where, "code": code, "message": message, **more})

    def quotas(self, values: dict[str, float]) -> None:
        """The SageMaker service quotas, by name."""
        self._ask("quotas", values)

    def forget(self, kind: str, name: str) -> None:
        """Delete a resource behind CloudFormation's back."""
        self._ask("forget", {"kind": kind, "name": name})

    def clock(self, to: datetime) -> None:
        """It is that hour now: schedules that are due do what they were made for."""
        self._ask("clock", {"to": to.isoformat()})

    def later(self, by: timedelta) -> None:
        """The account's own clock is so far ahead of this machine's real one; by nothing again."""
        self._ask("later", {"seconds": by.total_seconds()})

    def internet(self, proxy: str, authority: Path) -> None:
        """Where the account finds the rest of the world, and whose certificates it trusts."""
        self._ask("web", {"proxy": proxy, "authority": str(authority)})

    def names(self, domains: dict[str, str]) -> None:
        """What a domain points to, as its owner would write it into the DNS."""
        self._ask("names", domains)

    def state(self) -> dict[str, Any]:
        """Everything there is in the account."""
        return self._ask("state", {})

    def reset(self) -> None:
        """An empty account again; every container is stopped."""
        self._ask("reset", {})

    def close(self) -> None:
        """Stop the process and what it started."""
        if self._process.poll() is None:
            self.reset()
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._http.close()

    def _ask(self, what: str, given: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(f"/_emulator/{what}", json=given)
        answer.raise_for_status()
        out: dict[str, Any] = answer.json()
        return out

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                self.state()
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            return
        raise RuntimeError(f"the emulator did not start: {self.log.read_text(errors='replace')}")


def registry_schemas() -> dict[str, Any]:
    """The CloudFormation registry's schema of each type that a template uses."""
    types = set()
    for path in sorted(TEMPLATES.glob("*.y*ml")):
        document = cfn_yaml.load(str(path))
        types |= {r["Type"] for r in document.get("Resources", {}).values()}
    schema_of = PROVIDER_SCHEMA_MANAGER.get_resource_schema
    return {kind: json.loads(json.dumps(schema_of(REGION, kind).schema)) for kind in sorted(types)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
