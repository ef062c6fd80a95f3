"""What is really billed, option by option, as the option files say it: a table for people.

`python -m advisor.costs.audit` prints it; docs/method.md holds it, and a test keeps the two alike.
"""

from __future__ import annotations

from advisor.catalog.loader import load_options
from advisor.catalog.schema import Option

# Modules of `advisor.costs` by the column that they fill, in the order of the table.
COLUMNS: dict[str, tuple[str, ...]] = {
    "running": ("instances", "fargate_tasks", "lambda_function", "sagemaker_serverless"),
    "requests": ("lambda_function", "api_gateway", "object_transfer", "queue", "run_storage"),
    "control plane": ("control_plane",),
    "disk": ("disk",),
    "balancer": ("load_balancer",),
    "IPv4": ("addresses",),
    "between zones": ("zone_transfer",),
    "image": ("registry",),
    "model file": ("model_storage",),
    "logs": ("logs",),
    "alarms": ("alarms",),
    "data": ("data_out", "sagemaker_data"),
    "private network": ("private_network",),
}


def table() -> str:
    """Markdown: one row an option, a dot for each thing that has lines, and what has none."""
    head = ("option", "billed while idle", *COLUMNS)
    rows = [_row(option) for option in load_options().values()]
    lines = [
        "| " + " | ".join(head) + " |",
        "|---|---|" + ":-:|" * len(COLUMNS),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]
    for option in load_options().values():
        beside = "; ".join(f"{left.thing}: {_lower(left.because)}" for left in option.outside_bill)
        lines.append(f"* **{option.id}**: {beside}.")
    return "\n".join(lines)


def _row(option: Option) -> tuple[str, ...]:
    return (
        option.id,
        _idle(option),
        *("•" if set(things) & set(option.bill) else "" for things in COLUMNS.values()),
    )


def _idle(option: Option) -> str:
    """What is paid while nobody calls."""
    least = option.number("min_replicas")
    if option.scaling == "per-request" or (least == 0 and option.flag("scale_to_zero")):
        return "nothing running"
    return f"{least:g} replica{'s' if least != 1 else ''} at least, all hours"


def _lower(text: str) -> str:
    first = text.split(" ", 1)[0]
    keep = any(c.isupper() for c in first[1:]) or first in {"SageMaker", "VPC", "AWS", "ECS"}
    return (text if keep else text[0].lower() + text[1:]).rstrip(".")


if __name__ == "__main__":
    print(table())
