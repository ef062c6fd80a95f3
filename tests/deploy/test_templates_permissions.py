"""CloudFormation's own roles may do what each type needs, and nobody gets past the boundaries."""

from __future__ import annotations

import json
from fnmatch import fnmatch

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from template_parts import OTHERS, SAGEMAKER, listed, statements

from deploy.aws.templates import Template, load

# Called only for properties that the SageMaker templates leave out: provisioned concurrency of
# functions, managed policies, log group keys, log and index policies, log delivery.
SCHEDULED_ACTIONS = {
    "application-autoscaling:DeleteScheduledAction",
    "application-autoscaling:PutScheduledAction",
}
# Of policies that are given to users and groups; here they are given to roles.
OF_USERS = {
    f"iam:{verb}{whose}Policy" for verb in ("Get", "Put", "Delete") for whose in ("User", "Group")
}
NOT_NEEDED = SCHEDULED_ACTIONS | OF_USERS
OF_UNUSED_PROPERTIES = NOT_NEEDED | {
    "firehose:TagDeliveryStream",
    "iam:AttachRolePolicy",
    "iam:DeleteRolePermissionsBoundary",
    "lambda:DeleteProvisionedConcurrencyConfig",
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:PutProvisionedConcurrencyConfig",
    "logs:AssociateKmsKey",
    "logs:CreateLogDelivery",
    "logs:DeleteIndexPolicy",
    "logs:DeleteResourcePolicy",
    "logs:DisassociateKmsKey",
    "logs:PutBearerTokenAuthentication",
    "logs:PutDataProtectionPolicy",
    "logs:PutIndexPolicy",
    "logs:PutLogGroupDeletionProtection",
    "logs:PutResourcePolicy",
    "s3:REST.PUT.OBJECT",
    # Of containers: VPN gateways, IPv6, IPAM, classic balancers, hooks, account settings, replicas of
    # secrets; and tags of HTTP APIs, which are a PUT to /tags.
    "Batch:SetCapacityTags",
    "apigateway:TagResource",
    "apigateway:UntagResource",
    "apigateway:unTagResource",
    "autoscaling:AttachLoadBalancers",
    "autoscaling:CancelInstanceRefresh",
    "autoscaling:DeleteLifecycleHook",
    "autoscaling:DeleteNotificationConfiguration",
    "autoscaling:DetachLoadBalancers",
    "autoscaling:DisableMetricsCollection",
    "autoscaling:EnableMetricsCollection",
    "autoscaling:PutLifecycleHook",
    "autoscaling:PutNotificationConfiguration",
    "autoscaling:StartInstanceRefresh",
    "ec2:AssociateSubnetCidrBlock",
    "ec2:AttachVpnGateway",
    "ec2:CreateVpcEncryptionControl",
    "ec2:DescribeIpamPools",
    "ec2:DetachVpnGateway",
    "ec2:DisassociateSubnetCidrBlock",
    "ec2:Get*",
    "ec2:ModifyVpcTenancy",
    "ecs:PutAccountSetting",
    "ecs:PutAccountSettingDefault",
    "elasticloadbalancing:ModifyCapacityReservation",
    "elasticloadbalancing:ModifyIpPools",
    "iam:DeleteServiceLinkedRole",
    "iam:GetServiceLinkedRoleDeletionStatus",
    # Of clusters: SSH keys, a change of the certificate authority, machines that EKS itself starts.
    "ec2:DescribeKeyPairs",
    "eks:ActivateCertificateAuthority",
    "iam:TagInstanceProfile",
    "secretsmanager:RemoveRegionsFromReplication",
    "secretsmanager:ReplicateSecretToRegions",
}
# Registry permissions of what no template here uses: lattice, fleets, Cognito, EKS, keys …
UNUSED_SERVICES = {
    "vpc-lattice", "managed-fleets", "cognito-idp", "vpce", "Eks", "kms", "s3", "billing",
    "elasticfilesystem", "s3files",
}  # fmt: skip
# Of functions: networks, file systems, layers, code signing and durable or hosted functions.
UNUSED_OF_FUNCTIONS = {
    "application-autoscaling:DescribeScalingPolicies",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "codedeploy:RegisterOnPremisesInstance",
    "lambda:AssociateRuntimeAlias",
    "lambda:DeleteFunctionCodeSigningConfig",
    "lambda:GetCodeSigningConfig",
    "lambda:GetLayerVersion",
    "lambda:PassCapacityProvider",
    "lambda:PutFunctionCodeSigningConfig",
    "lambda:PutFunctionRecursionConfig",
    "lambda:PutFunctionScalingConfig",
    "lambda:PutRuntimeManagementConfig",
}
# What only the stacks of functions use of what OF_UNUSED_PROPERTIES excuses elsewhere.
USED_BY_FUNCTIONS = {
    "application-autoscaling:DeleteScheduledAction",
    "application-autoscaling:PutScheduledAction",
    "lambda:DeleteProvisionedConcurrencyConfig",
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:PutProvisionedConcurrencyConfig",
}
FAMILIES = {"lambda.yaml": ("Function", ("FunctionPolicy",))}
OF_CONTAINERS = ("Container", ("ContainerNetworkPolicy", "ContainerPolicy", "ContainerIamPolicy"))


def actions(*policies: str) -> set[str]:
    """What the bootstrap stack's statements of these beginnings grant."""
    return {
        action
        for where, statement in statements(load("bootstrap.yaml"))
        if where.startswith(policies)
        for action in listed(statement["Action"])
    }


@pytest.mark.parametrize("name", SAGEMAKER)
def test_the_service_role_may_do_what_cloudformation_needs_for_each_type(name: str) -> None:
    """The registry lists the permissions that each type's handlers call with."""
    granted = actions("SageMakerDeployPolicy")
    resources = load(name).content["Resources"]
    scheduled = "ScheduledActions" in json.dumps(resources)
    unused = OF_UNUSED_PROPERTIES - (SCHEDULED_ACTIONS if scheduled else set())
    for kind in sorted({resource["Type"] for resource in resources.values()}):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        needed = {
            verb: set(schema["handlers"][verb]["permissions"])
            for verb in ("create", "read", "update", "delete")
        }
        assert needed["read"] | needed["delete"] <= granted, kind
        assert (needed["create"] | needed["update"]) - unused <= granted, kind


@pytest.mark.parametrize("name", OTHERS)
def test_the_containers_and_functions_roles_may_do_what_cloudformation_needs_for_each_type(
    name: str,
) -> None:
    """As above; the registry writes some actions in small letters, or with a wildcard."""
    _, policies = FAMILIES.get(name, OF_CONTAINERS)
    unused = OF_UNUSED_PROPERTIES
    if name == "lambda.yaml":
        unused = (unused | UNUSED_OF_FUNCTIONS) - USED_BY_FUNCTIONS
    granted = {action.lower() for action in actions(*policies)}
    for kind in sorted({r["Type"] for r in load(name).content["Resources"].values()}):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        for verb in ("create", "read", "update", "delete"):
            for action in schema["handlers"].get(verb, {}).get("permissions", []):
                if action in unused or action.split(":")[0] in UNUSED_SERVICES:
                    continue
                assert any(fnmatch(g, action.lower()) for g in granted), (kind, verb, action)


def test_no_boundary_lets_roles_be_made_without_bounds() -> None:
    for where, statement in statements(load("bootstrap.yaml")):
        if not where.startswith("ContainerServiceBoundary"):
            continue
        actions = listed(statement["Action"])
        if any(a.split(":")[0] in ("iam", "sts", "organizations", "account") for a in actions):
            assert not [a for a in actions if "*" in a], where
            assert "*" not in listed(statement["Resource"]), where
    bounded = [
        statement
        for where, statement in statements(load("bootstrap.yaml"))
        if where.startswith("Container") and "iam:PutRolePolicy" in listed(statement["Action"])
    ]
    assert len(bounded) == 2
    for statement in bounded:
        wanted = {"iam:PermissionsBoundary": {"Ref": "ContainerBoundary"}}
        assert statement["Condition"]["StringEquals"] == wanted


@pytest.mark.parametrize("name", SAGEMAKER)
def test_the_deployments_own_roles_stay_within_their_boundary(name: str) -> None:
    boundary = actions("WorkloadBoundary")
    own = {
        action
        for where, statement in statements(load(name))
        for action in listed(statement["Action"])
    }
    assert own <= boundary


@pytest.mark.parametrize("name", OTHERS)
def test_roles_of_containers_and_functions_stay_within_their_boundary(name: str) -> None:
    def allowed(template: Template, prefix: str = "") -> set[str]:
        return {
            action
            for where, statement in statements(template)
            if where.startswith(prefix)
            for action in listed(statement["Action"])
        }

    family, _ = FAMILIES.get(name, OF_CONTAINERS)
    assert allowed(load(name)) <= allowed(load("bootstrap.yaml"), f"{family}Boundary")
