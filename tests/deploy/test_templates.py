"""Every CloudFormation template: valid to cfn-lint, short enough to be sent, made of its parts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cfnlint.api
import pytest
from botocore.session import Session
from cfnlint import ManualArgs
from template_parts import NAMES, of_type, text_of

from advisor.errors import DeployError
from deploy.aws import templates
from deploy.aws.templates import DIRECTORY, Template, load

REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-2"]
# Limits of CreateChangeSet's TemplateBody and of a managed policy (AWS service quotas, 2026-11-22).
TEMPLATE_BYTES = 51_200
# Of each partition the region with the longest name (botocore's own list).
PLACES = [
    (partition, max(Session().get_available_regions("cloudformation", partition), key=len))
    for partition in ("aws", "aws-cn", "aws-us-gov")
]
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
OWN_TAGS = {"mda:managed-by", "mda:owner"}
OWN_TAGS_OF_STACK = dict.fromkeys(OWN_TAGS, "x")


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


def test_conditions_decide_what_is_made() -> None:
    template = load("sagemaker-realtime.yaml")

    def made(**parameters: str) -> set[str]:
        return {logical_id for logical_id, _ in template.resources(parameters)}

    assert made(Scales="true") - made(Scales="false") == {"ScalableTarget", "ScalingPolicy"}
    assert made(Scales="false", CpuAlarmPercent="170") - made(Scales="false") == {"CpuAlarm"}


def test_the_directory_is_the_packages_own() -> None:
    assert (Path(__file__).resolve().parents[2] / "deploy" / "templates") == DIRECTORY


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
