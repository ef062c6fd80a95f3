"""ECS: the bundle as a service of containers behind a load balancer, on Fargate or on machines."""

from __future__ import annotations

from collections.abc import Iterable

from advisor.errors import DeployError
from deploy.aws.container_checks import fargate_quota, service_findings
from deploy.aws.container_left import balanced_left, ecs_left, group_left
from deploy.aws.container_target import ContainerTarget
from deploy.aws.containers import ALLOWED, FARGATE, MACHINES, service
from deploy.aws.ecs_tasks import ask_from_inside, running_digests, stop_one_off
from deploy.aws.endpoints import call_public, snippets
from deploy.aws.machines import machine_findings
from deploy.aws.session import Aws, AwsSettings, told
from deploy.aws.settings import settings_of
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import Wanted, stack_name
from deploy.requests import PlanRequest
from deploy.target import Emit, Finding, Plan, Prediction


class EcsTarget(ContainerTarget):
    """A service of containers in the account that this machine's AWS credentials belong to."""

    name = "ecs"
    variants = (FARGATE, MACHINES)
    can_be_public = True
    listed = (
        "apigateway", "application-autoscaling", "autoscaling", "cloudwatch", "ec2", "ecs",
        "elasticloadbalancing", "iam", "logs",
    )  # fmt: skip

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        given = settings_of(request, aws.settings, ALLOWED)
        extra_usd = self.wanted(request, "", aws.settings).monthly_extra_usd

        def hosts() -> list[Finding]:
            if request.ranked.deploy_variant == MACHINES:
                return machine_findings(request, aws)
            return [fargate_quota(request, aws)]

        return service_findings(request, given, aws, stacks, extra_usd, hosts)

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return service(request, settings)

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """Every task of the new version says which digest it pulled."""
        digests = running_digests(stack, aws)
        if digests != {digest}:
            raise DeployError(
                f"the service {stack.name} runs {', '.join(sorted(digests)) or 'no task'} and not "
                f"the image that was built, {digest}"
            )

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        with told(f"look at the service {stack.name}"):
            found = aws.client("ecs").describe_services(
                cluster=stack.outputs["ClusterName"], services=[stack.outputs["ServiceName"]]
            )["services"]
        alive = [s for s in found if s["status"] == "ACTIVE"]
        if not alive:
            return Seen("failed", f"the service {stack.name} is out: it was deleted by hand")
        running, wanted = alive[0]["runningCount"], alive[0]["desiredCount"]
        if not running:
            said = next((e["message"] for e in alive[0].get("events", [])), "no event tells why")
            return Seen("failed", f"no task of {stack.name} runs: {said}")
        url = stack.outputs.get("PublicUrl") or stack.outputs["BalancerUrl"]
        return Seen(
            "running",
            f"{stack.name} runs {running} of {wanted} tasks",
            f"{url}/invocations",
            snippets(stack, plan, aws.region),
        )

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """Through the public door where there is one; else from inside, by a task that runs once.

        Raises DeployError with the model server's own words.
        """
        aws = self._aws(plan.region)
        stack = Stacks(aws).get(stack_name(plan.name))
        if stack.outputs.get("PublicUrl"):
            return call_public(stack, body, content_type, aws)
        return ask_from_inside(stack, body, content_type, aws)

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        return stop_one_off(stack, aws)

    def leftovers(self, deployment: str, aws: Aws) -> Iterable[str]:
        yield from ecs_left(deployment, aws)
        yield from group_left(deployment, aws)
        yield from balanced_left(deployment, aws)
