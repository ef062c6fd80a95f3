"""SageMaker endpoints that answer while somebody waits: what they say, and one call."""

from __future__ import annotations

import json
import time
from typing import Any

from advisor.errors import DeployError
from deploy.aws import checks
from deploy.aws.sagemaker_kind import Kind
from deploy.aws.session import Aws, code_of, told
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen, sample_body
from deploy.aws.wanted import stack_name
from deploy.target import Plan, Prediction

TOLD_ERROR_CHARACTERS = 500


class EndpointKind(Kind):
    """What all endpoints share. A subclass says what it needs and what it is made of."""

    path = "invocations"

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """The endpoint runs the image that was built: SageMaker says which digest it resolved."""
        name = stack_name(plan.name)
        with told(f"look at the endpoint {name}"):
            seen = aws.client("sagemaker").describe_endpoint(EndpointName=name)
        if seen["EndpointStatus"] != "InService":
            raise DeployError(
                f"the endpoint {name} is {seen['EndpointStatus']}: {seen.get('FailureReason', '')}"
            )
        running = {
            image.get("ResolvedImage", "").partition("@")[2]
            for variant in seen["ProductionVariants"]
            for image in variant.get("DeployedImages", [])
        }
        if running != {digest}:
            raise DeployError(
                f"the endpoint {name} runs {', '.join(sorted(running)) or 'no image'} and not the "
                f"image that was built, {digest}"
            )

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        endpoint = self._endpoint(stack.name, aws)
        if endpoint is None or endpoint["EndpointStatus"] in ("Failed", "OutOfService"):
            why = endpoint.get("FailureReason", "") if endpoint else "it was deleted by hand"
            return Seen("failed", f"the endpoint {stack.name} is out: {why}")
        host = aws.client("sagemaker-runtime").meta.endpoint_url
        url = f"{host}/endpoints/{stack.name}/{self.path}"
        size = _size(endpoint["ProductionVariants"][0])
        return Seen(
            "running",
            f"{stack.name} is {endpoint['EndpointStatus']} with {size}",
            url,
            self.snippets(plan, stack, url),
        )

    def snippets(self, plan: Plan, stack: Stack, url: str) -> dict[str, str]:
        """How to call it, as commands and as Python."""
        return _snippets(stack.name, url, plan)

    def predict(self, plan: Plan, body: bytes, content_type: str, aws: Aws) -> Prediction:
        """One InvokeEndpoint. Raises DeployError with the model server's own words."""
        name = stack_name(plan.name)
        client = aws.client("sagemaker-runtime")
        began = time.monotonic()
        try:
            with told(f"call the endpoint {name}"):
                answer = client.invoke_endpoint(
                    EndpointName=name, Body=body, ContentType=content_type
                )
                content = answer["Body"].read()
        except DeployError as error:
            if code_of(error) == "ModelError":
                said = getattr(error.__cause__, "response", {})
                raise DeployError(
                    f"{name} answered {said.get('OriginalStatusCode', 'with an error')}: "
                    f"{str(said.get('OriginalMessage', ''))[:TOLD_ERROR_CHARACTERS]}"
                ) from None
            raise
        latency_ms = (time.monotonic() - began) * 1000
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return prediction(content, answer["ContentType"], status, latency_ms)

    def _endpoint(self, name: str, aws: Aws) -> dict[str, Any] | None:
        try:
            with told(f"look at the endpoint {name}"):
                found: dict[str, Any] = aws.client("sagemaker").describe_endpoint(EndpointName=name)
        except DeployError as error:
            if checks.MISSING in str(error):
                return None
            raise
        return found


def prediction(
    content: bytes, content_type: str, status_code: int, latency_ms: float
) -> Prediction:
    """The answer of a model server; JSON is read."""
    kind = content_type.partition(";")[0].strip()
    return Prediction(
        body=json.loads(content) if kind == "application/json" else content.decode(),
        content_type=kind,
        status_code=status_code,
        latency_ms=round(latency_ms, 3),
    )


def _size(variant: dict[str, Any]) -> str:
    given = variant.get("CurrentServerlessConfig")
    if given:
        return (
            f"{given['MemorySizeInMB']:,} MB and at most {given['MaxConcurrency']} requests at once"
        )
    return f"{variant.get('CurrentInstanceCount', '?')} instances"


def _snippets(name: str, url: str, plan: Plan) -> dict[str, str]:
    body = sample_body(plan.parameters)
    quoted = body.replace("'", "'\\''")
    return {
        "curl": (
            f"curl -s --aws-sigv4 'aws:amz:{plan.region}:sagemaker' "
            '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
            '-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN" '
            f"-H 'Content-Type: application/json' -d '{quoted}' {url}"
        ),
        "aws": (
            f"aws sagemaker-runtime invoke-endpoint --region {plan.region} --endpoint-name {name} "
            "--content-type application/json --cli-binary-format raw-in-base64-out "
            f"--body '{quoted}' /dev/stdout"
        ),
        "python": "\n".join(
            [
                "import boto3",
                "",
                f'client = boto3.client("sagemaker-runtime", region_name="{plan.region}")',
                "answer = client.invoke_endpoint(",
                f'    EndpointName="{name}", ContentType="application/json",',
                f"    Body={body.encode()!r},",
                ")",
                'print(answer["Body"].read().decode())',
            ]
        ),
    }
