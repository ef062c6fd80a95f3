"""What the tests of the CloudFormation templates share: their names, and what of a kind is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.aws.templates import DIRECTORY, Template

NAMES = sorted(
    path.name for path in DIRECTORY.glob("*.yaml") if "AWSTemplateFormatVersion" in path.read_text()
)
SAGEMAKER = [name for name in NAMES if name.startswith("sagemaker-")]
OTHERS = sorted(set(NAMES) - {"bootstrap.yaml", *SAGEMAKER})


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
