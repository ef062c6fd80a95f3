"""What a variant of the SageMaker target has to say; each is a small module beside this one."""

from __future__ import annotations

import abc

from deploy.aws.session import Aws, AwsSettings
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import Wanted
from deploy.requests import PlanRequest
from deploy.target import Emit, Finding, Plan, Prediction


class Kind(abc.ABC):
    """One way that SageMaker runs a model. The methods are those of `StackTarget`."""

    variant: str

    @abc.abstractmethod
    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]: ...

    @abc.abstractmethod
    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted: ...

    @abc.abstractmethod
    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None: ...

    @abc.abstractmethod
    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen: ...

    @abc.abstractmethod
    def predict(self, plan: Plan, body: bytes, content_type: str, aws: Aws) -> Prediction: ...

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        return []
