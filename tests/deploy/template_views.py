"""CloudFormation templates as they are made: conditions decided, values of conditions put in.

A scanner that reads `Fn::If` sees neither branch. So each template is rendered for each door that it
can be reached by, plain, and once with all that a team can bring of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.aws.templates import Template

# What a team brings of its own, and what else is only made when it is asked for.
OWN = {
    "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:alarms",
    "BucketName": "artifacts",
    "CpuAlarmPercent": "170",
    "FormerImageTag": "bundle-0123456789ab",
    "KmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555",
    "Nightly": "cron(0 3 * * ? *)",
    "Purchase": "spot",
    "ReadyAtFirst": "1",
    "ReadyByClock": "true",
    "ReadyMax": "1",
    "ReservedConcurrency": "10",
    "TrafficShift": "CANARY",
    "UseVpc": "true",
    "VpcId": "vpc-1",
}
NOTHING = {"Ref": "AWS::NoValue"}


def views(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, content) of every view: the doors' names, or `plain`; the last door again as `own`, and
    a network of one's own sealed off as `sealed`."""
    parameters = template.content.get("Parameters", {})
    doors = parameters.get("Reach", {}).get("AllowedValues", [])
    for door in doors or ["plain"]:
        yield door, decided(template, {"Reach": door})
    last = {"Reach": doors[-1]} if doors else {}
    yield "own", decided(template, last | {k: v for k, v in OWN.items() if k in parameters})
    if "Sealed" in parameters:
        yield "sealed", decided(template, {"Reach": "private", "Sealed": "true"})


def decided(template: Template, given: Mapping[str, str]) -> dict[str, Any]:
    """The template without conditions, as these parameters decide them."""
    content = template.content
    values = {
        name: str(p.get("Default", p.get("AllowedValues", ["1"])[0]))
        for name, p in content.get("Parameters", {}).items()
    } | dict(given)
    conditions = content.get("Conditions", {})

    def holds(node: Any) -> bool:
        ((function, of),) = node.items()
        if function == "Condition":
            return holds(conditions[of])
        if function == "Fn::Not":
            return not holds(of[0])
        if function in ("Fn::And", "Fn::Or"):
            return (all if function == "Fn::And" else any)([holds(part) for part in of])
        if function != "Fn::Equals":
            raise ValueError(f"{template.name}: {function} is not known here")
        left, right = of
        return value(left) == value(right)

    def value(node: Any) -> str:
        if not isinstance(node, dict):
            return str(node)
        if "Fn::Select" in node:
            which, of = node["Fn::Select"]
            return value(of).split(",")[int(which)]
        return values[node["Ref"]]

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [r for r in map(resolved, node) if r != NOTHING]
        if not isinstance(node, dict):
            return node
        if "Fn::If" in node:
            condition, yes, no = node["Fn::If"]
            return resolved(yes if holds(conditions[condition]) else no)
        found = {key: resolved(part) for key, part in node.items()}
        return {key: part for key, part in found.items() if part != NOTHING}

    made = {
        logical_id: {k: v for k, v in resource.items() if k != "Condition"}
        for logical_id, resource in content["Resources"].items()
        if "Condition" not in resource or holds(conditions[resource["Condition"]])
    }
    return {
        "AWSTemplateFormatVersion": content["AWSTemplateFormatVersion"],
        "Parameters": content.get("Parameters", {}),
        "Resources": resolved(made),
    }
