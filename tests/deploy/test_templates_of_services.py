"""Functions and endpoints as their templates make them: released, guarded, watched by real metrics."""

from __future__ import annotations

from template_parts import of_type, text_of

from advisor.catalog.loader import option as catalog_option
from deploy.aws.templates import load


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
