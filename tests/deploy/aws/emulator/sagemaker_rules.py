"""What SageMaker and Application Auto Scaling refuse, beyond the shapes of the registry schemas."""

from __future__ import annotations

from typing import Any

INSTANCES = "sagemaker:variant:DesiredInstanceCount"
READY = "sagemaker:variant:DesiredProvisionedConcurrency"
MEMORY_STEP_MB = 1024


def serverless_checks(given: dict[str, Any], model: dict[str, Any] | None) -> None:
    """Memory in steps, no more kept ready than answered at once, no isolation and no VPC."""
    if given["MemorySizeInMB"] % MEMORY_STEP_MB:
        raise ValueError(f"MemorySizeInMB {given['MemorySizeInMB']} is no multiple of 1024")
    if given.get("ProvisionedConcurrency", 0) > given["MaxConcurrency"]:
        raise ValueError("ProvisionedConcurrency must be less than or equal to MaxConcurrency")
    for refused in ("EnableNetworkIsolation", "VpcConfig"):
        if model and model.get(refused):
            raise ValueError(f"Serverless endpoints do not support {refused}")


def scaling_checks(given: dict[str, Any], variant: dict[str, Any], is_async: bool) -> None:
    """The dimension is that of the variant; only a queue goes to zero."""
    ready = variant.get("ServerlessConfig", {}).get("ProvisionedConcurrency", 0)
    wanted = READY if "ServerlessConfig" in variant else INSTANCES
    if given["ScalableDimension"] != wanted:
        raise ValueError(f"Unsupported scalable dimension: {given['ScalableDimension']}")
    if wanted == READY and not ready:
        raise ValueError("The variant has no ProvisionedConcurrency")
    if given["MinCapacity"] < (0 if is_async else 1):
        raise ValueError("MinCapacity cannot be 0")
    names = [action["ScheduledActionName"] for action in given.get("ScheduledActions", [])]
    if len(set(names)) != len(names):
        raise ValueError("Scheduled actions of the same name")
