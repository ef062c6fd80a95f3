"""What the targets of containers share: the bootstrap's role and boundary for them."""

from __future__ import annotations

from deploy.aws.bootstrap import Bootstrap
from deploy.aws.stack_target import StackTarget


class ContainerTarget(StackTarget):
    """A target whose stacks CloudFormation makes as the bootstrap's role for containers."""

    def service_role(self, bootstrap: Bootstrap) -> str:
        return bootstrap.container_service_role_arn

    def boundary(self, bootstrap: Bootstrap) -> str:
        return bootstrap.container_boundary_arn
