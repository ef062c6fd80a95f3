"""SageMaker's transform jobs: the real bundle over the lines of files, under the model's own role."""

from __future__ import annotations

import contextlib
import contextvars
import json
import re
import threading
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from containers import Container, healthy, invoke, stop
from faults import FAULTS
from ministack.core.responses import get_account_id, get_region
from sagemaker_work import Files, client_of

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
INSTANCE_TYPES = (
    ServiceModel(Loader().load_service_model("sagemaker", "service-2"))
    .shape_for("TransformInstanceType")
    .enum
)
GROUP = "/aws/sagemaker/TransformJobs"
MOST_MB = 100
MB = 2**20


@dataclass
class Job:
    given: dict[str, Any]
    arn: str
    status: str = "InProgress"
    reason: str = ""
    lines: list[str] = field(default_factory=list)  # of its log
    created_at: float = field(default_factory=time.time)


class TransformCalls:
    """Jobs by name. They are never forgotten, as in the service."""

    world: Any
    endpoint = ""

    def __init__(self) -> None:
        super().__init__()
        self.transforms: dict[str, Job] = {}

    def _CreateTransformJob(self, given: dict[str, Any]) -> dict[str, Any]:
        from resources import MODEL

        name = given["TransformJobName"]
        model = self.world.get(MODEL, given["ModelName"])
        if model is None:
            raise _refused(f'Could not find model "{given["ModelName"]}".')
        if not NAME.fullmatch(name):
            raise _refused(f"Value '{name}' at 'transformJobName' failed to satisfy constraint")
        if name in self.transforms:
            raise _refused(
                f"Job name must be unique within an AWS account: {name}", "ResourceInUse"
            )
        if given["TransformResources"]["InstanceType"] not in INSTANCE_TYPES:
            raise _refused(
                "Value at 'transformResources.instanceType' is not in the enum value set"
            )
        at_once, most = given["MaxConcurrentTransforms"], given["MaxPayloadInMB"]
        if at_once * most > MOST_MB:
            raise _refused("MaxPayloadInMB multiplied by MaxConcurrentTransforms exceeds 100 MB")
        arn = f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:transform-job/{name.lower()}"
        job = self.transforms[name] = Job(given, arn)
        context = contextvars.copy_context()  # account and Region of the call
        threading.Thread(target=context.run, args=(self._work, job, model), daemon=True).start()
        return {"TransformJobArn": arn}

    def _DescribeTransformJob(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._job(given["TransformJobName"])
        kept = ("TransformJobName", "ModelName", "TransformInput", "TransformOutput",
                "TransformResources", "MaxConcurrentTransforms", "MaxPayloadInMB",
                "BatchStrategy", "ModelClientConfig")  # fmt: skip
        return _summary(job) | {k: v for k, v in job.given.items() if k in kept}

    def _ListTransformJobs(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [j for n, j in self.transforms.items() if given.get("NameContains", "") in n]
        found.sort(key=lambda j: j.created_at, reverse=given.get("SortOrder") == "Descending")
        return {"TransformJobSummaries": [_summary(job) for job in found]}

    def _StopTransformJob(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._job(given["TransformJobName"])
        if job.status != "InProgress":
            raise _refused(f"The request was rejected because the job is {job.status}")
        job.status = "Stopping"
        return {}

    def _job(self, name: str) -> Job:
        if name not in self.transforms:
            raise _refused(f"Could not find requested job with name: {name}")
        return self.transforms[name]

    def _work(self, job: Job, model: Any) -> None:
        from resources import _config_digest, _image

        role, container = model.properties["ExecutionRoleArn"], None
        status, reason = "Completed", ""
        fault = FAULTS.take("transform")
        try:
            if fault:
                raise ValueError(fault.message)
            files = Files(self.endpoint, role)
            stored = _image(model.image[0])
            if stored is None:
                raise ValueError(f"Requested image {model.image[0]} not found.")
            found = files.below(job.given["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])
            if not found:
                raise ValueError("No S3 objects found under the given S3 URL")
            name = job.given["TransformJobName"]
            container = self.world.images.run(_config_digest(stored), name, "serve")
            self.world.containers.append(container)
            why_not = healthy(container, 60)
            if why_not:
                raise ValueError(f"AlgorithmError: the ping health check failed ({why_not})")
            for location in found:
                if job.status == "Stopping":
                    status = "Stopped"
                    break
                _transformed(job, files, location, container)
        except (ValueError, OSError, ClientError) as error:
            status, reason = "Failed", str(error)
        finally:
            if container:
                stop(container)
        self._write_log(job, role)
        job.reason, job.status = reason, status

    def _write_log(self, job: Job, role: str) -> None:
        """Under the model's own role; the group is made by whichever job comes first."""
        if not job.lines:
            return
        logs = client_of(role, "logs", self.endpoint)
        stream = f"{job.given['TransformJobName']}/i-0123456789abcdef0/data-log"
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=GROUP)
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        now = round(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in job.lines]
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def _transformed(job: Job, files: Files, location: str, container: Container) -> None:
    """Every mini-batch of the file; its answers become FILE.out."""
    given, out = job.given, b""
    prefix = given["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    headers = {
        "Content-Type": given["TransformInput"]["ContentType"],
        "Accept": given["TransformOutput"]["Accept"],
    }
    file = location.removeprefix(prefix)
    single = given["BatchStrategy"] == "SingleRecord"
    for batch in _batches(files.read(location), given["MaxPayloadInMB"] * MB, single):
        try:
            status, kind, body = invoke(container, batch, headers)
        except urllib.error.URLError as error:
            raise ValueError(f"AlgorithmError: the model server is gone ({error})") from None
        if status >= 400:
            message = json.loads(body) if "json" in kind else body.decode(errors="replace")
            job.lines.append(f"{file}: Received client error ({status}): {message}")
            raise ValueError("ClientError: See job logs for more information")
        out += body.rstrip(b"\n") + b"\n"
    files.write(f"{given['TransformOutput']['S3OutputPath']}{file}.out", out, headers["Accept"])


def _batches(content: bytes, most_bytes: int, single: bool) -> Iterator[bytes]:
    """Lines as mini-batches: one a line, or as many as fit."""
    batch = b""
    for line in content.splitlines(keepends=True):
        if batch and (single or len(batch) + len(line) > most_bytes):
            yield batch
            batch = b""
        batch += line
    if batch:
        yield batch


def _summary(job: Job) -> dict[str, Any]:
    return {
        "TransformJobName": job.given["TransformJobName"],
        "TransformJobArn": job.arn,
        "TransformJobStatus": job.status,
        "CreationTime": datetime.fromtimestamp(job.created_at, UTC),
        **({"FailureReason": job.reason} if job.reason else {}),
    }


def _refused(message: str, code: str = "ValidationException") -> Exception:
    from services import ServiceError

    return ServiceError(code, message)
