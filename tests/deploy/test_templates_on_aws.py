"""What an account of AWS itself would refuse, undo or never tell, though every schema is kept."""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Callable, Iterator
from email import message_from_string
from fnmatch import fnmatchcase
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from template_views import decided

from deploy.aws.templates import load
from deploy.bundle import dockerfile

BALANCED = ["ecs-fargate.yaml", "ecs-ec2.yaml", "ec2.yaml", "eks.yaml"]
OPERATORS = ("SageMakerOperatorPolicy", "ContainerOperatorPolicy", "FunctionOperatorPolicy")
PLACE = "eu-central-1:123456789012"
BUILD_LOG = "/aws/codebuild/model-deployment-advisor"
MINUTES, GAP = 3, math.nan
JOB = "0d0d8e1c-5f3c-4a52-9b0e-3f3e6a6f2a11"
# What the product calls, with an ARN of the kind that the Service Authorization Reference names for
# the action (read 2026-11-23), as an account would make it for a deployment called fraud.
CALLS = [
    ("cloudformation:CreateChangeSet", f"cloudformation:{PLACE}:stack/mda-fraud/1"),
    ("cloudformation:DetectStackDrift", f"cloudformation:{PLACE}:stack/mda-fraud/1"),
    # Asked for besides, on the same stack, and with the caller's rights to read.
    ("cloudformation:DetectStackResourceDrift", f"cloudformation:{PLACE}:stack/mda-fraud/1"),
    ("cloudformation:BatchDescribeTypeConfigurations", "*"),
    ("logs:GetLogEvents", f"logs:{PLACE}:log-group:{BUILD_LOG}:log-stream:1"),
    ("logs:GetLogEvents", f"logs:{PLACE}:log-group:/mda/fraud:log-stream:mda/model/1"),
    ("logs:DescribeLogStreams", f"logs:{PLACE}:log-group:/aws/sagemaker/TransformJobs"),
    ("logs:DeleteLogStream", f"logs:{PLACE}:log-group:/aws/sagemaker/TransformJobs:log-stream:mda-1"),
    ("batch:SubmitJob", f"batch:{PLACE}:job-queue/mda-fraud"),
    ("batch:SubmitJob", f"batch:{PLACE}:job-definition/mda-fraud:3"),
    ("batch:TerminateJob", f"batch:{PLACE}:job/{JOB}"),
    ("batch:DeregisterJobDefinition", f"batch:{PLACE}:job-definition/mda-fraud:3"),
    ("ecs:RunTask", f"ecs:{PLACE}:task-definition/mda-fraud:3"),
    ("ecs:StopTask", f"ecs:{PLACE}:task/mda-fraud/1"),
    ("ecs:DescribeTasks", f"ecs:{PLACE}:task/mda-fraud/1"),
    ("ecs:ListTasks", f"ecs:{PLACE}:container-instance/mda-fraud/1"),
    ("ecs:DescribeServices", f"ecs:{PLACE}:service/mda-fraud/mda-fraud"),
    ("ssm:SendCommand", f"ec2:{PLACE}:instance/i-1"),
    ("ssm:SendCommand", "ssm:eu-central-1::document/AWS-RunShellScript"),
    ("eks:DescribeNodegroup", f"eks:{PLACE}:nodegroup/mda-fraud/1/2"),
    ("ec2:DeleteNetworkInterface", f"ec2:{PLACE}:network-interface/eni-1"),
    ("lambda:ListVersionsByFunction", f"lambda:{PLACE}:function:mda-fraud"),
    ("codedeploy:GetApplication", f"codedeploy:{PLACE}:application:mda-fraud"),
    ("sagemaker:StopTransformJob", f"sagemaker:{PLACE}:transform-job/mda-fraud-1"),
    ("sagemaker:InvokeEndpointAsync", f"sagemaker:{PLACE}:endpoint/mda-fraud"),
    ("scheduler:CreateSchedule", f"scheduler:{PLACE}:schedule/Expiries/mda-fraud"),
    ("execute-api:Invoke", f"execute-api:{PLACE}:a1b2c3/$default/POST/invocations"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "resource"), CALLS)
def test_an_operator_may_call_it_on_the_resource_that_iam_looks_at(
    action: str, resource: str
) -> None:
    wanted = resource if resource == "*" else f"arn:aws:{resource}"
    assert any(
        action in listed(statement["Action"]) and fnmatchcase(wanted, arn(pattern))
        for statement in of_operators()
        for pattern in listed(statement["Resource"])
    )


def test_somebody_elses_cards_stay() -> None:
    (statement,) = [s for s in of_operators() if "ec2:DeleteNetworkInterface" in s["Action"]]
    assert statement["Condition"] == {
        "StringLike": {"aws:ResourceTag/cluster.k8s.amazonaws.com/name": "mda-*"}
    }


def test_cloudformation_changes_no_network_or_security_group_of_somebody_else() -> None:
    """Each of ours is tagged as it is made: the registry says so of every kind that is made here."""
    policy = load("bootstrap.yaml").content["Resources"]["ContainerNetworkPolicy"]["Properties"]
    for statement in policy["PolicyDocument"]["Statement"]:
        for action in listed(statement["Action"]):
            if action.startswith("ec2:") and not action.startswith(("ec2:Create", "ec2:Describe")):
                assert statement["Condition"] == {
                    "StringEquals": {"aws:ResourceTag/mda:managed-by": "model-deployment-advisor"}
                }, action
            if action == "ec2:CreateRoute":  # into a table that stands
                assert "Condition" in statement


@pytest.mark.parametrize(
    "kind", ["VPC", "Subnet", "RouteTable", "InternetGateway", "SecurityGroup", "VPCEndpoint"]
)
def test_the_registry_tags_it_as_it_is_made(kind: str) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", f"AWS::EC2::{kind}").schema
    assert schema["tagging"]["tagOnCreate"] is True
    for name in ("ecs-fargate.yaml", "ecs-ec2.yaml", "ec2.yaml", "eks.yaml", "batch.yaml"):
        made = [
            r for r in load(name).content["Resources"].values() if r["Type"].endswith(f"::{kind}")
        ]
        assert made
        for resource in made:
            tags = {tag["Key"]: tag["Value"] for tag in resource["Properties"]["Tags"]}
            assert tags["mda:managed-by"] == "model-deployment-advisor"


WAY_OUT = {"WayOut", "RoutesOfA", "RoutesOfB"}
TO_IMAGES = {
    "RoutesOfA", "RoutesOfB", "ObjectsEndpoint", "RegistryEndpoint", "ImagesEndpoint", "LogsEndpoint",
}  # fmt: skip
TO_CLUSTER = {"RoutesOfA", "RoutesOfB", "ClusterEndpoint", "AgentEndpoint", "TelemetryEndpoint"}


@pytest.mark.parametrize(
    ("name", "what", "parameters", "needed"),
    [
        ("ecs-fargate.yaml", "Service", {}, WAY_OUT),
        ("ecs-ec2.yaml", "Service", {}, WAY_OUT),
        ("ecs-ec2.yaml", "Machines", {}, WAY_OUT),
        ("ecs-ec2.yaml", "Machines", {"Sealed": "true"}, TO_CLUSTER),
        ("ecs-ec2.yaml", "Service", {"Sealed": "true"}, TO_CLUSTER),
        ("ecs-fargate.yaml", "Service", {"Sealed": "true"}, TO_IMAGES),
        ("ec2.yaml", "Machines", {}, WAY_OUT),
        ("ec2.yaml", "Machines", {"Sealed": "true"}, TO_IMAGES),
        ("eks.yaml", "Nodes", {}, WAY_OUT),
        ("eks.yaml", "Nodes", {"Sealed": "true"}, TO_IMAGES - {"LogsEndpoint"} | {"RolesEndpoint"}),
        ("ecs-ec2.yaml", "Service", {"VpcId": "vpc-1"}, set()),
    ],
)
def test_what_runs_reaches_the_services_from_its_start_to_its_end(
    name: str, what: str, parameters: dict[str, str], needed: set[str]
) -> None:
    """CloudFormation makes what a resource names before it, and removes it after. An agent that is
    cut off tells nobody that its tasks have stopped, and the service is never gone."""
    resources = decided(load(name), {"Reach": "private"} | parameters)["Resources"]
    found = before(what, resources)
    assert needed <= found
    if "VpcId" in parameters:
        assert not WAY_OUT & found
    tags = [t for r in resources.values() for t in as_tags(r["Properties"].get("Tags", []))]
    ordering = [
        value["Fn::Sub"]
        for key, value in tags
        if key == "mda:way-out" and needed and isinstance(value, dict)
    ]
    ids = {"WayOut.CidrBlock": "0.0.0.0/0"}
    for text in ordering:
        filled = re.sub(r"\$\{(.+?)\}", lambda m: ids.get(m[1], "rtbassoc-0123456789abcdef0"), text)
        assert len(filled) <= 256


def as_tags(tags: Any) -> list[tuple[str, Any]]:
    return list(tags.items()) if isinstance(tags, dict) else [(t["Key"], t["Value"]) for t in tags]


def before(what: str, resources: dict[str, Any]) -> set[str]:
    """All that CloudFormation makes before it, because it names it or what names it."""
    found: set[str] = set()
    left = [what]
    while left:
        for name in named(resources[left.pop()]) & resources.keys() - found:
            found.add(name)
            left.append(name)
    return found


def named(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(named, node))
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        if key == "Ref":
            found.add(value)
        elif key == "Fn::GetAtt":
            found.add(value[0] if isinstance(value, list) else value.split(".")[0])
        elif key == "Fn::Sub":
            text, more = (value, {}) if isinstance(value, str) else value
            found |= {m.split(".")[0] for m in re.findall(r"\$\{([\w.]+)\}", text)} | named(more)
        elif key == "DependsOn":
            found |= set(listed(value))
        else:
            found |= named(value)
    return found


def test_a_service_on_machines_comes_after_their_capacity_and_goes_before_it() -> None:
    """ECS takes no provider from a cluster while a service uses it, and gives a service no other."""
    service = load("ecs-ec2.yaml").content["Resources"]["Service"]
    assert "CapacityOfCluster" in service["DependsOn"]
    assert {"Listener", "ModelIngress"} <= set(service["DependsOn"])
    assert "CapacityOfCluster" not in load("ecs-fargate.yaml").text


@pytest.mark.parametrize("name", ["ecs-fargate.yaml", "ecs-ec2.yaml"])
@pytest.mark.parametrize(
    ("scales", "former", "said"),
    [("true", "", True), ("true", "0123456789ab", False), ("false", "0123456789ab", True)],
)
def test_a_new_version_leaves_the_number_of_tasks_to_scaling(
    name: str, scales: str, former: str, said: bool
) -> None:
    """CloudFormation sets the count that a template says, at every change of the service."""
    view = decided(load(name), {"Scales": scales, "FormerImageTag": former})
    assert ("DesiredCount" in view["Resources"]["Service"]["Properties"]) is said


@pytest.mark.parametrize("name", BALANCED)
def test_requests_that_find_no_server_ring_too(name: str) -> None:
    """With no healthy target the balancer answers itself: no metric of the targets counts that."""
    alarm = load(name).content["Resources"]["ServerErrorAlarm"]["Properties"]
    metrics = {m["Id"]: m for m in alarm["Metrics"]}
    refused = metrics["refused"]["MetricStat"]["Metric"]
    assert refused["MetricName"] == "HTTPCode_ELB_5XX_Count"
    assert [d["Name"] for d in refused["Dimensions"]] == ["LoadBalancer"]  # there is no other
    expressions = {m["Id"]: m["Expression"] for m in alarm["Metrics"] if "Expression" in m}
    assert ringing(alarm, expressions, {"requests": [200] * 3, "errors": [1, 1, 1]}) is False
    assert ringing(alarm, expressions, {"requests": [97] * 3, "errors": [1, 0, 1]}) is True
    assert ringing(alarm, expressions, {"requests": [90, 90, 90], "errors": [1, GAP, GAP]}) is False
    assert ringing(alarm, expressions, {"requests": [97] * 3, "refused": [3, 3, 3]}) is True
    assert ringing(alarm, expressions, {"requests": [9] * 3}) is False
    assert ringing(alarm, expressions, {}) is False
    # Nobody healthy from the first minute on: a target was chosen for no request.
    assert ringing(alarm, expressions, {"refused": [GAP, 7, 7]}) is True


@pytest.mark.parametrize("by", ["url-iam", "gateway-iam"])
def test_errors_of_a_function_ring_where_there_are_any(by: str) -> None:
    view = decided(load("lambda.yaml"), {"Reach": by})
    alarm = view["Resources"]["ServerErrorAlarm"]["Properties"]
    expressions = {m["Id"]: m["Expression"] for m in alarm["Metrics"] if "Expression" in m}
    assert ringing(alarm, expressions, {"requests": [50] * 3, "errors": [1, GAP, 1]}) is True
    assert ringing(alarm, expressions, {"requests": [50] * 3, "errors": [1, GAP, GAP]}) is False
    assert ringing(alarm, expressions, {"requests": [50] * 3}) is False
    assert ringing(alarm, expressions, {}) is False


@pytest.mark.parametrize("name", ["ecs-ec2.yaml", "batch.yaml", "ec2.yaml"])
def test_a_machine_joins_the_cluster_of_its_own_deployment_only(name: str) -> None:
    role = load(name).content["Resources"]["MachineRole"]["Properties"]
    (joins,) = [
        [arn(r, "fraud") for r in statement["Resource"]]
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"]
        if "ecs:RegisterContainerInstance" in listed(statement["Action"])
    ]
    own = ["mda-fraud", f"AWSBatch-mda-fraud-{JOB}", f"mda-fraud_Batch_{JOB}"]
    for cluster in own:
        assert allows(joins, f"arn:aws:ecs:{PLACE}:cluster/{cluster}"), cluster
        assert allows(joins, f"arn:aws:ecs:{PLACE}:container-instance/{cluster}/1"), cluster
    for cluster in ["mda-fraud-eu", "mda-frauds", "prod-mda-fraud", "mda-fraud-eu_Batch_1"]:
        assert not allows(joins, f"arn:aws:ecs:{PLACE}:cluster/{cluster}"), cluster
        assert not allows(joins, f"arn:aws:ecs:{PLACE}:container-instance/{cluster}/1"), cluster


def test_a_job_does_not_reach_the_credentials_of_its_machine() -> None:
    """Batch runs jobs in the machine's own network: the limit of one hop stops nobody there."""
    resources = load("batch.yaml").content["Resources"]
    data = resources["MachineTemplate"]["Properties"]["LaunchTemplateData"]
    archive = message_from_string(data["UserData"]["Fn::Base64"])
    assert archive.get_content_type() == "multipart/mixed"  # Batch adds a part of its own
    (part,) = archive.get_payload()
    assert part.get_content_type() == "text/x-shellscript"
    script = part.get_payload()
    assert script.startswith("#!/bin/bash\n")
    (rule,) = re.findall(r"^iptables (.*)$", script.replace("\\\n", ""), re.MULTILINE)
    assert "--destination 169.254.169.254 --match owner ! --uid-owner 0 --jump REJECT" in rule
    assert rule.endswith("|| systemctl mask ecs")  # no rule, no agent, no jobs
    job = resources["Job"]["Properties"]["ContainerProperties"]
    assert job["Privileged"] is False
    user = job["User"]
    assert user != "0"
    assert f"USER {user}\\n" in inspect.getsource(dockerfile.text)


def of_operators() -> Iterator[dict[str, Any]]:
    resources = load("bootstrap.yaml").content["Resources"]
    for name in OPERATORS:
        for item in resources[name]["Properties"]["PolicyDocument"]["Statement"]:
            yield item["Fn::If"][1] if "Fn::If" in item else item


def arn(pattern: Any, deployment: str = "") -> str:
    """A policy's resource as a pattern of ARNs, in one account; what is only known there as `*`."""
    if not isinstance(pattern, str) and "Fn::Sub" not in pattern:
        return "arn:of:something:else"
    text = pattern if isinstance(pattern, str) else pattern["Fn::Sub"]
    region, account = PLACE.split(":")
    for name, value in {
        "AWS::Partition": "aws", "AWS::Region": region, "AWS::AccountId": account,
        "DeploymentName": deployment, "Expiries": "Expiries",
        "RepositoryName": "model-deployment-advisor",
    }.items():  # fmt: skip
        text = text.replace(f"${{{name}}}", value)
    return text


def allows(patterns: list[str], resource: str) -> bool:
    return any(fnmatchcase(resource, pattern) for pattern in patterns)


class Series(dict[int, float]):
    """A metric by minute, as CloudWatch reckons: what one side has no point for has no result."""

    def _with(self, other: Series | float, work: Callable[[float, float], float]) -> Series:
        if not isinstance(other, Series):
            return Series({at: work(value, other) for at, value in self.items()})
        return Series({at: work(self[at], other[at]) for at in self.keys() & other.keys()})

    def __mul__(self, other: Series | float) -> Series:
        return self._with(other, operator.mul)

    def __truediv__(self, other: Series | float) -> Series:
        return self._with(other, lambda a, b: a / b if b else math.nan)  # such points are dropped

    def __gt__(self, other: Series | float) -> Series:  # type: ignore[override]
        return self._with(other, operator.gt)


def total(series: list[Series]) -> Series:
    """SUM over several: at each minute of those that have a point then."""
    minutes = {at for one in series for at in one}
    return Series({at: sum(one[at] for one in series if at in one) for at in minutes})


def filled(series: Series, value: float) -> Series:
    """FILL: gaps between points; a series without any stays without."""
    return Series({at: series.get(at, value) for at in range(MINUTES)}) if series else series


def chosen(condition: Series, yes: Series, no: float) -> Series:
    return Series({at: yes.get(at, 0.0) if holds else no for at, holds in condition.items()})


def ringing(
    alarm: dict[str, Any], expressions: dict[str, str], counts: dict[str, list[float]]
) -> bool:
    """Does it ring after three minutes? Missing minutes count as good, as the alarm says."""
    metrics = [m["Id"] for m in alarm["Metrics"] if "MetricStat" in m]
    known: dict[str, Any] = {"SUM": total, "FILL": filled, "IF": chosen} | {
        name: Series({at: n for at, n in enumerate(counts.get(name, [])) if not math.isnan(n)})
        for name in metrics
    }
    for name in reversed(expressions):  # what the first is made of stands below it
        known[name] = eval(expressions[name], {}, known)
    assert alarm["TreatMissingData"] == "notBreaching"
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, MINUTES)
    over = [value for value in known["share"].values() if value > alarm["Threshold"]]
    return len(over) >= alarm["DatapointsToAlarm"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
