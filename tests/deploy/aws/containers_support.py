"""What the tests of containers share: options, and what may be left in an account."""

from __future__ import annotations

from emulator.client import Emulator

from advisor.requirements import Requirements
from advisor.vocabulary import ModelFormat

FARGATE = "ecs-fargate"
BOOTSTRAP = "model-deployment-advisor"
GONE = (
    "made", "groups_of_machines", "running", "alarms", "networks", "groups", "balancers", "apis",
    "schedules", "functions", "clusters",
)  # fmt: skip
EMPTY = ("stacks", "buckets", "repositories", "projects", "roles", "policies", "log_groups", *GONE)


def emptied(emulator: Emulator) -> bool:
    """Nothing at all is in the account."""
    state = emulator.state()
    for what in EMPTY:
        assert not state[what], (what, state[what])
    return True


def only_the_bootstrap_is_left(emulator: Emulator) -> bool:
    """No deployment, no image, no upload; plans may wait."""
    state = emulator.state()
    for what in GONE:
        assert not state[what], (what, state[what])
    assert list(state["repositories"].values()) == [[]]
    assert list(state["buckets"].values()) == [[]]
    stacks = dict(state["stacks"])
    assert stacks.pop(BOOTSTRAP) == "CREATE_COMPLETE"
    assert set(stacks.values()) <= {"REVIEW_IN_PROGRESS"}
    return True


def smaller(requirements: Requirements) -> Requirements:
    """The same answers for an ONNX model."""
    model = requirements.model.model_copy(update={"format": ModelFormat.onnx})
    return requirements.model_copy(update={"model": model})
