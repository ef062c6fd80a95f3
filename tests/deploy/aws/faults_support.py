"""The options that are put under faults, each in an account of its own that is there already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aws_support import Log, asked, client, need
from containers_support import BOOTSTRAP, GONE
from emulator.client import Emulator
from fault_wire import Wire

from advisor.errors import AdvisorError
from deploy.artifact import look_again
from deploy.aws import rollout
from deploy.aws.session import AwsSettings
from deploy.aws.stack_target import StackTarget
from deploy.bundle import pack as packing
from deploy.bundle.pack import image_tag
from deploy.bundle.requirements import pinned
from deploy.requests import PlanRequest
from deploy.target import Plan
from deploy.targets.batch import BatchTarget
from deploy.targets.ec2 import Ec2Target
from deploy.targets.ecs import EcsTarget
from deploy.targets.eks import EksTarget
from deploy.targets.lambda_api import LambdaTarget
from deploy.targets.sagemaker import SageMakerTarget

DOOR = "203.0.113.7/32"  # whence a cluster's API server may be called
HASTE = 0.1  # seconds between two looks
ROWS = b'{"instances": [[1, 1, 1, 1]]}'
ANSWER = 10.0  # of the model that sums under the weights 1 to 4
BUILDS = ("AWS::CodeBuild::Build", "AWS::ECR::Image")  # planned, and no resource of a stack

NIGHTLY: dict[str, Any] = {
    "traffic": {"mode": "batch", "requests_per_month": 400_000_000, "pattern": "nightly"},
    "service": {"deadline_h": 4, "p95_ms": None},
}
BUSY: dict[str, Any] = {"traffic": {"requests_per_month": 400_000_000, "pattern": "business-hours"}}
SCALED: dict[str, Any] = {  # several small nodes are the cheapest here, so that a cluster scales
    "model": {"format": "joblib"},
    "traffic": BUSY["traffic"] | {"request_mb": 0.0005, "response_mb": 0.0005},
}
READY: dict[str, Any] = {
    "traffic": {"requests_per_month": 40_000_000, "pattern": "business-hours"},
    "service": {"cold_starts_ok": False},
}
QUEUED: dict[str, Any] = {
    "model": {"service_time_ms": 4000},
    "traffic": {"mode": "async", "requests_per_month": 2_000_000},
    "service": {"p95_ms": None, "deadline_h": 1},
}
TARGETS: dict[str, tuple[type[StackTarget], dict[str, Any]]] = {
    "sagemaker-realtime": (SageMakerTarget, BUSY),
    "sagemaker-serverless": (SageMakerTarget, READY),
    "sagemaker-async": (SageMakerTarget, QUEUED),
    "sagemaker-batch": (SageMakerTarget, NIGHTLY),
    "lambda-apigateway": (LambdaTarget, READY),
    "lambda-url": (LambdaTarget, READY),
    "ecs-fargate": (EcsTarget, BUSY),
    "ecs-ec2": (EcsTarget, BUSY),
    "ec2": (Ec2Target, {}),
    "aws-batch": (BatchTarget, NIGHTLY),
    "eks": (EksTarget, SCALED),
}


@dataclass
class Case:
    """One option in one account that has its bootstrap stack."""

    option: str
    emulator: Emulator
    model: Path
    wire: Wire
    name: str = "fraud"
    manifest: dict[str, Any] | None = None
    log: Log = field(default_factory=Log)

    @property
    def target(self) -> StackTarget:
        return TARGETS[self.option][0](AwsSettings(poll_seconds=HASTE, cluster_cidrs=(DOOR,)))

    @property
    def request(self) -> PlanRequest:
        return self.asking_for(self.model)

    def asking_for(self, model: Path) -> PlanRequest:
        requirements = need(**TARGETS[self.option][1])
        return asked(model, self.name, option=self.option, requirements=requirements)

    def plan(self) -> Plan:
        return self.target.plan(self.request)

    def planned(self, model: Path) -> Plan:
        """The same deployment with another model."""
        return self.target.plan(self.asking_for(model))

    def apply(self, plan: Plan) -> None:
        self.log.clear()
        self.target.apply(plan, self.log)

    def predict(self, plan: Plan) -> None:
        assert self.answer(plan) == ANSWER

    def answer(self, plan: Plan) -> float:
        [found] = self.target.predict(plan, ROWS, "application/json").body["predictions"]
        return float(found)

    def destroy(self, plan: Plan) -> None:
        self.log.clear()
        assert self.target.destroy(plan, self.log).left_behind == []

    def keep_image(self, plan: Plan) -> None:
        """Remember the image that was built, so that later runs need not build it."""
        found = client("ecr").batch_get_image(
            repositoryName=self._repository, imageIds=[{"imageTag": image_tag(plan.bundle_hash)}]
        )["images"][0]
        self.manifest = {
            "imageManifest": found["imageManifest"],
            "imageManifestMediaType": found["imageManifestMediaType"],
            "imageTag": image_tag(plan.bundle_hash),
        }

    def put_image(self) -> None:
        """The image is there already, as after a run that was interrupted."""
        client("ecr").put_image(repositoryName=self._repository, **(self.manifest or {}))

    @property
    def _repository(self) -> str:
        [name] = self.emulator.state()["repositories"]
        return str(name)


def left(emulator: Emulator) -> list[str]:
    """What of a deployment is in the account; plans that wait bill nothing and do not count."""
    state = emulator.state()
    found = [f"{what} {name}" for what in GONE for name in state[what]]
    found += [f"image {tag}" for tags in state["repositories"].values() for tag in tags]
    found += [f"object {key}" for keys in state["buckets"].values() for key in keys]
    found += [
        f"stack {name} ({status})"
        for name, status in state["stacks"].items()
        if name != BOOTSTRAP and status != "REVIEW_IN_PROGRESS"
    ]
    return found + [f"build {b['status']}" for b in state["builds"] if b["status"] == "IN_PROGRESS"]


def said_of(work: Callable[[], object]) -> AdvisorError | None:
    """What a user is told, in one line; None when all went well. Other errors come through."""
    said: AdvisorError | None = None
    try:
        work()
    except AdvisorError as error:
        said = error
    assert said is None or len(str(said).splitlines()) == 1
    return said


def looked_at_once(patch: pytest.MonkeyPatch) -> None:
    """What talks to nobody and finds the same each time is done once here: the confined look at
    the model, and the versions of the installed packages."""
    kept: dict[str, Any] = {}

    def look(path: str, accepted: Any) -> Any:
        if path not in kept:
            kept[path] = look_again(path, accepted)
        return kept[path]

    patch.setattr(rollout, "look_again", look)
    found: dict[tuple[str, ...], list[str]] = {}

    def versions(packages: list[str]) -> list[str]:
        if tuple(packages) not in found:
            found[tuple(packages)] = pinned(packages)
        return list(found[tuple(packages)])

    patch.setattr(packing, "pinned", versions)
