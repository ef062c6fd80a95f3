"""Roles and policies of the templates: bound, named, short enough, told in words."""

from __future__ import annotations

import json
import re
from typing import Any

from template_parts import listed, of_type, statements

from deploy.aws.templates import Template

MANAGED_POLICY_CHARACTERS = 6_144
ROLE_POLICY_CHARACTERS = 10_240
NEEDS_ROLE = {
    "AWS::SageMaker::Model": "ExecutionRoleArn",
    "AWS::ECS::TaskDefinition": "ExecutionRoleArn",
    "AWS::Lambda::Function": "Role",
    "AWS::CodeBuild::Project": "ServiceRole",
}
# Actions for which IAM knows no resource, or whose resources have no name beforehand (service
# authorization reference): the only ones that a template may allow on "*".
WITHOUT_RESOURCE = {
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions",
    "cloudformation:BatchDescribeTypeConfigurations",
    "cloudformation:DescribeStackDriftDetectionStatus",
    "cloudformation:ListStacks",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "lambda:GetAccountSettings",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListEndpoints",
    "sagemaker:ListModels",
    "sagemaker:ListTransformJobs",
    "scheduler:ListSchedules",
    "servicequotas:ListServiceQuotas",
    "tag:GetResources",
    "apigateway:GET",
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    "batch:DescribeComputeEnvironments",
    "batch:DescribeJobDefinitions",
    "batch:DescribeJobQueues",
    "batch:DescribeJobs",
    "batch:ListJobs",
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTopology",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeTags",
    "ec2:GetInstanceTypesFromInstanceRequirements",
    "eks:DescribeClusterVersions",
    "ec2:DescribeInstances",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcEncryptionControls",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpnGateways",
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "ecs:DiscoverPollEndpoint",
    "elasticloadbalancing:DescribeCapacityReservation",
    "elasticloadbalancing:DescribeListenerAttributes",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "secretsmanager:GetRandomPassword",
    "ssm:GetCommandInvocation",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
# A boundary grants nothing. Its wildcards name services; what makes roles is spelled out there too.
GRANT_NOTHING = ("ContainerServiceBoundary 0",)
# Their documents on the confused deputy say that they name the account for which they take a role.
# Others may not, and would get no credentials; only this account can pass its roles to them anyway.
NAMES_THE_ACCOUNT = {
    f"{service}.amazonaws.com"
    for service in ("codebuild", "ecs-tasks", "eks", "pods.eks", "sagemaker", "scheduler")
}


def test_what_runs_has_a_role_of_its_own(template: Template) -> None:
    for kind, property_name in NEEDS_ROLE.items():
        for logical_id, properties in of_type(template, kind):
            role = properties[property_name]["Fn::GetAtt"][0]
            assert template.content["Resources"][role]["Type"] == "AWS::IAM::Role", logical_id


def test_roles_of_deployments_carry_a_boundary(template: Template) -> None:
    if template.name == "bootstrap.yaml":
        for name in ("SageMakerServiceRole", "FunctionServiceRole"):
            role = template.content["Resources"][name]["Properties"]
            # Its own policy is its boundary: nothing attached later can widen it.
            assert [role["PermissionsBoundary"]] == role["ManagedPolicyArns"]
        return
    for logical_id, role in of_type(template, "AWS::IAM::Role"):
        assert role["PermissionsBoundary"] == {"Ref": "PermissionsBoundaryArn"}, logical_id


def test_only_services_of_this_account_may_take_a_role(template: Template) -> None:
    for logical_id, role in of_type(template, "AWS::IAM::Role"):
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            assert set(statement["Principal"]) == {"Service"}, logical_id
            named = statement["Principal"]["Service"] in NAMES_THE_ACCOUNT
            test = "StringEquals" if named else "StringEqualsIfExists"
            assert statement["Condition"] == {
                test: {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
            }, logical_id


def test_no_policy_allows_wildcard_actions_or_resources_that_have_names(template: Template) -> None:
    allowed = 0
    for where, statement in statements(template):
        if statement["Effect"] != "Allow":
            continue
        if where.startswith(GRANT_NOTHING):
            continue
        actions = listed(statement["Action"])
        assert not [a for a in actions if "*" in a], where
        assert "NotAction" not in statement, where
        allowed += 1
        if "*" in listed(statement["Resource"]):
            assert set(actions) <= WITHOUT_RESOURCE, where
    assert allowed or not list(of_type(template, "AWS::IAM::Role"))


def test_passing_a_role_names_the_role_and_the_service(template: Template) -> None:
    for where, statement in statements(template):
        if "iam:PassRole" in listed(statement["Action"]):
            assert "iam:PassedToService" in statement["Condition"]["StringEquals"], where
            assert "*" not in listed(statement["Resource"]), where


def test_policies_fit_and_every_role_says_in_words_what_it_grants(template: Template) -> None:
    for _, policy in of_type(template, "AWS::IAM::ManagedPolicy"):
        assert len(compact(policy["PolicyDocument"])) < MANAGED_POLICY_CHARACTERS
    for logical_id, role in of_type(template, "AWS::IAM::Role"):
        total = sum(len(compact(p["PolicyDocument"])) for p in role.get("Policies", []))
        assert total < ROLE_POLICY_CHARACTERS
        assert template.grants_of_roles()[logical_id]


def compact(document: dict[str, Any]) -> str:
    """The document as IAM counts it: without blanks, with references at about their length."""
    text = json.dumps(document, separators=(",", ":"))
    text = re.sub(r'\{"Fn::Sub":("[^"]*")\}', r"\1", text)
    for name, value in (
        ("AWS::Partition", "aws"), ("AWS::Region", "ap-southeast-2"),
        ("AWS::AccountId", "123456789012"), ("RepositoryName", "model-deployment-advisor"),
    ):  # fmt: skip
        text = text.replace(f"${{{name}}}", value)
    return re.sub(r'\{"(Ref|Fn::GetAtt)":[^}]*\}', f'"{"x" * 120}"', text)
