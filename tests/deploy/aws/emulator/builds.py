"""CodeBuild builds that run: the project's own build specification, under its own role."""

from __future__ import annotations

import contextvars
import io
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import botocore.session
import yaml
from botocore.exceptions import ClientError
from faults import FAULTS
from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region
from ministack.services import codebuild, sts

PHASES = ("install", "pre_build", "build", "post_build")
_request: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("start_build")


class Builds:
    """Puts a runner in the place of MiniStack's, which needs a Docker engine."""

    def __init__(self, endpoint: str, images: Path) -> None:
        self.endpoint = endpoint
        self.images = images
        self.tokens: dict[str, str] = {}  # of the requests that began the builds
        start = codebuild._start_build

        def started(data: dict[str, Any]) -> Any:
            token = data.get("idempotencyToken", "")
            for build_id, known in self.tokens.items():
                if token and known == token and build_id in codebuild._builds:
                    return codebuild.json_response({"build": codebuild._builds[build_id]})
            _request.set(data)  # the runner's thread gets a copy of this context
            before = set(codebuild._builds)
            answer = start(data)
            for build_id in set(codebuild._builds) - before:
                self.tokens[build_id] = token
            return answer

        codebuild._start_build = started
        _authorize_on_projects()
        codebuild._execute_build = self.execute
        codebuild.EXECUTE_BUILDS = True

    def execute(self, build_id: str, project: dict[str, Any]) -> None:
        """One build: fetch the source, run the phases in a shell, publish the log."""
        build = codebuild._builds[build_id]
        request = _request.get()
        say = codebuild._log_sink(build)
        for name in ("environmentTypeOverride", "imageOverride"):
            if name in request:
                build["environment"] = build["environment"] | {
                    "type" if name.startswith("environmentType") else "image": request[name]
                }
        try:
            self._run(build, project, request, say)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, ClientError) as error:
            say(f"CLIENT_ERROR: {error}")
            codebuild._record_phase(build, "DOWNLOAD_SOURCE", "FAILED")
            codebuild._finish_build(build, "FAILED")

    def _run(
        self, build: dict[str, Any], project: dict[str, Any], request: dict[str, Any], say: Any
    ) -> None:
        environment = self._environment(build, project, request)
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory, "src")
            self._fetch(request, environment, source)
            codebuild._record_phase(build, "DOWNLOAD_SOURCE", "SUCCEEDED")
            specification = yaml.safe_load(project["source"]["buildspec"])
            if str(specification["version"]) != "0.2":
                raise ValueError("only version 0.2 runs every command in one shell")
            exported = specification.get("env", {}).get("exported-variables", [])
            fault = FAULTS.take("build")
            succeeding = True
            for phase in PHASES:
                commands = specification["phases"].get(phase, {}).get("commands", [])
                if not commands or not (succeeding or phase == "post_build"):
                    continue
                if fault and phase == "build":
                    commands = [f"echo {fault.message!r}", "exit 1"]
                environment["CODEBUILD_BUILD_SUCCEEDING"] = "1" if succeeding else "0"
                ok, environment = _shell(commands, source, environment, say)
                codebuild._record_phase(build, phase.upper(), "SUCCEEDED" if ok else "FAILED")
                succeeding = succeeding and ok
            build["exportedEnvironmentVariables"] = [
                {"name": name, "value": environment.get(name, "")} for name in exported
            ]
        codebuild._finish_build(build, "SUCCEEDED" if succeeding else "FAILED")

    def _environment(
        self, build: dict[str, Any], project: dict[str, Any], request: dict[str, Any]
    ) -> dict[str, str]:
        tools = self.images / "bin"
        tools.mkdir(exist_ok=True)
        shims = Path(__file__).with_name("shims.py")
        for name in ("docker", "aws"):
            script = tools / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{shims}" {name} "$@"\n')
            script.chmod(0o755)
        variables = {
            v["name"]: v["value"]
            for v in [
                *project["environment"].get("environmentVariables", []),
                *request.get("environmentVariablesOverride", []),
            ]
        }
        return {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(self.images),
            "EMULATOR_IMAGES": str(self.images),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": get_region(),
            "AWS_REGION": get_region(),
            "CODEBUILD_BUILD_ID": build["id"],
            **session_of(project["serviceRole"]),
            **variables,
        }

    def _fetch(self, request: dict[str, Any], environment: dict[str, str], into: Path) -> None:
        if request.get("sourceTypeOverride", "S3") != "S3":
            raise ValueError(f"source type {request['sourceTypeOverride']} is not emulated")
        bucket, _, key = request["sourceLocationOverride"].partition("/")
        client = botocore.session.get_session().create_client(
            "s3",
            region_name=get_region(),
            endpoint_url=self.endpoint,
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environment["AWS_SESSION_TOKEN"],
        )
        version = {"VersionId": request["sourceVersion"]} if "sourceVersion" in request else {}
        body = client.get_object(Bucket=bucket, Key=key, **version)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            archive.extractall(into)


def _authorize_on_projects() -> None:
    """Calls that name builds are authorized on their projects, as AWS does; MiniStack asks for *."""
    resource_of = iam_actions.extract_resource_arn

    def found(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        given = json.loads(body or b"{}") if service == "codebuild" else {}
        build = given.get("id") or (given.get("ids") or [""])[0]
        if build:
            project = build.rpartition("/")[2].partition(":")[0]
            return f"arn:aws:codebuild:{get_region()}:{get_account_id()}:project/{project}"
        return resource_of(service, method, path, headers, body, *rest)

    iam_actions.extract_resource_arn = found


def session_of(role_arn: str) -> dict[str, str]:
    """What a service does with its role: a session, so that the role's policy holds."""
    key = "ASIA" + secrets.token_hex(8).upper()
    secret, token = secrets.token_hex(20), secrets.token_hex(40)
    sts.register_session(key, {
        "Arn": f"arn:aws:sts::{get_account_id()}:assumed-role/{role_arn.rpartition('/')[2]}/build",
        "UserId": "AROAEMULATOR:build",
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": time.time() + 3600,
        "AccountId": get_account_id(),
        "PrincipalType": "AssumedRole",
    })  # fmt: skip
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
    }


def _shell(
    commands: list[str], directory: Path, environment: dict[str, str], say: Any
) -> tuple[bool, dict[str, str]]:
    """The commands in one shell, up to the first that fails; and the environment they leave."""
    left = directory.parent / "environment"
    script = "\n".join(
        [f"{c}\nstatus=$?; [ $status = 0 ] || exit $status" for c in commands]
        + [f"env -0 > '{left}'"]
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for line in [*done.stdout.splitlines(), *done.stderr.splitlines()]:
        say(line)
    if done.returncode != 0:
        return False, environment
    pairs = (entry.partition("=") for entry in left.read_text().split("\0") if entry)
    return True, {name: value for name, _, value in pairs}
