"""What a deployment of containers could leave in the account, found by listing each service."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.aws.leftovers import alarms, log_groups, scalable_targets
from deploy.aws.session import Aws
from deploy.aws.wanted import stack_name

TAG = "mda:deployment"
TAGS_A_CALL = 20  # of elasticloadbalancing.DescribeTags
ENDED = ("terminated", "shutting-down", "deleted", "deleting")


def ecs_left(deployment: str, aws: Aws) -> Iterator[str]:
    """The cluster with its services and tasks, and its scaling."""
    name = stack_name(deployment)
    found = aws.client("ecs").describe_clusters(clusters=[name])["clusters"]
    yield from (f"cluster {c['clusterName']}" for c in found if c["status"] == "ACTIVE")
    yield from scalable_targets("ecs", f"service/{name}/{name}", aws)


def group_left(deployment: str, aws: Aws) -> Iterator[str]:
    """The group of machines."""
    name = stack_name(deployment)
    client = aws.client("autoscaling")
    found = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    yield from (f"machine group {g['AutoScalingGroupName']}" for g in found)


def balanced_left(deployment: str, aws: Aws) -> Iterator[str]:
    """Log, alarms, load balancer, HTTP API, network and machines."""
    name = stack_name(deployment)
    yield from alarms(name, aws)
    yield from log_groups(f"/mda/{deployment}", aws)
    yield from _balancers(deployment, aws)
    yield from _gateways(name, aws)
    yield from network_left(deployment, aws)


def network_left(deployment: str, aws: Aws) -> Iterator[str]:
    """Networks, endpoints, groups, launch templates and machines with the deployment's tag."""
    client = aws.client("ec2")
    mine = [{"Name": f"tag:{TAG}", "Values": [deployment]}]
    for verb, key, identity in (
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    ):
        for page in client.get_paginator(verb).paginate(Filters=mine):
            yield from (f"{identity.removesuffix('Id')} {item[identity]}" for item in page[key])
    for page in client.get_paginator("describe_vpc_endpoints").paginate(Filters=mine):
        for endpoint in page["VpcEndpoints"]:
            if endpoint["State"].lower() not in ENDED:
                yield f"VPC endpoint {endpoint['VpcEndpointId']}"
    for page in client.get_paginator("describe_instances").paginate(Filters=mine):
        for reservation in page["Reservations"]:
            for machine in reservation["Instances"]:
                if machine["State"]["Name"] not in ENDED:
                    yield f"machine {machine['InstanceId']}"


def _balancers(deployment: str, aws: Aws) -> Iterator[str]:
    client = aws.client("elbv2")
    for kind, verb, key, identity in (
        ("load balancer", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
        ("target group", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    ):
        arns = [
            item[identity] for page in client.get_paginator(verb).paginate() for item in page[key]
        ]
        for start in range(0, len(arns), TAGS_A_CALL):
            batch = arns[start : start + TAGS_A_CALL]
            for found in client.describe_tags(ResourceArns=batch)["TagDescriptions"]:
                if {"Key": TAG, "Value": deployment} in found["Tags"]:
                    yield f"{kind} {found['ResourceArn']}"


def http_apis(name: str, aws: Aws) -> Iterator[str]:
    """HTTP APIs of that name."""
    for page in aws.client("apigatewayv2").get_paginator("get_apis").paginate():
        yield from (f"HTTP API {api['ApiId']}" for api in page["Items"] if api["Name"] == name)


def _gateways(name: str, aws: Aws) -> Iterator[str]:
    """HTTP APIs and VPC links of that name."""
    yield from http_apis(name, aws)
    client = aws.client("apigatewayv2")
    links, more = [], {"MaxResults": "100"}
    while more:
        answer = client.get_vpc_links(**more)
        links += [link for link in answer["Items"] if link["Name"] == name]
        more = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
    yield from (f"VPC link {link['VpcLinkId']}" for link in links)
