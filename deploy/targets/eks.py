"""EKS: the bundle as pods on a cluster of its own, or on one that is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from advisor.errors import AdvisorError, DeployError
from deploy.aws.cluster_access import admin_arn, cluster_of, described
from deploy.aws.cluster_checks import callers, existing_cluster_findings, own_cluster_findings
from deploy.aws.cluster_left import cluster_left, without_loose_cards
from deploy.aws.cluster_words import planned_objects, snippets_inside
from deploy.aws.clusters import SETTINGS, cluster_wanted, serving_of
from deploy.aws.container_left import balanced_left
from deploy.aws.container_target import ContainerTarget
from deploy.aws.endpoints import call_public, snippets
from deploy.aws.machine_ask import target_states
from deploy.aws.session import Aws, AwsSettings, told
from deploy.aws.settings import settings_of
from deploy.aws.signed import prediction
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import Wanted, stack_name
from deploy.kubernetes.cluster import ClusterError
from deploy.kubernetes.node_scaler import scaler_objects
from deploy.kubernetes.objects import NAME, PORT_NAME, Serving
from deploy.kubernetes.rollout import STEP, ModelInCluster, is_ready
from deploy.requests import PlanRequest
from deploy.target import DestroyReport, Emit, Event, Finding, Plan, Prediction

HEALTHY_LIMIT_S = 600.0
PATH = "/invocations"


class EksTarget(ContainerTarget):
    """Pods in the account that this machine's own AWS credentials belong to."""

    name = "eks"
    variants = ("default",)
    can_be_public = True
    listed = (
        "apigateway", "autoscaling", "cloudwatch", "ec2", "eks", "elasticloadbalancing", "iam",
        "logs",
    )  # fmt: skip

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        given = settings_of(request, aws.settings, SETTINGS)
        if given.cluster:
            return existing_cluster_findings(request, given, aws, stacks)
        extra_usd = self.wanted(request, "", aws.settings).monthly_extra_usd
        return own_cluster_findings(request, given, aws, stacks, extra_usd)

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return cluster_wanted(request, bundle_hash, settings)

    def plan(self, request: PlanRequest) -> Plan:
        """As for every stack; with the Kubernetes objects besides, which `apply` then applies."""
        plan = super().plan(request)
        aws = self._aws(plan.region)
        serving = serving_of(request, aws.settings)
        before = Stacks(aws).find(stack_name(plan.name))
        objects = planned_objects(serving, update=before is not None and not before.is_review)
        return plan.model_copy(
            update={
                "resources": [*plan.resources, *([] if plan.parameters["unchanged"] else objects)],
                "parameters": plan.parameters | {"serving": serving.model_dump()},
            }
        )

    def plan_rollback(self, stands: Plan, earlier: Sequence[Plan]) -> Plan:
        plan = super().plan_rollback(stands, earlier)
        objects = planned_objects(Serving.model_validate(plan.parameters["serving"]), update=True)
        return plan.model_copy(update={"resources": [*plan.resources, *objects]})

    def install(
        self, plan: Plan, stack: Stack, digest: str, aws: Aws, emit: Emit
    ) -> Callable[[], object]:
        """The objects into the cluster, and its nodes behind the load balancer; waits until pods
        serve. On failure the version before serves again. Raises DeployError."""
        if not digest:
            raise DeployError(
                f"the image of {plan.name} is gone from the registry; destroy it and plan again"
            )
        there = self._there(plan, stack, aws)
        image = f"{stack.outputs['ImageUri'].rpartition(':')[0]}@{digest}"
        serving = Serving.model_validate(plan.parameters["serving"])
        token = self._token(stack, aws)
        serving = serving.model_copy(
            update={"image": image, "callers": callers(_network(stack, aws), aws)}
        )
        if _is_own(stack) and serving.scales:
            for manifest in scaler_objects(there.cluster.name, there.cluster.version(), aws.region):
                there.cluster.apply(manifest)
            emit(Event(step=STEP, message="What scales the nodes is applied"))
        if _is_own(stack):
            self._behind_balancer(stack, aws)
        former = there.install(serving, emit, token)
        if _is_own(stack):
            self._answers(stack, aws, emit)
        return lambda: there.go_back(former, emit, token)

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """Every ready pod says which digest its node pulled."""
        digests = self._there(plan, stack, aws).digests()
        if digests != {digest}:
            raise DeployError(
                f"{plan.name} runs {', '.join(sorted(digests)) or 'no pod'} and not the image that "
                f"was built, {digest}"
            )

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        cluster = stack.outputs["ClusterName"]
        if described(cluster, aws) is None:
            return Seen("failed", f"the cluster {cluster} is gone: it was deleted by hand")
        there = self._there(plan, stack, aws)
        try:
            pods, nodes = there.pods(), there.cluster.listed("Node")
        except ClusterError as error:
            return Seen("unknown", f"{error}")
        ready = sum(1 for pod in pods if is_ready(pod))
        if not ready:
            return Seen("failed", f"no pod of {plan.name} on {cluster} is ready")
        up = sum(1 for node in nodes if is_ready(node))
        said = f"{plan.name}: {ready} of {len(pods)} pods serve, {up} of {len(nodes)} nodes are up"
        if not _is_own(stack):
            return Seen("running", said, there.url(), snippets_inside(there.url(), plan))
        url = stack.outputs.get("PublicUrl") or stack.outputs["BalancerUrl"]
        return Seen("running", said, f"{url}{PATH}", snippets(stack, plan, aws.region))

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """Through the public door where there is one; else through the cluster's API server, which
        passes it to a pod. Raises DeployError with the model server's own words."""
        aws = self._aws(plan.region)
        stack = Stacks(aws).get(stack_name(plan.name))
        if stack.outputs.get("PublicUrl"):
            return call_public(stack, body, content_type, aws)
        there = self._there(plan, stack, aws)
        got = there.cluster.ask(f"{NAME}:{PORT_NAME}", there.namespace, PATH, body, content_type)
        text = got.body.decode(errors="replace")
        return prediction(stack.name, got.status, got.content_type, text, got.latency_ms)

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        """The objects first, so that pods end in peace; a cluster that goes takes them anyway."""
        own = "Cluster" not in stack.parameters
        name = stack.name if own else stack.parameters["Cluster"]
        removed: list[str] = []
        if described(name, aws) is not None:
            try:
                removed = ModelInCluster(
                    cluster_of(name, aws), plan.name, aws.settings.poll_seconds
                ).prune(emit)
            except AdvisorError as error:
                if not own:
                    raise
                said = f"{error}; the cluster goes with all that is in it"
                emit(Event(step=STEP, level="warning", message=said))
        return [*removed, *(without_loose_cards(name, aws) if own else [])]

    def destroy(self, plan: Plan, emit: Emit, *, everything: bool = False) -> DestroyReport:
        """As for every stack; on a cluster that stays the objects go also when the stack is gone."""
        aws = self._aws(plan.region)
        cluster = plan.parameters.get("stack", {}).get("Cluster")
        removed: list[str] = []
        if (
            cluster
            and Stacks(aws).find(stack_name(plan.name)) is None
            and described(cluster, aws) is not None
        ):
            there = ModelInCluster(cluster_of(cluster, aws), plan.name, aws.settings.poll_seconds)
            removed = there.prune(emit)
        report = super().destroy(plan, emit, everything=everything)
        return report.model_copy(update={"removed": [*removed, *report.removed]})

    def leftovers(self, deployment: str, aws: Aws) -> Iterable[str]:
        yield from cluster_left(deployment, aws)
        yield from balanced_left(deployment, aws)

    def _completed(self, request: PlanRequest, bundle_hash: str, stacks: Stacks) -> Wanted:
        """With who administers the cluster: whoever did at first, else this machine."""
        wanted = super()._completed(request, bundle_hash, stacks)
        if "AdminArn" not in wanted.template.content["Parameters"]:
            return wanted
        before = stacks.find(stack_name(request.name))
        first = before.parameters.get("AdminArn") if before and not before.is_review else None
        given = settings_of(request, stacks.aws.settings, SETTINGS).cluster_admin_arn
        arn = given or first or admin_arn(stacks.aws)
        return replace(wanted, parameters=wanted.parameters | {"AdminArn": arn})

    def _there(self, plan: Plan, stack: Stack, aws: Aws) -> ModelInCluster:
        cluster = cluster_of(stack.outputs["ClusterName"], aws)
        return ModelInCluster(cluster, plan.name, aws.settings.poll_seconds)

    def _token(self, stack: Stack, aws: Aws) -> str:
        if "TokenSecret" not in stack.outputs:
            return ""
        with told("read the bearer token"):
            found = aws.client("secretsmanager").get_secret_value(
                SecretId=stack.outputs["TokenSecret"]
            )
        return str(found["SecretString"])

    def _behind_balancer(self, stack: Stack, aws: Aws) -> None:
        """The group that EKS makes for the nodes has no place for this in a template."""
        cluster, group = stack.outputs["ClusterName"], stack.outputs["NodegroupName"]
        with told(f"bring the nodes of {cluster} behind the load balancer"):
            found = aws.client("eks").describe_nodegroup(
                clusterName=cluster, nodegroupName=group.rpartition("/")[2]
            )["nodegroup"]
            for machines in found["resources"]["autoScalingGroups"]:
                aws.client("autoscaling").attach_load_balancer_target_groups(
                    AutoScalingGroupName=machines["name"],
                    TargetGroupARNs=[stack.outputs["TargetGroupArn"]],
                )

    def _answers(self, stack: Stack, aws: Aws, emit: Emit) -> None:
        """Wait until the load balancer finds a pod. Raises DeployError."""
        until = time.monotonic() + HEALTHY_LIMIT_S
        states: list[str] = []
        while time.monotonic() < until:
            states = target_states(stack, aws)
            if "healthy" in states:
                emit(Event(step=STEP, message="The load balancer reaches the pods"))
                return
            time.sleep(aws.settings.poll_seconds)
        raise DeployError(
            f"the load balancer of {stack.name} finds no node that answers after "
            f"{HEALTHY_LIMIT_S / 60:.0f} minutes ({', '.join(states) or 'none is there'})"
        )


def _is_own(stack: Stack) -> bool:
    return "NodegroupName" in stack.outputs


def _network(stack: Stack, aws: Aws) -> str:
    if _is_own(stack):
        return stack.outputs["NetworkId"]
    found = described(stack.outputs["ClusterName"], aws)
    if found is None:
        raise DeployError(f"the cluster {stack.outputs['ClusterName']} is gone")
    return str(found["resourcesVpcConfig"]["vpcId"])
