"""EC2: machines that each run the bundle's container, behind a load balancer."""

from __future__ import annotations

import time
from collections.abc import Iterable

from advisor.errors import DeployError
from deploy.aws.container_checks import machines_findings
from deploy.aws.container_left import balanced_left, group_left
from deploy.aws.container_target import ContainerTarget
from deploy.aws.containers import ALLOWED, machines
from deploy.aws.endpoints import call_public, snippets
from deploy.aws.machine_ask import ask_from_machine, target_states
from deploy.aws.machines import machine_findings
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.settings import settings_of
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import Wanted, stack_name
from deploy.requests import PlanRequest
from deploy.target import Finding, Plan, Prediction

HEALTHY_LIMIT_S = 1200.0


class Ec2Target(ContainerTarget):
    """A fixed number of machines in the account that this machine's AWS credentials belong to."""

    name = "ec2"
    variants = ("default",)
    can_be_public = True
    listed = (
        "apigateway", "autoscaling", "cloudwatch", "ec2", "elasticloadbalancing", "iam", "logs",
    )  # fmt: skip

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        given = settings_of(request, aws.settings, ALLOWED)
        extra_usd = self.wanted(request, "", aws.settings).monthly_extra_usd
        return machines_findings(
            request, given, aws, stacks, extra_usd, lambda: machine_findings(request, aws)
        )

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return machines(request, settings)

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """Every machine answers /ping: CloudFormation does not wait for that.

        They pull the image under the tag that can name no other, and tell no digest.
        """
        wanted = int(plan.parameters["stack"]["Count"])
        until = time.monotonic() + HEALTHY_LIMIT_S
        states: list[str] = []
        while time.monotonic() < until:
            states = target_states(stack, aws)
            if states.count("healthy") >= wanted:
                return
            time.sleep(aws.settings.poll_seconds)
        raise DeployError(
            f"of {wanted} machines of {stack.name} {states.count('healthy')} answer after "
            f"{HEALTHY_LIMIT_S / 60:.0f} minutes ({', '.join(states) or 'none is there'}); look at "
            f"the log {stack.outputs['LogGroup']}"
        )

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        states = target_states(stack, aws)
        healthy = states.count("healthy")
        if not healthy:
            said = ", ".join(states) or "none is there"
            return Seen("failed", f"no machine of {stack.name} answers: {said}")
        url = stack.outputs.get("PublicUrl") or stack.outputs["BalancerUrl"]
        return Seen(
            "running",
            f"{stack.name}: {healthy} of {len(states)} machines answer",
            f"{url}/invocations",
            snippets(stack, plan, aws.region),
        )

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """Through the public door where there is one; else from inside, by a container that one of
        the machines runs once. Raises DeployError with the model server's own words."""
        aws = self._aws(plan.region)
        stack = Stacks(aws).get(stack_name(plan.name))
        if stack.outputs.get("PublicUrl"):
            return call_public(stack, body, content_type, aws)
        return ask_from_machine(stack, body, content_type, aws)

    def leftovers(self, deployment: str, aws: Aws) -> Iterable[str]:
        yield from group_left(deployment, aws)
        yield from balanced_left(deployment, aws)
