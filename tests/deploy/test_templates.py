"""Every CloudFormation template: valid to cfn-lint, and safe in the ways that it does not look at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import cfnlint.api
import pytest
from botocore.session import Session
from cfnlint import ManualArgs
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from advisor.catalog.loader import option as catalog_option
from advisor.errors import DeployError
from deploy.aws import templates
from deploy.aws.templates import DIRECTORY, Template, load

NAMES = sorted(
    path.name for path in DIRECTORY.glob("*.yaml") if "AWSTemplateFormatVersion" in path.read_text()
)
SAGEMAKER = [name for name in NAMES if name.startswith("sagemaker-")]
OTHERS = sorted(set(NAMES) - {"bootstrap.yaml", *SAGEMAKER})
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-2"]
# Limits of CreateChangeSet's TemplateBody and of a managed policy (AWS service quotas, 2026-11-22).
TEMPLATE_BYTES = 51_200
# Of each partition the region with the longest name (botocore's own list).
PLACES = [
    (partition, max(Session().get_available_regions("cloudformation", partition), key=len))
    for partition in ("aws", "aws-cn", "aws-us-gov")
]
MANAGED_POLICY_CHARACTERS = 6_144
ROLE_POLICY_CHARACTERS = 10_240
# A scalable dimension belongs to a namespace, and its resource ids begin alike (Application Auto
# Scaling API reference, RegisterScalableTarget). cfn-lint knows each alone, not the pair.
DIMENSIONS = {
    "sagemaker:variant:DesiredInstanceCount": ("sagemaker", "endpoint/"),
    "sagemaker:variant:DesiredProvisionedConcurrency": ("sagemaker", "endpoint/"),
    "ecs:service:DesiredCount": ("ecs", "service/"),
    "lambda:function:ProvisionedConcurrency": ("lambda", "function:"),
}
METRIC_OF_NAMESPACE = {
    "sagemaker": "SageMaker", "ecs": ("ECS", "ALBRequestCountPerTarget"), "lambda": "Lambda",
}  # fmt: skip
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
# A boundary grants nothing. Its wildcards name services; what makes roles is spelled out there too.
GRANT_NOTHING = ("ContainerServiceBoundary 0",)
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
OWN_TAGS = {"mda:managed-by", "mda:owner"}
OWN_TAGS_OF_STACK = dict.fromkeys(OWN_TAGS, "x")
UPDATABLE_TAGS = {"mda:owner", "mda:scenario", "mda:expires-on"}
DEPLOYMENT_TAGS = OWN_TAGS | {"mda:deployment", "mda:scenario", "mda:expires-on"}
UNTAGGED = {"AWS::IAM::ManagedPolicy"}  # the registry has no tags for them in a template
# Their documents on the confused deputy say that they name the account for which they take a role.
# Others may not, and would get no credentials; only this account can pass its roles to them anyway.
NAMES_THE_ACCOUNT = {
    f"{service}.amazonaws.com"
    for service in ("codebuild", "ecs-tasks", "eks", "pods.eks", "sagemaker", "scheduler")
}
KEEPS_DATA = {"AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::Logs::LogGroup"}


@pytest.fixture(params=NAMES)
def template(request: pytest.FixtureRequest) -> Template:
    return load(request.param)


def test_the_templates_are_there() -> None:
    assert {"bootstrap.yaml", "sagemaker-realtime.yaml"} <= set(NAMES)


@pytest.mark.parametrize(
    "region", [REGIONS[0], *(pytest.param(other, marks=pytest.mark.slow) for other in REGIONS[1:])]
)
def test_cfn_lint_finds_nothing(region: str) -> None:
    found = [
        f"{name}: {match.rule.id} {match.message} (line {match.linenumber})"
        for name in NAMES
        for match in cfnlint.api.lint(load(name).text, config=ManualArgs(regions=[region]))
    ]
    assert found == []


def test_cfn_lint_would_find_something() -> None:
    """The check above can fail: a property that does not exist is found."""
    text = load("sagemaker-realtime.yaml").text.replace("InitialInstanceCount", "InitialInstances")
    found = cfnlint.api.lint(text, config=ManualArgs(regions=REGIONS))
    assert "E3002" in {match.rule.id for match in found}


def test_it_fits_into_a_request(template: Template) -> None:
    assert len(template.text.encode()) < TEMPLATE_BYTES


@pytest.mark.parametrize(("partition", "region"), PLACES)
def test_the_bootstrap_stack_keeps_room_in_a_request(partition: str, region: str) -> None:
    """Every target adds policies to it: 4 KB stay free, in the region with the longest name too."""
    sent = load("bootstrap.yaml").sent_to(
        f"arn:{partition}:iam::123456789012:user/ann", region, OWN_TAGS_OF_STACK
    )
    free = TEMPLATE_BYTES - len(sent.encode())
    assert free >= 4096, f"{free} bytes are left"
    assert not re.search(r"AWS::(Partition|Region|AccountId)", sent)


def test_what_is_sent_for_an_account_is_the_template() -> None:
    """Tags apart, which the stack's own give: both say the same once AWS has resolved them."""
    template = load("bootstrap.yaml")
    region, account = "eu-central-1", "123456789012"
    arn = f"arn:aws:sts::{account}:assumed-role/x/a:b"
    sent = json.loads(template.sent_to(arn, region, OWN_TAGS_OF_STACK))
    plain = template.text
    for name, value in {"Partition": "aws", "Region": region, "AccountId": account}.items():
        plain = plain.replace(f"${{AWS::{name}}}", value)
        plain = plain.replace(f'{{"Ref":"AWS::{name}"}}', f'"{value}"')
    plain = re.sub(r'{"Fn::Sub":("[^"$]*")}', r"\1", plain)
    wanted = json.loads(plain)
    del wanted["Metadata"]
    for resource in wanted["Resources"].values():
        resource["Properties"].pop("Tags", None)
    assert sent == wanted
    kept = json.loads(template.sent_to(arn, region, {}))["Resources"]["ArtifactBucket"]
    assert {tag["Key"] for tag in kept["Properties"]["Tags"]} == OWN_TAGS


def test_scaling_dimension_namespace_resource_and_metric_belong_together(
    template: Template,
) -> None:
    for kind in ("ScalableTarget", "ScalingPolicy"):
        for _, properties in of_type(template, f"AWS::ApplicationAutoScaling::{kind}"):
            namespace, prefix = DIMENSIONS[properties["ScalableDimension"]]
            assert properties["ServiceNamespace"] == namespace
            assert text_of(properties["ResourceId"]).startswith(prefix)
            tracking = properties.get("TargetTrackingScalingPolicyConfiguration", {})
            metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
            if metric:
                assert metric.startswith(METRIC_OF_NAMESPACE[namespace])
            if metric == "ALBRequestCountPerTarget":
                label = text_of(tracking["PredefinedMetricSpecification"]["ResourceLabel"])
                assert label == "${Balancer.LoadBalancerFullName}/${Targets.TargetGroupFullName}"


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


def test_nothing_is_open_to_the_world(template: Template) -> None:
    """But TLS with a token where a certificate was given, and ways out of a network of its own."""
    assert "::/0" not in template.text
    for logical_id, resource in template.content["Resources"].items():
        if "0.0.0.0/0" not in json.dumps(resource):
            continue
        kind, given = resource["Type"], resource["Properties"]
        if kind == "AWS::EC2::SecurityGroupIngress":
            assert resource["Condition"] == "ByCertificate", logical_id
            assert (given["FromPort"], given["ToPort"]) == (443, 443)
        elif kind == "AWS::EC2::SecurityGroup":
            assert "0.0.0.0/0" not in json.dumps(given.get("SecurityGroupIngress", [])), logical_id
            assert {rule["ToPort"] for rule in given["SecurityGroupEgress"]} == {443}
        else:
            assert (kind, resource["Condition"]) == ("AWS::EC2::Route", "HasWayOut"), logical_id


def test_groups_say_where_they_let_out_to(template: Template) -> None:
    """A group without egress rules of its own lets everything out."""
    for logical_id, group in of_type(template, "AWS::EC2::SecurityGroup"):
        assert group["SecurityGroupEgress"], logical_id


def test_data_at_rest_is_encrypted(template: Template) -> None:
    for logical_id, bucket in of_type(template, "AWS::S3::Bucket"):
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"], logical_id
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, logical_id
        denied = [
            statement
            for _, policy in of_type(template, "AWS::S3::BucketPolicy")
            if policy["Bucket"] == {"Ref": logical_id}
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        assert any(
            s["Effect"] == "Deny" and s["Condition"].get("Bool") == {"aws:SecureTransport": "false"}
            for s in denied
        )
    for logical_id, repository in of_type(template, "AWS::ECR::Repository"):
        assert repository["EncryptionConfiguration"], logical_id
        assert repository["ImageTagMutability"] == "IMMUTABLE"
        assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}


def test_whoever_has_a_door_of_its_own_has_a_token_that_the_server_gets(template: Template) -> None:
    """A public balancer with a certificate lets everybody through: only the server can refuse."""
    if "CertificateArn" not in template.content.get("Parameters", {}):
        return
    token = template.content["Resources"]["Token"]
    assert (token["Type"], token["Condition"]) == ("AWS::SecretsManager::Secret", "ByCertificate")
    assert template.content["Outputs"]["TokenSecret"]["Value"] == {"Ref": "Token"}
    if template.name != "eks.yaml":  # whose pods get it from the cluster
        assert "MODEL_SERVER_TOKEN" in template.text


def test_logs_are_not_kept_for_ever(template: Template) -> None:
    groups = list(of_type(template, "AWS::Logs::LogGroup"))
    if template.name == "sagemaker-batch.yaml":  # its jobs write to a group of the account's own
        assert not groups
        return
    for logical_id, group in groups:
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}, logical_id
    assert template.content["Parameters"]["LogRetentionDays"]["Default"] == 30


def test_what_can_be_tagged_is_tagged(template: Template) -> None:
    wanted = OWN_TAGS if template.name == "bootstrap.yaml" else DEPLOYMENT_TAGS
    for logical_id, resource in template.content["Resources"].items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
        taggable = "Tags" in schema["properties"] and resource["Type"] not in UNTAGGED
        if taggable:
            tags = resource["Properties"].get("Tags", [])
            found = set(tags) if isinstance(tags, dict) else {tag["Key"] for tag in tags}
            fixed = "/properties/Tags" in schema.get("createOnlyProperties", [])
            assert (wanted - UPDATABLE_TAGS if fixed else wanted) <= found, logical_id


def test_another_hour_or_owner_replaces_nothing(template: Template) -> None:
    """Tags that can only be set once, and those of which a machine is made, name no parameter that
    an update changes."""
    for logical_id, resource in template.content["Resources"].items():
        kind, properties = resource["Type"], resource["Properties"]
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        if "/properties/Tags" in schema.get("createOnlyProperties", []):
            said = json.dumps(properties.get("Tags", {}))
            for parameter in ("ExpiresOn", "Owner", "Scenario"):
                assert parameter not in said, (logical_id, parameter)
        for made in ("LaunchTemplateData", "ComputeResources"):
            assert "ExpiresOn" not in json.dumps(properties.get(made, {})), logical_id


def test_what_holds_data_says_what_happens_to_it(template: Template) -> None:
    """Delete, said out loud: CloudFormation itself refuses while a bucket or repository is full."""
    for logical_id, resource in template.content["Resources"].items():
        if resource["Type"] in KEEPS_DATA:
            assert resource["DeletionPolicy"] == "Delete", logical_id
            assert resource["UpdateReplacePolicy"] in ("Delete", "Retain"), logical_id
            assert not resource["Properties"].get("EmptyOnDelete"), logical_id


@pytest.mark.parametrize("name", SAGEMAKER)
def test_the_service_role_may_do_what_cloudformation_needs_for_each_type(name: str) -> None:
    """The registry lists the permissions that each type's handlers call with."""
    granted = {
        action
        for where, statement in statements(load("bootstrap.yaml"))
        if where.startswith("SageMakerDeployPolicy")
        for action in listed(statement["Action"])
    }
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
    granted = {
        action.lower()
        for where, statement in statements(load("bootstrap.yaml"))
        if where.startswith(policies)
        for action in listed(statement["Action"])
    }
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
    boundary = {
        action
        for where, statement in statements(load("bootstrap.yaml"))
        if where.startswith("WorkloadBoundary")
        for action in listed(statement["Action"])
    }
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


def test_a_function_is_released_through_its_alias_and_taken_back_on_alarm() -> None:
    resources = load("lambda.yaml").content["Resources"]
    release = resources["Live"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    group = resources["ReleaseGroup"]["Properties"]
    assert text_of(release["DeploymentGroupName"]) == text_of(group["DeploymentGroupName"])
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    watched = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    assert watched == {i for i, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    # The version before stays, and goes with the function.
    assert resources["Version"]["UpdateReplacePolicy"] == "Retain"
    # Whatever is called or scaled is the alias, never the newest code.
    assert resources["ApiToFunction"]["Properties"]["IntegrationUri"] == {"Ref": "Live"}
    assert resources["Url"]["Properties"]["Qualifier"] == "live"
    assert text_of(resources["Ready"]["Properties"]["ResourceId"]).endswith(":live")


def test_no_door_of_a_function_is_open() -> None:
    resources = load("lambda.yaml").content["Resources"]
    assert resources["Url"]["Properties"]["AuthType"] == "AWS_IAM"
    route = resources["ApiRoute"]["Properties"]["AuthorizationType"]
    assert route == {"Fn::If": ["ByJwt", "JWT", "AWS_IAM"]}
    for _, permission in of_type(load("lambda.yaml"), "AWS::Lambda::Permission"):
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert text_of(permission["SourceArn"]).endswith(":${Api}/*")


def test_the_endpoint_is_guarded() -> None:
    resources = load("sagemaker-realtime.yaml").content["Resources"]
    model, endpoint = resources["Model"]["Properties"], resources["Endpoint"]["Properties"]
    assert model["EnableNetworkIsolation"] is True
    alarms = endpoint["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert [a["AlarmName"]["Ref"] for a in alarms] == ["ServerErrorAlarm", "LatencyAlarm"]
    named = {logical_id for logical_id, kind in load("sagemaker-realtime.yaml").resources({})}
    assert {"ServerErrorAlarm", "LatencyAlarm", "SaturationAlarm"} <= named
    for logical_id in ("ServerErrorAlarm", "LatencyAlarm", "SaturationAlarm", "CpuAlarm"):
        dimensions = resources[logical_id]["Properties"]["Dimensions"]
        assert [d["Name"] for d in dimensions] == ["EndpointName", "VariantName"]
        assert text_of(dimensions[0]["Value"]) == text_of(endpoint["EndpointName"])


def test_alarms_of_a_serverless_endpoint_watch_metrics_that_it_has() -> None:
    """Namespace, dimensions and metrics: SageMaker guide, "Alarms and logs for tracking metrics from
    serverless endpoints" (2026-11-22); others are not published for them."""
    published = {
        "Invocation5XXErrors": "AWS/SageMaker", "ModelLatency": "AWS/SageMaker",
        "ServerlessConcurrentExecutionsUtilization": "AWS/SageMaker",
        "MemoryUtilization": "/aws/sagemaker/Endpoints",
    }  # fmt: skip
    template = load("sagemaker-serverless.yaml")
    watched = {}
    for _, alarm in of_type(template, "AWS::CloudWatch::Alarm"):
        watched[alarm["MetricName"]] = alarm["Namespace"]
        assert [d["Name"] for d in alarm["Dimensions"]] == ["EndpointName", "VariantName"]
    assert watched == published


def test_a_serverless_endpoint_has_what_the_service_offers_and_nothing_else() -> None:
    content = load("sagemaker-serverless.yaml").content
    (variant,) = content["Resources"]["EndpointConfig"]["Properties"]["ProductionVariants"]
    assert set(variant["ServerlessConfig"]) == {
        "MemorySizeInMB", "MaxConcurrency", "ProvisionedConcurrency",
    }  # fmt: skip
    assert content["Parameters"]["MemoryMb"]["AllowedValues"] == [
        1024 * n for n in range(1, 7)
    ] == list(catalog_option("sagemaker-serverless").memory_sizes_mb)  # fmt: skip
    most = catalog_option("sagemaker-serverless").number("max_concurrency")
    assert content["Parameters"]["MaxConcurrency"]["MaxValue"] == most
    assert not {"EnableNetworkIsolation", "VpcConfig"} & set(
        content["Resources"]["Model"]["Properties"]
    )
    assert "DeploymentConfig" not in content["Resources"]["Endpoint"]["Properties"]


def test_conditions_decide_what_is_made() -> None:
    template = load("sagemaker-realtime.yaml")

    def made(**parameters: str) -> set[str]:
        return {logical_id for logical_id, _ in template.resources(parameters)}

    assert made(Scales="true") - made(Scales="false") == {"ScalableTarget", "ScalingPolicy"}
    assert made(Scales="false", CpuAlarmPercent="170") - made(Scales="false") == {"CpuAlarm"}


def test_the_directory_is_the_packages_own() -> None:
    assert (Path(__file__).resolve().parents[2] / "deploy" / "templates") == DIRECTORY


def of_type(template: Template, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in template.content["Resources"].items():
        if resource["Type"] == kind:
            yield logical_id, resource["Properties"]


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """(logical id and number, statement) of every policy of roles and managed policies."""
    documents = [
        (logical_id, policy["PolicyDocument"])
        for logical_id, role in of_type(template, "AWS::IAM::Role")
        for policy in role.get("Policies", [])
    ] + [
        (logical_id, policy["PolicyDocument"])
        for logical_id, policy in of_type(template, "AWS::IAM::ManagedPolicy")
    ]
    for logical_id, document in documents:
        for number, item in enumerate(document["Statement"]):
            statement = item["Fn::If"][1] if "Fn::If" in item else item
            yield f"{logical_id} {number}", statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text_of(value: Any) -> str:
    return str(value["Fn::Sub"] if isinstance(value, dict) else value)


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


def test_a_template_is_parsed_once_and_again_when_the_installation_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in DIRECTORY.glob("*.yaml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(templates, "DIRECTORY", tmp_path)
    first = load("lambda.yaml")
    assert load("lambda.yaml") is first
    part = tmp_path / "part-deployment.yaml"  # one that it is made of
    part.write_text(part.read_text().replace("Default: 30", "Default: 60"))
    assert load("lambda.yaml").digest != first.digest
    part.unlink()
    with pytest.raises(DeployError, match="part-deployment"):
        load("lambda.yaml")
