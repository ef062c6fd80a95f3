"""SageMaker real-time endpoints: CloudFormation change sets, images built in the account.

`plan` prepares the endpoint's change set and `apply` executes that very one. An account without
the bootstrap stack has no role to prepare it with: there `plan` prepares the bootstrap's change
set, lists the endpoint's resources from the template, and `apply` goes on only if the change set
that it then makes is that list exactly (docs/deploying-aws.md).
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from advisor.errors import DeployError, InputError, PreflightError
from deploy.aws import checks
from deploy.aws.bootstrap import STACK_NAME, BootstrapStack
from deploy.aws.images import Images
from deploy.aws.leftovers import left_behind
from deploy.aws.planned import PROVEN_BY, PROVEN_ON, TARGET, Prepared, planned
from deploy.aws.realtime import VARIANT, in_account, realtime, stack_name
from deploy.aws.rollout import Rollout
from deploy.aws.session import Aws, AwsSettings, code_of, told
from deploy.aws.stack_models import Stack
from deploy.aws.stacks import Stacks
from deploy.bundle.pack import image_tag, pack
from deploy.requests import PlanRequest, check_name
from deploy.target import (
    DestroyReport,
    Emit,
    Event,
    Finding,
    Plan,
    Prediction,
    Proof,
    State,
    Status,
    Target,
)

TOLD_ERROR_CHARACTERS = 500
NO_SAMPLE = '{"instances": [...]}'


class SageMakerTarget(Target):
    """A managed endpoint in the account that this machine's own AWS credentials belong to."""

    name = TARGET
    proven_by: Proof = PROVEN_BY
    proven_on = PROVEN_ON

    def __init__(self, settings: AwsSettings | None = None) -> None:
        self._settings = settings

    def preflight(self, request: PlanRequest) -> list[Finding]:
        """Model, budget, region, credentials, name, quota, network. Asks AWS, changes nothing.

        Raises InputError for another variant or a wrong setting, PreflightError when AWS cannot be
        asked at all.
        """
        _check_variant(request.ranked.deploy_variant)
        aws = self._aws(request.ranked.region)
        return checks.findings(request, aws, Stacks(aws))

    def plan(self, request: PlanRequest) -> Plan:
        """Prepare the change sets; nothing that bills is made, and `discard` takes them away.

        Blocks for some seconds. Raises PreflightError naming every blocking finding, InputError,
        DeployError when CloudFormation refuses the template.
        """
        findings = self.preflight(request)
        blocking = [_sentence(f) for f in findings if f.blocking and not f.ok]
        if blocking:
            raise PreflightError(" — ".join(blocking))
        with tempfile.TemporaryDirectory(prefix="bundle-") as scratch:
            bundle_hash = pack(request.artifact, Path(scratch) / "bundle").hash
        aws = self._aws(request.ranked.region)
        stacks = Stacks(aws)
        wanted = realtime(request, bundle_hash, aws.settings)
        name = f"plan-{uuid.uuid4().hex[:12]}"
        boot = BootstrapStack(stacks)
        there = boot.found()
        boot_set = boot.prepare(request.owner) if not boot.is_current() else None
        own_set = None
        if there is not None:
            own_set = stacks.prepare(
                stack_name(request.name),
                wanted.template.text,
                in_account(wanted.parameters, image_tag(bundle_hash), there, aws),
                wanted.tags,
                change_set_name=name,
                role_arn=there.sagemaker_service_role_arn,
            )
        return planned(
            request,
            wanted,
            Prepared(
                bundle_hash,
                findings,
                aws.account,
                name,
                boot_set,
                own_set,
                is_new_account=there is None,
            ),
        )

    def apply(self, plan: Plan, emit: Emit) -> Status:
        """Bootstrap if planned, upload, build, then exactly the planned change set; to InService.

        Blocks for minutes. Fine to repeat: what is there is found. On failure or cancellation
        everything that this apply made is taken back, or named in the error. Raises
        StalePlanError, PreflightError, DeployError.
        """
        aws = self._aws(plan.region)
        Rollout(plan, aws, Stacks(aws), emit).run()
        status = self.status(plan)
        if status.state != "running":
            raise DeployError(f"{plan.name} does not run after all: {status.message}")
        return status

    def status(self, plan: Plan) -> Status:
        """What CloudFormation and SageMaker say now. "destroyed" when the stack is gone."""
        aws = self._aws(plan.region)
        stacks = Stacks(aws)
        stack = stacks.find(stack_name(plan.name))
        if stack is None:
            return self._not_running(plan, "destroyed", f"{plan.name} is not in this account")
        state = _state_of(stack)
        if state != "running":
            said = stack.status.lower().replace("_", " ")
            return self._not_running(
                plan, state, f"the stack {stack.name} is {said}{': ' if stack.reason else ''}"
                f"{stack.reason}",
            )  # fmt: skip
        endpoint = self._endpoint(stack.name, aws)
        if endpoint is None or endpoint["EndpointStatus"] in ("Failed", "OutOfService"):
            why = endpoint.get("FailureReason", "") if endpoint else "it was deleted by hand"
            return self._not_running(plan, "failed", f"the endpoint {stack.name} is out: {why}")
        host = aws.client("sagemaker-runtime").meta.endpoint_url
        url = f"{host}/endpoints/{stack.name}/invocations"
        variant = endpoint["ProductionVariants"][0]
        return Status(
            name=plan.name,
            option=plan.option,
            target=self.name,
            state="running",
            message=f"{stack.name} is {endpoint['EndpointStatus']} with "
            f"{variant.get('CurrentInstanceCount', '?')} instances",
            endpoint=url,
            outputs=stack.outputs,
            resources=stacks.resources(stack.id),
            snippets=_snippets(stack.name, url, plan),
        )

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """One InvokeEndpoint. Raises DeployError with the model server's own words."""
        name = stack_name(plan.name)
        client = self._aws(plan.region).client("sagemaker-runtime")
        began = time.monotonic()
        try:
            with told(f"call the endpoint {name}"):
                answer = client.invoke_endpoint(
                    EndpointName=name, Body=body, ContentType=content_type
                )
                content = answer["Body"].read()
        except DeployError as error:
            if code_of(error) == "ModelError":
                said = getattr(error.__cause__, "response", {})
                raise DeployError(
                    f"{name} answered {said.get('OriginalStatusCode', 'with an error')}: "
                    f"{str(said.get('OriginalMessage', ''))[:TOLD_ERROR_CHARACTERS]}"
                ) from None
            raise
        latency_ms = (time.monotonic() - began) * 1000
        kind = answer["ContentType"].partition(";")[0].strip()
        return Prediction(
            body=json.loads(content) if kind == "application/json" else content.decode(),
            content_type=kind,
            status_code=answer["ResponseMetadata"]["HTTPStatusCode"],
            latency_ms=round(latency_ms, 3),
        )

    def destroy(self, plan: Plan, emit: Emit, *, everything: bool = False) -> DestroyReport:
        """Delete the stack and the image, and prove by listing that nothing is left.

        Blocks for minutes; fine to repeat. With `everything` the bootstrap stack goes too, with
        all images and bundles in it; that is refused while another deployment stands. Raises
        DeployError naming what would not go.
        """
        check_name(plan.name)
        aws = self._aws(plan.region)
        stacks = Stacks(aws)
        removed: list[str] = []
        name = stack_name(plan.name)
        stack = stacks.find(name)
        if stack is not None:
            removed += [] if stack.is_review else stacks.resources(stack.id)
            stacks.delete(name, emit)
            removed.append(f"AWS::CloudFormation::Stack {name}")
        boot = BootstrapStack(stacks)
        kept: list[str] = []
        tags = {image_tag(plan.bundle_hash), stack.image_tag if stack else ""} - {""}
        removed += self._without_images(tags, boot, aws, kept)
        self.discard(plan)
        left = left_behind(plan.name, aws, stacks)
        if everything and not left:
            removed += boot.remove(emit)
        elif boot.found() is not None:
            kept.append("the bootstrap stack: bucket, repository and build project")
        done = f"Nothing of {plan.name} is left in account {aws.account}, {aws.region}"
        if left:
            emit(Event(step="destroy", level="error", message=f"Left behind: {', '.join(left)}"))
        else:
            emit(Event(step="destroy", level="done", message=done))
        return DestroyReport(name=plan.name, removed=removed, kept=kept, left_behind=left)

    def discard(self, plan: Plan) -> None:
        """Take away the change sets of a plan that nobody applies, and the empty stacks of them."""
        stacks = Stacks(self._aws(plan.region))
        for stack, arn in (
            (stack_name(plan.name), plan.parameters["change_set"]),
            (STACK_NAME, plan.parameters["bootstrap_change_set"]),
        ):
            if arn is not None:
                stacks.drop(stack, arn)

    def _aws(self, region: str) -> Aws:
        return Aws(region, self._settings)

    def _endpoint(self, name: str, aws: Aws) -> dict[str, Any] | None:
        try:
            with told(f"look at the endpoint {name}"):
                found: dict[str, Any] = aws.client("sagemaker").describe_endpoint(EndpointName=name)
        except DeployError as error:
            if checks.MISSING in str(error):
                return None
            raise
        return found

    def _without_images(
        self, tags: set[str], boot: BootstrapStack, aws: Aws, kept: list[str]
    ) -> list[str]:
        """Remove images that no other deployment runs; what was removed."""
        there = boot.found()
        if there is None:
            return []
        images, removed = Images(aws, there), []
        for tag in sorted(tags):
            if boot.runs(tag):
                kept.append(f"the image {tag}: another deployment runs it")
                continue
            if images.remove_image(tag):
                removed.append(f"AWS::ECR::Image {images.uri(tag)}")
            if images.remove_upload(tag):
                removed.append(f"AWS::S3::Object bundles/{tag}.zip")
        return removed

    def _not_running(self, plan: Plan, state: State, message: str) -> Status:
        return Status(
            name=plan.name, option=plan.option, target=self.name, state=state, message=message
        )


def _check_variant(variant: str) -> None:
    if variant not in ("", VARIANT):
        raise InputError(
            f"the variant {variant!r} of SageMaker is compared but not deployed from here; "
            f"only {VARIANT} is"
        )


def _sentence(finding: Finding) -> str:
    return f"{finding.message}; {finding.fix}" if finding.fix else finding.message


def _state_of(stack: Stack) -> State:
    if stack.is_review:
        return "planned"
    if stack.status == "DELETE_IN_PROGRESS":
        return "destroying"
    if stack.is_good or stack.status.startswith("UPDATE_ROLLBACK_COMPLETE"):
        return "running"
    if stack.is_busy:
        # An update is rolled out beside the version that serves.
        return "running" if stack.status.startswith("UPDATE_") else "applying"
    return "failed"


def _snippets(name: str, url: str, plan: Plan) -> dict[str, str]:
    body = plan.parameters.get("sample") or NO_SAMPLE
    quoted = body.replace("'", "'\\''")
    return {
        "curl": (
            f"curl -s --aws-sigv4 'aws:amz:{plan.region}:sagemaker' "
            '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
            '-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN" '
            f"-H 'Content-Type: application/json' -d '{quoted}' {url}"
        ),
        "aws": (
            f"aws sagemaker-runtime invoke-endpoint --region {plan.region} --endpoint-name {name} "
            "--content-type application/json --cli-binary-format raw-in-base64-out "
            f"--body '{quoted}' /dev/stdout"
        ),
        "python": "\n".join(
            [
                "import boto3",
                "",
                f'client = boto3.client("sagemaker-runtime", region_name="{plan.region}")',
                "answer = client.invoke_endpoint(",
                f'    EndpointName="{name}", ContentType="application/json",',
                f"    Body={body.encode()!r},",
                ")",
                'print(answer["Body"].read().decode())',
            ]
        ),
    }
