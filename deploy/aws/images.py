"""Bundles into images, in the account that will run them: S3 upload, CodeBuild, ECR."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.errors import AdvisorError, DeployError
from deploy.aws.bootstrap import STACK_NAME, Bootstrap, keeping_versions
from deploy.aws.session import Aws, code_of, told
from deploy.images.engines import Architecture as Architecture
from deploy.target import Emit, Event

# SageMaker and Lambda take a single image in Docker's own manifest format: no index, no OCI.
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MISSING = ("ImageNotFoundException", "RepositoryNotFoundException", "ResourceNotFoundException")
CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f]")
TOLD_LINE_CHARACTERS = 300
TOLD_LINES_ON_FAILURE = 5
HEARTBEAT_S = 20.0
# A first apply that fails takes the bootstrap stack back, and with it the group of logs.
LOG_LIES = f"its log is in the run's events, and in CloudWatch while the stack {STACK_NAME} stands"
STEP = "build"


@dataclass(frozen=True)
class Upload:
    """A bundle's archive in the bucket."""

    key: str
    version: str


class Images:
    """Images of one account, by the tag that is their bundle's hash."""

    def __init__(self, aws: Aws, bootstrap: Bootstrap, limit_minutes: float = 120.0) -> None:
        self._aws = aws
        self._boot = bootstrap
        self._limit_s = limit_minutes * 60

    def uri(self, tag: str) -> str:
        return f"{self._boot.repository_uri}:{tag}"

    def digest(self, tag: str) -> str | None:
        """The digest that the tag names, None when there is no such image.

        Raises DeployError when it is not a single image in Docker's manifest format.
        """
        try:
            with told(f"look for the image {tag}"):
                found = self._aws.client("ecr").describe_images(
                    repositoryName=self._boot.repository_name, imageIds=[{"imageTag": tag}]
                )["imageDetails"]
        except DeployError as error:
            if code_of(error) in MISSING:
                return None
            raise
        if not found:
            return None
        media_type = found[0].get("imageManifestMediaType", DOCKER_MANIFEST)
        if media_type != DOCKER_MANIFEST:
            raise DeployError(
                f"the image {tag} has the manifest format {media_type}, which SageMaker does "
                "not take; delete it from the repository and build again without attestations"
            )
        digest: str = found[0]["imageDigest"]
        return digest

    def upload(self, archive: Path, tag: str, emit: Emit) -> Upload:
        """Put the bundle's archive into the bucket; the version is what the build will read."""
        key = f"bundles/{tag}.zip"
        size_mb = archive.stat().st_size / 1e6
        emit(Event(step="upload", message=f"Uploading the bundle, {size_mb:,.1f} MB"))
        with archive.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        owner = {"ExpectedBucketOwner": self._aws.account}
        with told(f"upload the bundle to s3://{self._boot.bucket}/{key}"):
            client = self._aws.client("s3")
            client.upload_file(
                str(archive),
                self._boot.bucket,
                key,
                ExtraArgs={
                    **owner,
                    "ChecksumAlgorithm": "SHA256",
                    "Metadata": {"sha256": checksum},
                },
            )
            head = client.head_object(Bucket=self._boot.bucket, Key=key, **owner)
        if head["Metadata"].get("sha256") != checksum:
            raise DeployError(
                f"s3://{self._boot.bucket}/{key} was overwritten by somebody else while it was "
                "uploaded; apply again"
            )
        if head.get("VersionId", "null") == "null":  # a build takes the version that was uploaded
            raise DeployError(
                f"the bucket {self._boot.bucket} keeps no versions, so what is built could be "
                f"another's upload; turn them on ({keeping_versions(self._boot.bucket)}) and apply "
                "again"
            )
        where = f"s3://{self._boot.bucket}/{key}"
        emit(Event(step="upload", level="done", message=f"Uploaded to {where}", resource=where))
        return Upload(key, head["VersionId"])

    def build(self, tag: str, upload: Upload, arch: Architecture, emit: Emit) -> str:
        """Build and push the image, telling the build's log; its digest, checked in the registry.

        Raises DeployError with the phase that failed and the last lines of its log. A build that
        is given up (an error out of `emit`) is stopped.
        """
        override: dict[str, Any] = {}
        if arch == "arm64":
            override = {
                "environmentTypeOverride": "ARM_CONTAINER",
                "imageOverride": self._boot.arm_build_image,
            }
        with told("start the image build"):
            build = self._aws.client("codebuild").start_build(
                projectName=self._boot.build_project,
                sourceTypeOverride="S3",
                sourceLocationOverride=f"{self._boot.bucket}/{upload.key}",
                sourceVersion=upload.version,
                idempotencyToken=uuid.uuid4().hex,  # one build, also when the request is repeated
                environmentVariablesOverride=[
                    {"name": "IMAGE_TAG", "value": tag, "type": "PLAINTEXT"}
                ],
                **override,
            )["build"]
        emit(Event(step=STEP, message=f"Build {build['id']} started", resource=build["arn"]))
        try:
            build, lines = self._followed(build["id"], emit)
        except AdvisorError as error:
            self._stop(build["id"], error)
            raise
        digest = self.digest(tag)
        if build["buildStatus"] != "SUCCEEDED":
            if digest is not None:  # somebody else's build of the same bundle was first
                return digest
            raise DeployError(_why(build, lines))
        pushed = {v["name"]: v["value"] for v in build.get("exportedEnvironmentVariables", [])}
        if digest is None or pushed.get("IMAGE_DIGEST") != digest:
            raise DeployError(
                f"the build pushed {pushed.get('IMAGE_DIGEST') or 'no digest'} but the repository "
                f"holds {digest or 'no image'} under {tag}; nothing was started with it"
            )
        emit(Event(step=STEP, level="done", message=f"Image {digest} is in the repository"))
        return digest

    def _stop(self, build_id: str, because: AdvisorError) -> None:
        try:
            with told("stop the image build"):
                self._aws.client("codebuild").stop_build(id=build_id)
        except DeployError as error:
            raise DeployError(f"{because}; and the build still runs: {error}") from because

    def remove_image(self, tag: str) -> bool:
        """Delete the image under the tag; False when there was none."""
        try:
            with told(f"remove the image {tag}"):
                answer = self._aws.client("ecr").batch_delete_image(
                    repositoryName=self._boot.repository_name, imageIds=[{"imageTag": tag}]
                )
        except DeployError as error:
            if code_of(error) in MISSING:
                return False
            raise
        return bool(answer["imageIds"])

    def remove_upload(self, tag: str) -> int:
        """Delete every version of the bundle's archive; how many there were."""
        key, bucket = f"bundles/{tag}.zip", self._boot.bucket
        client = self._aws.client("s3")
        owner = {"ExpectedBucketOwner": self._aws.account}
        with told(f"remove s3://{bucket}/{key}"):
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=bucket, Prefix=key, **owner
            )
            versions = [
                item["VersionId"]
                for page in pages
                for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            ]
            for version in versions:
                client.delete_object(Bucket=bucket, Key=key, VersionId=version, **owner)
        return len(versions)

    def _followed(self, build_id: str, emit: Emit) -> tuple[dict[str, Any], list[str]]:
        """Emit the build's log line by line until it ends; the build and its last lines."""
        lines: list[str] = []
        token: str | None = None
        until = told_at = time.monotonic()
        until += self._limit_s
        phase = ""
        while time.monotonic() < until:
            with told("look at the image build"):
                build = self._aws.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
            ended = build["buildStatus"] != "IN_PROGRESS"
            if build.get("currentPhase", phase) != phase and not ended:
                phase = build["currentPhase"]
                emit(Event(step=STEP, level="progress", message=f"{_words(phase)} …"))
                told_at = time.monotonic()
            token, fresh = self._log(build, token)
            for line in fresh:
                lines = [*lines, line][-TOLD_LINES_ON_FAILURE:]
                emit(Event(step=STEP, level="progress", message=line))
                told_at = time.monotonic()
            if ended:
                return build, lines
            if time.monotonic() - told_at > HEARTBEAT_S:
                told_at = time.monotonic()
                emit(Event(step=STEP, level="progress", message=f"Still {_words(phase)} …"))
            time.sleep(self._aws.settings.poll_seconds)
        raise DeployError(
            f"the build {build_id} has not ended within {self._limit_s / 60:.0f} minutes"
        )

    def _log(self, build: dict[str, Any], token: str | None) -> tuple[str | None, list[str]]:
        """Log lines since `token`, cleaned of control characters and cut to a line each."""
        where = build.get("logs", {})
        if not where.get("streamName"):
            return token, []
        lines: list[str] = []
        for page in self._log_pages(where, token):
            token = page["nextForwardToken"]
            lines += [_clean(event["message"]) for event in page["events"]]
        return token, [line for line in lines if line]

    def _log_pages(self, where: dict[str, str], token: str | None) -> Iterator[dict[str, Any]]:
        while True:
            try:
                with told("read the build's log"):
                    page = self._aws.client("logs").get_log_events(
                        logGroupName=where["groupName"],
                        logStreamName=where["streamName"],
                        startFromHead=True,
                        **({"nextToken": token} if token else {}),
                    )
            except DeployError as error:
                if code_of(error) in MISSING:
                    return  # the stream appears with its first line
                raise
            yield page
            if page["nextForwardToken"] == token or not page["events"]:
                return
            token = page["nextForwardToken"]


def _why(build: dict[str, Any], lines: list[str]) -> str:
    failed: dict[str, Any] = next(
        (p for p in build.get("phases", []) if p.get("phaseStatus") not in (None, "SUCCEEDED")), {}
    )
    said = "; ".join(c["message"] for c in failed.get("contexts", []) if c.get("message"))
    tail = " / ".join(lines)
    logs = build.get("logs", {})
    whole = f"{logs.get('groupName', '')} {logs.get('streamName', '')}".strip()
    return (
        f"the image build {_words(build['buildStatus'])} in {_words(failed.get('phaseType', '?'))}"
        f"{f' ({said})' if said else ''}{f': {tail}' if tail else ''}; mend that and deploy again"
        f"{f' ({LOG_LIES}: {whole})' if whole else ''}"
    )


def _clean(line: str) -> str:
    text = " ".join(CONTROL.sub(" ", line).split())
    return text if len(text) <= TOLD_LINE_CHARACTERS else text[: TOLD_LINE_CHARACTERS - 1] + "…"


def _words(text: str) -> str:
    return text.replace("_", " ").lower()
