"""The bootstrap stack: bucket, image repository, build project and bounded roles of an account.

Once for each account and region. It bills nothing while it is empty, and goes when asked.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from advisor.errors import DeployError, PreflightError
from deploy.aws.session import code_of, told
from deploy.aws.stack_events import words
from deploy.aws.stack_models import ChangeSet, Stack
from deploy.aws.stacks import Stacks
from deploy.aws.templates import Template, load
from deploy.requests import NOBODY
from deploy.target import Emit, Event

STACK_NAME = "model-deployment-advisor"
PREFIX = "mda-"  # of every deployment's stack, endpoint, role and alarm
MANAGED_BY = {"mda:managed-by": "model-deployment-advisor"}
OWNER_TAG = "mda:owner"
TEMPLATE_TAG = "mda:template"
KEPT_PARAMETERS = ("KmsKeyArn", "Owner")  # an update of the template keeps what was chosen
OBJECTS_A_CALL = 1000
IMAGES_A_CALL = 100
STEP = "bootstrap"


@dataclass(frozen=True)
class Bootstrap:
    """What the stack's outputs name."""

    bucket: str
    repository_name: str
    repository_uri: str
    build_project: str
    arm_build_image: str
    workload_boundary_arn: str
    sagemaker_service_role_arn: str
    # "" in a stack from a version that knew none of it: it is renewed before that is deployed.
    container_boundary_arn: str = ""
    container_service_role_arn: str = ""
    expiry_group: str = ""
    expiry_role_arn: str = ""
    function_boundary_arn: str = ""
    function_service_role_arn: str = ""

    @classmethod
    def of(cls, stack: Stack) -> Bootstrap:
        """Raises PreflightError when an output is missing (a stack from an older version)."""
        out = stack.outputs
        try:
            return cls(
                bucket=out["ArtifactBucket"],
                repository_name=out["RepositoryName"],
                repository_uri=out["RepositoryUri"],
                build_project=out["BuildProject"],
                arm_build_image=out["ArmBuildImage"],
                workload_boundary_arn=out["WorkloadBoundaryArn"],
                sagemaker_service_role_arn=out["SageMakerServiceRoleArn"],
                container_boundary_arn=out.get("ContainerBoundaryArn", ""),
                container_service_role_arn=out.get("ContainerServiceRoleArn", ""),
                expiry_group=out.get("ExpiryGroup", ""),
                expiry_role_arn=out.get("ExpiryRoleArn", ""),
                function_boundary_arn=out.get("FunctionBoundaryArn", ""),
                function_service_role_arn=out.get("FunctionServiceRoleArn", ""),
            )
        except KeyError as missing:
            raise PreflightError(
                f"the stack {STACK_NAME} has no output {missing}: an older version made it; destroy "
                "its deployments and the stack with that version"
            ) from None


class BootstrapStack:
    """Looks for, makes, renews and removes the bootstrap stack."""

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._aws = stacks.aws

    @property
    def template(self) -> Template:
        return load("bootstrap.yaml")

    def found(self) -> Bootstrap | None:
        """What is there, from whichever version of the template; None when nothing is.

        Raises PreflightError when the stack is busy or stuck.
        """
        stack = self._standing()
        return Bootstrap.of(stack) if stack else None

    def is_current(self) -> bool:
        """Is the stack there, made from the template as it is now? Raises PreflightError."""
        stack = self._standing()
        return stack is not None and stack.tags.get(TEMPLATE_TAG) == self.template.digest

    def prepare(self, owner: str) -> ChangeSet | None:
        """A change set that makes or renews the stack; None when there is nothing to do."""
        stack = self._stacks.find(STACK_NAME)
        chosen = {"Owner": owner or NOBODY}
        if self._aws.settings.kms_key_arn:
            chosen["KmsKeyArn"] = self._aws.settings.kms_key_arn
        if stack is not None and stack.parameters:
            chosen = {k: v for k, v in stack.parameters.items() if k in KEPT_PARAMETERS}
        tags = MANAGED_BY | {OWNER_TAG: chosen["Owner"], TEMPLATE_TAG: self.template.digest}
        return self._stacks.prepare(
            STACK_NAME,
            self.template.sent_to(self._aws.identity["arn"], self._aws.region, tags),
            chosen,
            tags,
            change_set_name=f"bootstrap-{uuid.uuid4().hex[:12]}",
        )

    def ensure(self, change_set: ChangeSet, emit: Emit) -> Bootstrap:
        """Execute the change set and give back what it made. Raises DeployError."""
        if change_set.is_available:
            said = f"Making the stack {STACK_NAME}, once for this account"
            emit(Event(step=STEP, message=said))
        stack = self._stacks.execute(change_set, emit)
        emit(
            Event(step=STEP, level="done", message="Bucket, repository and build project are there")
        )
        return Bootstrap.of(stack)

    def stacks(self) -> list[Stack]:
        """The stacks of all deployments in this account and region; somebody else's that only begin
        alike are none."""
        [(key, value)] = MANAGED_BY.items()
        return [s for s in self._stacks.names(PREFIX) if s.tags.get(key) == value]

    def runs(self, image_tag: str) -> bool:
        """Does a deployment's stack name the image? Then it needs it, to scale out or go back."""
        return any(image_tag in stack.image_tags for stack in self.stacks() if not stack.is_review)

    def is_empty(self) -> bool:
        """No deployment, no image and no bundle."""
        stack = self._stacks.find(STACK_NAME)
        if stack is None or not stack.outputs:
            return True
        found = Bootstrap.of(stack)
        return not (self.stacks() or self._images(found) or self._objects(found.bucket))

    def remove(self, emit: Emit) -> list[str]:
        """Empty and delete it all; what was removed. Fine to repeat.

        Raises DeployError while a deployment stands, or when something would not go.
        """
        standing = [stack.name.removeprefix(PREFIX) for stack in self.stacks()]
        if standing:
            raise DeployError(
                f"the account still runs {', '.join(standing)}; destroy that first, the bootstrap "
                "stack holds its image and its roles"
            )
        stack = self._stacks.find(STACK_NAME)
        if stack is None:
            return []
        removed = [] if stack.is_review else self._emptied(stack, emit)
        removed += [] if stack.is_review else self._stacks.resources(stack.id)
        self._stacks.delete(STACK_NAME, emit)
        emit(Event(step=STEP, level="done", message=f"The stack {STACK_NAME} is gone"))
        return [*removed, f"AWS::CloudFormation::Stack {STACK_NAME}"]

    def _standing(self) -> Stack | None:
        stack = self._stacks.find(STACK_NAME)
        if stack is None or stack.is_review or stack.is_empty_shell:
            return None
        if stack.is_busy or stack.is_stuck:
            raise PreflightError(
                f"the stack {STACK_NAME} is {words(stack.status)}; "
                + (
                    "delete it in CloudFormation"
                    if stack.is_stuck
                    else "wait until it has finished"
                )
            )
        return stack

    def _emptied(self, stack: Stack, emit: Emit) -> list[str]:
        names = {r.split(" ", 1)[0]: r.split(" ", 1)[1] for r in self._stacks.resources(stack.id)}
        removed = []
        bucket = names.get("AWS::S3::Bucket", "")
        objects = self._objects(bucket) if bucket else []
        for start in range(0, len(objects), OBJECTS_A_CALL):
            batch = objects[start : start + OBJECTS_A_CALL]
            with told(f"empty the bucket {bucket}"):
                answer = self._aws.client("s3").delete_objects(
                    Bucket=bucket,
                    Delete={"Objects": batch, "Quiet": True},
                    ExpectedBucketOwner=self._aws.account,
                )
            for failed in answer.get("Errors", []):
                raise DeployError(
                    f"s3://{bucket}/{failed['Key']} would not go: {failed['Message']}; remove it "
                    "and destroy again"
                )
        if objects:
            emit(Event(step=STEP, message=f"Removed {len(objects)} object versions from {bucket}"))
            removed.append(f"{len(objects)} object versions of s3://{bucket}")
        repository = names.get("AWS::ECR::Repository", "")
        if repository:
            removed += self._without_images(repository, emit)
        return removed

    def _without_images(self, repository: str, emit: Emit) -> list[str]:
        client = self._aws.client("ecr")
        with told(f"list the images of {repository}"):
            pages = client.get_paginator("list_images").paginate(repositoryName=repository)
            images = [image for page in pages for image in page["imageIds"]]
        digests = [{"imageDigest": d} for d in sorted({i["imageDigest"] for i in images})]
        for start in range(0, len(digests), IMAGES_A_CALL):
            with told(f"remove the images of {repository}"):
                client.batch_delete_image(
                    repositoryName=repository, imageIds=digests[start : start + IMAGES_A_CALL]
                )
        if digests:
            emit(Event(step=STEP, message=f"Removed {len(digests)} images from {repository}"))
        return [f"{len(digests)} images of {repository}"] if digests else []

    def _objects(self, bucket: str) -> list[dict[str, Any]]:
        """Every version and delete marker."""
        try:
            with told(f"list the bucket {bucket}"):
                pages = (
                    self._aws.client("s3")
                    .get_paginator("list_object_versions")
                    .paginate(Bucket=bucket, ExpectedBucketOwner=self._aws.account)
                )
                return [
                    {"Key": item["Key"], "VersionId": item["VersionId"]}
                    for page in pages
                    for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                ]
        except DeployError as error:
            if code_of(error) == "NoSuchBucket":
                return []
            raise

    def _images(self, found: Bootstrap) -> int:
        with told(f"list the images of {found.repository_name}"):
            pages = self._aws.client("ecr").get_paginator("list_images")
            return sum(
                len(page["imageIds"])
                for page in pages.paginate(repositoryName=found.repository_name)
            )


def keeping_versions(name: str) -> str:
    """The command with which a bucket that was made by hand keeps versions as ours does."""
    return (
        f"aws s3api put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled"
    )
