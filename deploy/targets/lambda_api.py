"""Lambda: the bundle as a function, behind an HTTP API or an address of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from advisor.errors import DeployError
from deploy.aws.bootstrap import Bootstrap
from deploy.aws.endpoints import call_public, snippets
from deploy.aws.function_checks import find_function, function_findings, reservable
from deploy.aws.function_left import forget_older, function_left
from deploy.aws.functions import ALIAS, ALLOWED, API, URL, function
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.settings import settings_of
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stack_target import StackTarget, rolled_out
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import Wanted, stack_name
from deploy.requests import PlanRequest
from deploy.target import Emit, Event, Finding, Plan, Prediction, State, Status


class LambdaTarget(StackTarget):
    """A function in the account that this machine's own AWS credentials belong to."""

    name = "lambda_api"  # `lambda` is a word of Python's
    variants = (API, URL)
    can_be_public = True  # it always is, to callers whom IAM or a token lets in
    listed = (
        "apigateway", "application-autoscaling", "cloudwatch", "codedeploy", "iam", "lambda", "logs",
    )  # fmt: skip

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        given = settings_of(request, aws.settings, ALLOWED)
        return function_findings(request, given, aws, stacks)

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return function(request, bundle_hash, settings)

    def service_role(self, bootstrap: Bootstrap) -> str:
        return bootstrap.function_service_role_arn

    def boundary(self, bootstrap: Bootstrap) -> str:
        return bootstrap.function_boundary_arn

    def leftovers(self, deployment: str, aws: Aws) -> Iterable[str]:
        return function_left(deployment, aws)

    def apply(self, plan: Plan, emit: Emit) -> Status:
        """As every stack; afterwards versions older than the one before are deleted."""
        status = super().apply(plan, emit)
        with rolled_out(plan):
            older = forget_older(plan.name, self._aws(plan.region))
        for removed in older:
            emit(Event(step="stack", message=f"{removed} is deleted: it is two releases old"))
        return status

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """The version that the alias names runs the image that was built: Lambda says which digest
        it resolved when it made that version, and it never looks at the tag again."""
        found = self._live(plan.name, aws)
        running = str(found["Code"].get("ResolvedImageUri", "")).partition("@")[2]
        if running != digest:
            raise DeployError(
                f"the function {stack.name} runs {running or 'no image'} and not the image that "
                f"was built, {digest}"
            )

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        found = find_function(plan.name, aws, ALIAS)
        if found is None:
            return Seen("failed", f"the function {stack.name} is out: it was deleted by hand")
        about: Any = found["Configuration"]
        if about["State"] not in ("Active", "Inactive"):  # idle for long: the next call wakes it
            why = about.get("StateReason", "no reason was given")
            state: State = "applying" if about["State"] == "Pending" else "failed"
            return Seen(state, f"the function {stack.name} is {about['State'].lower()}: {why}")
        return Seen(
            "running",
            f"{stack.name} serves version {about['Version']} with {about['MemorySize']:,} MB",
            f"{stack.outputs['PublicUrl']}/invocations",
            snippets(stack, plan, aws.region),
        )

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """One call through the function's own door. Raises DeployError with the server's words."""
        aws = self._aws(plan.region)
        return call_public(Stacks(aws).get(stack_name(plan.name)), body, content_type, aws)

    def _completed(self, request: PlanRequest, bundle_hash: str, stacks: Stacks) -> Wanted:
        """A reservation only where the account's quota has room for it."""
        wanted = super()._completed(request, bundle_hash, stacks)
        wanted.parameters["ReservedConcurrency"] = str(reservable(request, stacks.aws))
        return wanted

    def _live(self, deployment: str, aws: Aws) -> dict[str, Any]:
        found: Any = find_function(deployment, aws, ALIAS)
        if found is None:
            raise DeployError(f"the function {stack_name(deployment)} is gone; plan again")
        return dict(found)
