"""What the templates make: closed, encrypted, tagged, and what becomes of data and logs is said."""

from __future__ import annotations

import json

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from template_parts import of_type

from deploy.aws.templates import Template

OWN_TAGS = {"mda:managed-by", "mda:owner"}
UPDATABLE_TAGS = {"mda:owner", "mda:scenario", "mda:expires-on"}
DEPLOYMENT_TAGS = OWN_TAGS | {"mda:deployment", "mda:scenario", "mda:expires-on"}
UNTAGGED = {"AWS::IAM::ManagedPolicy"}  # the registry has no tags for them in a template
KEEPS_DATA = {"AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::Logs::LogGroup"}


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
