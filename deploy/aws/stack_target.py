"""What all targets on AWS share: one CloudFormation stack a deployment, through change sets.

`plan` prepares the stack's change set and `apply` executes that very one. An account whose
bootstrap stack lacks the role to prepare it with gets the bootstrap's change set first: there
`plan` lists the stack's resources from the template, and `apply` goes on only if the change set
that it then makes is that list exactly (docs/deploying-aws.md).
"""

from __future__ import annotations

import abc
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from advisor.errors import DeployError, InputError, PreflightError
from deploy import expiry
from deploy.aws.bootstrap import STACK_NAME, Bootstrap, BootstrapStack
from deploy.aws.bucket_checks import bucket_findings
from deploy.aws.builders import (
    BUILDERS,
    builder_finding,
    builder_of,
    engine_of,
    usual_builder,
)
from deploy.aws.expiry import Schedules
from deploy.aws.findings import prices as age_of_prices
from deploy.aws.images import Images
from deploy.aws.leftovers import LISTED_BY_NAME, left_behind
from deploy.aws.planned import PROVEN_BY, PROVEN_ON, Prepared, planned, tag_of
from deploy.aws.regional import regional_findings
from deploy.aws.rollback import plan_back
from deploy.aws.rollout import Rollout
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen, former_image, gone, state_of
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import Wanted, in_account, stack_name
from deploy.aws.zones import zones_of
from deploy.bundle.pack import image_tag, pack
from deploy.requests import PlanRequest, check_name
from deploy.target import (
    DestroyReport,
    Emit,
    Event,
    Finding,
    Plan,
    Proof,
    Status,
    Target,
)


class StackTarget(Target):
    """A family of services in the account that this machine's own AWS credentials belong to.

    A family says what it needs (`findings`), what its stack is made of (`wanted`), which role
    CloudFormation works as (`service_role`) and which bounds the roles it makes (`boundary`),
    whether what runs is what was built (`verify`), how it is (`seen`), and what of it could be
    left (`leftovers`).
    """

    proven_by: Proof = PROVEN_BY
    proven_on = PROVEN_ON
    can_expire = True
    builders = BUILDERS
    variants: tuple[str, ...] = ()
    listed: tuple[str, ...] = (
        LISTED_BY_NAME  # services whose resources `leftovers` lists: the tag index is late
    )

    def __init__(self, settings: AwsSettings | None = None) -> None:
        self._settings = settings

    @abc.abstractmethod
    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        """One finding a check. Asks AWS, changes nothing."""

    @abc.abstractmethod
    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        """What the request means for the template. Asks nobody; raises InputError."""

    @abc.abstractmethod
    def service_role(self, bootstrap: Bootstrap) -> str:
        """ARN of the role that CloudFormation works as; "" where the bootstrap stack is too old."""

    @abc.abstractmethod
    def boundary(self, bootstrap: Bootstrap) -> str:
        """ARN of the policy that bounds the deployment's own roles."""

    def install(
        self, plan: Plan, stack: Stack, digest: str, aws: Aws, emit: Emit
    ) -> Callable[[], object] | None:
        """Bring in what CloudFormation does not make, once the stack stands; what takes it back.

        Fine to repeat; also called when the stack stood already. On failure it leaves what was."""
        return None

    @abc.abstractmethod
    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """Does what was made run the image that was built? Raises DeployError when not."""

    @abc.abstractmethod
    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        """What the service itself says, for a stack that stands."""

    @abc.abstractmethod
    def leftovers(self, deployment: str, aws: Aws) -> Iterable[str]:
        """ "type name" of what of the deployment still exists, found by listing."""

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        """Take away what would hold the stack's deletion up; what was removed. Fine to repeat."""
        return []

    def preflight(self, request: PlanRequest) -> list[Finding]:
        """Model, budget, region, credentials, name, what the family adds, the age of the prices;
        changes nothing.

        Raises InputError for another variant or a wrong setting, PreflightError when AWS cannot be
        asked at all.
        """
        self._check_variant(request.ranked.deploy_variant)
        aws = self._aws(request.ranked.region)
        stacks = Stacks(aws)
        found = [*self.findings(request, aws, stacks), *regional_findings(request, aws.settings)]
        if any(finding.check == "credentials" and finding.ok for finding in found):
            found = [*found, *bucket_findings(aws, stacks)]
        builder = builder_of(request, aws.settings)
        if engine_of(builder) is not None:
            made_for = self.wanted(request, "", aws.settings).architecture
            found = [*found, builder_finding(builder, made_for)]
        return [*found, age_of_prices(request)]

    def plan(self, request: PlanRequest) -> Plan:
        """Prepare the change sets; nothing that bills is made, and `discard` takes them away.

        Blocks for some seconds. Raises PreflightError naming every blocking finding, InputError,
        DeployError when CloudFormation refuses the template.
        """
        findings = self.preflight(request)
        blocking = [_sentence(f) for f in findings if f.blocking and not f.ok]
        if blocking:
            raise PreflightError(" — ".join(blocking))
        aws = self._aws(request.ranked.region)
        stacks = Stacks(aws)
        expires_at = _expiry(request, stacks)
        request = replace(request, tags=request.tags | {"expires-on": expiry.tag(expires_at)})
        bundle = self.wanted(request, "", aws.settings).bundle
        with tempfile.TemporaryDirectory(prefix="bundle-") as scratch:
            packed = pack(request.artifact, Path(scratch) / "bundle", variant=bundle)
        wanted = self._completed(request, packed.hash, stacks)
        if "ZoneA" in wanted.template.content["Parameters"]:
            stands = stacks.find(stack_name(request.name))
            zones, unread = zones_of(wanted.parameters, stands, aws)
            wanted.parameters.update(zones)
            findings += unread
        name = f"plan-{uuid.uuid4().hex[:12]}"
        boot = BootstrapStack(stacks)
        there = boot.found()
        boot_set = boot.prepare(request.owner) if not boot.is_current() else None
        own_set = None
        ready = there is not None and self.service_role(there) != ""
        if there is not None and ready:
            boundary = self.boundary(there)
            tag = image_tag(packed.hash, wanted.architecture)
            own_set = stacks.prepare(
                stack_name(request.name),
                wanted.text,
                in_account(wanted.parameters, tag, there, aws, boundary),
                wanted.tags,
                change_set_name=name,
                role_arn=self.service_role(there),
            )
        builder = builder_of(request, aws.settings)
        made = Prepared(
            packed.hash, findings, aws.account, name, boot_set, own_set, not ready, expires_at,
            builder,
        )  # fmt: skip
        return planned(self.name, request, wanted, made)

    def plan_rollback(self, stands: Plan, earlier: Sequence[Plan]) -> Plan:
        """The change set that brings the kept image back, sized as it was planned. `discard` takes
        it away.

        Blocks for some seconds. Raises InputError when no version is kept, PreflightError,
        DeployError.
        """
        aws = self._aws(stands.region)
        return plan_back(stands, earlier, aws, Stacks(aws), self)

    def apply(self, plan: Plan, emit: Emit) -> Status:
        """Bootstrap if planned, upload, build, then exactly the planned change set; until it runs.

        Blocks for minutes. Fine to repeat: what is there is found. On failure or cancellation
        everything that this apply made is taken back, or named in the error. Raises
        StalePlanError, PreflightError, DeployError.
        """
        aws = self._aws(plan.region)
        Rollout(plan, aws, Stacks(aws), emit, self).run()
        with rolled_out(plan):
            status = self.status(plan)
        if status.state != "running":
            how = (
                "is rolled out, and how it is could not be read"
                if status.state == "unknown"
                else "does not run after all"
            )
            raise DeployError(
                f"{plan.name} {how}: {status.message}; it stands and may bill: apply again, or "
                "destroy it"
            )
        return status

    def status(self, plan: Plan) -> Status:
        """What CloudFormation and the service say now. "destroyed" when the stack is gone."""
        aws = self._aws(plan.region)
        stacks = Stacks(aws)
        stack = stacks.find(stack_name(plan.name))
        if stack is None:
            return self._status(plan, Seen("destroyed", gone(plan)))
        state = state_of(stack)
        if state != "running":
            said = stack.status.lower().replace("_", " ")
            reason = f": {stack.reason}" if stack.reason else ""
            return self._status(plan, Seen(state, f"the stack {stack.name} is {said}{reason}"))
        seen = self.seen(plan, stack, aws)
        if seen.state != "running":
            return self._status(plan, seen)
        status = self._status(plan, seen, stack.outputs, stacks.resources(stack.id))
        return status.model_copy(update={"expires_at": stack.expires_at})

    def destroy(self, plan: Plan, emit: Emit, *, everything: bool = False) -> DestroyReport:
        """Delete the stack and the images, and prove by listing that nothing is left.

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
            if not stack.is_review:
                removed += self.before_delete(plan, stack, aws, emit)
                removed += stacks.resources(stack.id)
            stacks.delete(name, emit)
            removed.append(f"AWS::CloudFormation::Stack {name}")
        boot = BootstrapStack(stacks)
        there = boot.found()
        kept: list[str] = []
        # Where a trial's hour took the stack, only the plan tells which image was kept besides.
        former = plan.parameters.get("stack", {}).get("FormerImageTag", "")
        tags = {tag_of(plan), former, *(stack.image_tags if stack else ())} - {""}
        removed += self._without_images(tags, boot, aws, kept)
        if there is not None and Schedules(aws, there).remove(plan.name):
            removed.append(f"AWS::Scheduler::Schedule {name}")
        self.discard(plan)
        left = left_behind(plan.name, aws, stacks, [self.leftovers], self.listed)
        if everything and not left:
            removed += boot.remove(emit)
        elif there is not None:
            kept.append("the bootstrap stack: bucket, repository and build project")
        done = f"Nothing of {plan.name} is left in account {aws.account}, {aws.region}"
        if left:
            emit(Event(step="destroy", level="error", message=f"Left behind: {', '.join(left)}"))
        else:
            emit(Event(step="destroy", level="done", message=done))
        return DestroyReport(name=plan.name, removed=removed, kept=kept, left_behind=left)

    def usual_builder(self) -> str:
        """The machine's setting, else CodeBuild. Raises InputError for a wrong setting."""
        return usual_builder(self._settings or AwsSettings.from_environment())

    def discard(self, plan: Plan) -> list[str]:
        """Take away the change sets of a plan that nobody applies, and the empty stacks of them."""
        check_name(plan.name)
        stacks = Stacks(self._aws(plan.region))
        return [
            f"the change set of the stack {stack}"
            for stack, arn in (
                (stack_name(plan.name), plan.parameters.get("change_set")),
                (STACK_NAME, plan.parameters.get("bootstrap_change_set")),
            )
            if arn is not None and stacks.drop(stack, arn)
        ]

    def _completed(self, request: PlanRequest, bundle_hash: str, stacks: Stacks) -> Wanted:
        """What is wanted, and which image of the version before is kept for going back to it."""
        wanted = self.wanted(request, bundle_hash, stacks.aws.settings)
        if "FormerImageTag" in wanted.template.content["Parameters"]:
            stack = stacks.find(stack_name(request.name))
            wanted.parameters["FormerImageTag"] = former_image(
                stack, image_tag(bundle_hash, wanted.architecture)
            )
        return wanted

    def _aws(self, region: str) -> Aws:
        return Aws(region, self._settings)

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

    def _status(
        self,
        plan: Plan,
        seen: Seen,
        outputs: dict[str, str] | None = None,
        resources: list[str] | None = None,
    ) -> Status:
        return Status(
            name=plan.name,
            option=plan.option,
            target=self.name,
            state=seen.state,
            message=seen.message,
            endpoint=seen.endpoint,
            outputs=outputs or {},
            resources=resources or [],
            snippets=seen.snippets,
        )

    def _check_variant(self, variant: str) -> None:
        if variant not in ("", *self.variants):
            raise InputError(
                f"the variant {variant!r} of {self.name} is compared but not deployed from here; "
                f"only {', '.join(self.variants)} is"
            )


@contextmanager
def rolled_out(plan: Plan) -> Iterator[None]:
    """What fails from here on leaves the stack standing; the DeployError says so."""
    try:
        yield
    except DeployError as error:
        raise DeployError(
            f"{stack_name(plan.name)} is rolled out and stands, but the end of it failed: {error}; "
            "apply again to finish, or destroy it"
        ) from error


def _expiry(request: PlanRequest, stacks: Stacks) -> datetime | None:
    """The hour that the request asks for; where it says nothing, that of what stands."""
    if isinstance(request.expires_in, timedelta):
        return expiry.hour_of(request.expires_in)
    stack = stacks.find(stack_name(request.name)) if request.expires_in is None else None
    return None if stack is None or stack.is_review else stack.expires_at


def _sentence(finding: Finding) -> str:
    return f"{finding.message}; {finding.fix}" if finding.fix else finding.message
