"""SageMaker in its variants: CloudFormation change sets, images built in the account."""

from __future__ import annotations

from collections.abc import Iterable

from advisor.errors import InputError
from deploy.aws.asynchronous import Asynchronous
from deploy.aws.bootstrap import Bootstrap
from deploy.aws.leftovers import sagemaker_left
from deploy.aws.realtime import Realtime
from deploy.aws.sagemaker_kind import Kind
from deploy.aws.serverless import Serverless
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stack_target import StackTarget
from deploy.aws.stacks import Stacks
from deploy.aws.transform import Transform
from deploy.aws.wanted import Wanted
from deploy.requests import PlanRequest
from deploy.target import Emit, Finding, Plan, Prediction

KINDS: dict[str, Kind] = {
    kind.variant: kind for kind in (Realtime(), Serverless(), Asynchronous(), Transform())
}


class SageMakerTarget(StackTarget):
    """A managed service in the account that this machine's own AWS credentials belong to."""

    name = "sagemaker"
    variants = tuple(KINDS)

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        return _kind(request.ranked.deploy_variant).findings(request, aws, stacks)

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return _kind(request.ranked.deploy_variant).wanted(request, bundle_hash, settings)

    def service_role(self, bootstrap: Bootstrap) -> str:
        return bootstrap.sagemaker_service_role_arn

    def boundary(self, bootstrap: Bootstrap) -> str:
        return bootstrap.workload_boundary_arn

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        _kind(plan.variant).verify(plan, stack, digest, aws)

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        return _kind(plan.variant).seen(plan, stack, aws)

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """One real request, as the variant takes it. Raises DeployError with the model server's own
        words, InputError for a body that the variant cannot take."""
        return _kind(plan.variant).predict(plan, body, content_type, self._aws(plan.region))

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        return _kind(plan.variant).before_delete(plan, stack, aws, emit)

    def leftovers(self, deployment: str, aws: Aws) -> Iterable[str]:
        return sagemaker_left(deployment, aws)


def _kind(variant: str) -> Kind:
    try:
        return KINDS[variant or Realtime.variant]
    except KeyError:
        raise InputError(
            f"SageMaker has no variant {variant!r}; it has {', '.join(KINDS)}"
        ) from None
