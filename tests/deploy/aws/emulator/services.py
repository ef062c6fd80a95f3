"""The calls of SageMaker, Application Auto Scaling and Service Quotas that MiniStack lacks.

Requests and answers are both checked against botocore's own service models.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import botocore.loaders
import botocore.model
from botocore.validate import ParamValidator
from containers import invoke
from ecs import EcsCalls
from functions import arn_of, codedeploy_application
from kubernetes_api import cluster_versions
from ministack.core.responses import get_account_id, get_region
from resources import CONFIG, ENDPOINT, MODEL, POLICY, TARGET, Resource, World
from sagemaker_work import WorkCalls
from transform_jobs import TransformCalls

TARGETS = {
    "SageMaker": "sagemaker",
    "AnyScaleFrontendService": "application-autoscaling",
    "ServiceQuotasV20190624": "service-quotas",
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "AmazonSSM": "ssm",
    "CodeDeploy_20141006": "codedeploy",
}
BATCH = {
    name.lower(): name
    for name in (
        "SubmitJob", "DescribeJobs", "ListJobs", "DescribeJobQueues", "DescribeComputeEnvironments",
        "DescribeJobDefinitions",
    )
}  # fmt: skip
ONLY = {"ssm": ("SendCommand", "GetCommandInvocation")}  # MiniStack answers the others
IAM_NAMES = {
    "sagemaker": "sagemaker",
    "sagemaker-runtime": "sagemaker",
    "application-autoscaling": "application-autoscaling",
    "service-quotas": "servicequotas",
    "ecs": "ecs",
    "batch": "batch",
    "ssm": "ssm",
    "codedeploy": "codedeploy",
    "apigatewayv2": "apigateway",
    "eks": "eks",
}
INVOKED = {"invocations": "InvokeEndpoint", "async-invocations": "InvokeEndpointAsync"}
QUOTAS_A_PAGE = 2  # so that a caller who reads one page only is found out
Answer = tuple[int, dict[str, str], bytes]


class ServiceError(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Services(WorkCalls, TransformCalls, EcsCalls):
    """Answers from the state that CloudFormation left."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.quotas: dict[str, float] = {}
        self.invocations: list[dict[str, str]] = []
        loader = botocore.loaders.Loader()
        self._models = {
            name: botocore.model.ServiceModel(loader.load_service_model(name, "service-2"), name)
            for name in IAM_NAMES
        }

    def resource_arn(self, service: str, operation: str, given: dict[str, Any]) -> str:
        """What IAM checks the call against."""
        if operation in ("DescribeEndpoint", "InvokeEndpoint", "InvokeEndpointAsync"):
            return self._arn(f"endpoint/{given['EndpointName'].lower()}")
        if operation in ("CreateTransformJob", "DescribeTransformJob", "StopTransformJob"):
            return self._arn(f"transform-job/{given['TransformJobName'].lower()}")
        if operation == "DescribeModel":
            return self._arn(f"model/{given['ModelName'].lower()}")
        if operation == "GetApplication":
            return arn_of("codedeploy", "application", given["applicationName"])
        if service == "ecs":
            named = given.get("cluster") or (given.get("clusters") or ["?"])[0]
            kind = "task-definition" if operation == "RunTask" else "cluster"
            return f"arn:aws:ecs:{get_region()}:{get_account_id()}:{kind}/{named}"
        return "*"

    def parsed(
        self, service: str, operation: str, path: str, headers: dict[str, str], body: bytes
    ) -> dict[str, Any]:
        """The request's parameters. Raises ServiceError when the service model does not know them."""
        model = self._models[service].operation_model(operation)
        if service == "sagemaker-runtime":
            given: dict[str, Any] = {"EndpointName": unquote(path.split("/")[2])}
            if body or operation == "InvokeEndpoint":
                given["Body"] = body
            names = {
                shape.serialization["name"].lower(): member
                for member, shape in model.input_shape.members.items()
                if shape.serialization.get("location") == "header"
            }
            for header, value in headers.items():
                if header in names:
                    given[names[header]] = value
                elif header.startswith("x-amzn-sagemaker-"):
                    raise ServiceError("ValidationError", f"unknown header {header}")
        else:
            given = json.loads(body or b"{}")
        problems = ParamValidator().validate(given, model.input_shape)
        if problems.has_errors():
            raise ServiceError("ValidationException", problems.generate_report())
        return given

    def answer(self, service: str, operation: str, given: dict[str, Any]) -> Answer:
        if operation == "InvokeEndpoint":
            return self._invoke(given)
        if operation == "InvokeEndpointAsync":
            return self.invoke_async(given, self._hosted(given["EndpointName"]))
        verb = getattr(self, f"_{operation}", None)
        if verb is None:
            raise ServiceError("UnknownOperationException", f"{operation} is not emulated")
        out = verb(given)
        shape = self._models[service].operation_model(operation).output_shape
        problems = ParamValidator().validate(out, shape)
        if problems.has_errors():
            raise AssertionError(f"the emulator answers wrongly: {problems.generate_report()}")
        if service == "apigatewayv2":
            out = {"items": [{k[0].lower() + k[1:]: v for k, v in i.items()} for i in out["Items"]]}
        return 200, {"content-type": "application/x-amz-json-1.1"}, _json(out)

    def _DescribeClusterVersions(self, given: dict[str, Any]) -> dict[str, Any]:
        return cluster_versions()

    def _GetApplication(self, given: dict[str, Any]) -> dict[str, Any]:
        return codedeploy_application(self.world, given["applicationName"])

    def _DescribeEndpoint(self, given: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._endpoint(given["EndpointName"])
        config = self.world.get(CONFIG, endpoint.properties["EndpointConfigName"])
        assert config is not None
        (variant,) = config.properties["ProductionVariants"]
        if "ServerlessConfig" in variant:
            size = {"CurrentServerlessConfig": variant["ServerlessConfig"]}
        else:
            count = variant["InitialInstanceCount"]
            size = {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
        specified, resolved = endpoint.image
        alive = endpoint.container is not None and endpoint.container.process.poll() is None
        return {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": config.name,
            "EndpointStatus": "InService" if alive else "Failed",
            "ProductionVariants": [{
                "VariantName": variant["VariantName"],
                "DeployedImages": [{
                    "SpecifiedImage": specified, "ResolvedImage": resolved,
                    "ResolutionTime": _time(endpoint.changed_at),
                }],
                **size,
            }],
            "CreationTime": _time(endpoint.created_at),
            "LastModifiedTime": _time(endpoint.changed_at),
        }  # fmt: skip

    def _ListEndpoints(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"Endpoints": [
            {"EndpointName": e.name, "EndpointArn": e.arn, "EndpointStatus": "InService",
             "CreationTime": _time(e.created_at), "LastModifiedTime": _time(e.changed_at)}
            for e in self._named(ENDPOINT, given)
        ]}  # fmt: skip

    def _ListEndpointConfigs(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"EndpointConfigs": [
            {"EndpointConfigName": c.name, "EndpointConfigArn": c.arn,
             "CreationTime": _time(c.created_at)}
            for c in self._named(CONFIG, given)
        ]}  # fmt: skip

    def _ListModels(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"Models": [
            {"ModelName": m.name, "ModelArn": m.arn, "CreationTime": _time(m.created_at)}
            for m in self._named(MODEL, given)
        ]}  # fmt: skip

    def _DescribeModel(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["ModelName"]
        model = self.world.get(MODEL, name)
        if model is None:
            arn = self._arn(f"model/{name}")
            raise ServiceError("ValidationException", f'Could not find model "{arn}".')
        return {
            "ModelName": model.name, "ModelArn": model.arn,
            "PrimaryContainer": model.properties["PrimaryContainer"],
            "ExecutionRoleArn": model.properties["ExecutionRoleArn"],
            "CreationTime": _time(model.created_at),
        }  # fmt: skip

    def _DescribeScalableTargets(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"ScalableTargets": [
            {"ServiceNamespace": given["ServiceNamespace"], "ResourceId": t.properties["ResourceId"],
             "ScalableDimension": t.properties["ScalableDimension"],
             "MinCapacity": t.properties["MinCapacity"], "MaxCapacity": t.properties["MaxCapacity"],
             "RoleARN": self._arn("role/scaling").replace("sagemaker", "iam"),
             "CreationTime": _time(t.created_at)}
            for t in self.world.all(TARGET)
            if t.properties["ResourceId"] in given.get("ResourceIds", [t.properties["ResourceId"]])
        ]}  # fmt: skip

    def _DescribeScalingPolicies(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"ScalingPolicies": [
            {"PolicyARN": p.arn, "PolicyName": p.properties["PolicyName"],
             "ServiceNamespace": p.properties["ServiceNamespace"],
             "ResourceId": p.properties["ResourceId"], "PolicyType": p.properties["PolicyType"],
             "ScalableDimension": p.properties["ScalableDimension"],
             "CreationTime": _time(p.created_at),
             **{k: v for k, v in p.properties.items() if k.endswith("ScalingPolicyConfiguration")}}
            for p in self.world.all(POLICY)
        ]}  # fmt: skip

    def _ListServiceQuotas(self, given: dict[str, Any]) -> dict[str, Any]:
        code = given["ServiceCode"]
        start = int(given.get("NextToken", "0"))
        names = sorted(self.quotas)
        page = names[start : start + QUOTAS_A_PAGE]
        more = {"NextToken": str(start + QUOTAS_A_PAGE)} if names[start + QUOTAS_A_PAGE :] else {}
        return {"Quotas": [
            {"ServiceCode": code, "QuotaName": name, "Value": self.quotas[name],
             "QuotaCode": f"L-{abs(hash(name)) % 16**8:08X}", "Adjustable": True,
             "GlobalQuota": False}
            for name in page
        ], **more}  # fmt: skip

    def _invoke(self, given: dict[str, Any]) -> Answer:
        found = self._hosted(given["EndpointName"])
        assert found.container is not None
        headers = {
            "Content-Type": given.get("ContentType", "application/octet-stream"),
            "Accept": given.get("Accept", "*/*"),
        }
        status, content_type, body = invoke(found.container, given["Body"], headers)
        self.invocations.append({"endpoint": found.name, "status": str(status)})
        if status >= 400:
            raise ModelError(status, body.decode(errors="replace"), found.name)
        return 200, {
            "content-type": content_type,
            "x-amzn-invoked-production-variant": "AllTraffic",
        }, body  # fmt: skip

    def _hosted(self, name: str) -> Resource:
        found = self.world.get(ENDPOINT, name)
        if found is None or found.container is None:
            raise ServiceError(
                "ValidationError", f"Endpoint {name} of account {get_account_id()} not found."
            )
        return found

    def _endpoint(self, name: str) -> Resource:
        found = self.world.get(ENDPOINT, name)
        if found is None:
            raise ServiceError(
                "ValidationException", f'Could not find endpoint "{self._arn(f"endpoint/{name}")}".'
            )
        return found

    def _named(self, kind: str, given: dict[str, Any]) -> list[Resource]:
        return [r for r in self.world.all(kind) if given.get("NameContains", "") in r.name]

    def _arn(self, path: str) -> str:
        return f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:{path}"


class ModelError(ServiceError):
    """The container answered with an error of its own."""

    def __init__(self, status: int, message: str, endpoint: str) -> None:
        super().__init__("ModelError", message, 424)
        self.body = {
            "Message": f'Received client error ({status}) from primary with message "{message}".',
            "OriginalMessage": message,
            "OriginalStatusCode": status,
            "LogStreamArn": f"arn:aws:logs:::log-group:/aws/sagemaker/Endpoints/{endpoint}",
        }


def operation_of(method: str, path: str, headers: dict[str, str]) -> tuple[str, str] | None:
    """Service and operation of a request that these services answer."""
    prefix, _, operation = headers.get("x-amz-target", "").partition(".")
    if prefix in TARGETS and operation in ONLY.get(TARGETS[prefix], (operation,)):
        return TARGETS[prefix], operation
    verb = path.removeprefix("/v1/").lower()
    if method == "POST" and path.startswith("/v1/") and verb in BATCH:
        return "batch", BATCH[verb]
    if (method, path) == ("GET", "/cluster-versions"):
        return "eks", "DescribeClusterVersions"
    if (method, path) == ("GET", "/v2/vpclinks"):
        return "apigatewayv2", "GetVpcLinks"
    parts = path.strip("/").split("/")
    if method == "POST" and len(parts) == 3 and parts[0] == "endpoints" and parts[2] in INVOKED:
        return "sagemaker-runtime", INVOKED[parts[2]]
    return None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _json(out: dict[str, Any]) -> bytes:
    return json.dumps(out, default=lambda t: t.timestamp()).encode()
