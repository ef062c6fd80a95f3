"""An AWS account from a terminal: what is bootstrapped there, its removal, and a proof.

python -m deploy.aws status --region REGION
python -m deploy.aws remove --region REGION [--yes]
python -m deploy.aws smoke  --region REGION MODEL [--option OPTION_ID] [--yes]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from advisor.catalog.loader import option
from advisor.errors import AdvisorError, InputError
from advisor.requirements import parse
from deploy.artifact import BYTES_IN_MB, inspect
from deploy.aws.bootstrap import STACK_NAME, BootstrapStack
from deploy.aws.session import Aws
from deploy.aws.stack_target import StackTarget
from deploy.aws.stacks import Stacks
from deploy.planning import plan_deployment
from deploy.registry import target_for
from deploy.sample import sample_request
from deploy.target import Event

SMOKE = "smoke-test"
OPTION = "sagemaker-realtime"
SECONDS_IN_MINUTE = 60


def main(arguments: list[str]) -> int:
    """Exit code: 0 done, 2 the input is wrong, 1 anything else."""
    parser = argparse.ArgumentParser("python -m deploy.aws", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    for name, verb in (("status", _status), ("remove", _remove), ("smoke", _smoke)):
        command = verbs.add_parser(name, help=verb.__doc__)
        command.add_argument("--region", required=True)
        if name != "status":
            command.add_argument("--yes", action="store_true", help="do not ask")
        if name == "smoke":
            command.add_argument("model", type=Path, metavar="MODEL")
            command.add_argument("--option", default=OPTION, help=f"{OPTION} if left out")
        command.set_defaults(run=verb)
    given = parser.parse_args(arguments)
    try:
        code: int = given.run(given)
    except AdvisorError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return code


def _status(given: argparse.Namespace) -> int:
    """what the account holds of this tool"""
    boot = BootstrapStack(Stacks(Aws(given.region)))
    found = boot.found()
    if found is None:
        print(f"Nothing in {given.region}: the first apply makes the stack {STACK_NAME}")
        return 0
    print(f"{STACK_NAME}: {'current' if boot.is_current() else 'from an older version'}")
    print(f"  bucket      {found.bucket}\n  repository  {found.repository_uri}")
    for stack in boot.stacks():
        print(f"  {stack.name}: {stack.status}")
    return 0


def _remove(given: argparse.Namespace) -> int:
    """empty and delete the bootstrap stack; refused while a deployment stands"""
    if not _agreed(given, f"Delete the stack {STACK_NAME} with every image and bundle in it?"):
        return 1
    removed = BootstrapStack(Stacks(Aws(given.region))).remove(_say)
    print(f"Removed {len(removed)} things" if removed else "There was nothing to remove")
    return 0


def _smoke(given: argparse.Namespace) -> int:
    """deploy a model for real, ask it, destroy everything, tell how long each took"""
    artifact = inspect(given.model)
    sample = sample_request(artifact.signature)
    need = parse(
        {
            "model": {
                "format": artifact.format,
                "size_mb": max(artifact.size_mb, 1 / BYTES_IN_MB),
                "memory_mb": 500 + 5 * artifact.size_mb,
                "service_time_ms": 20,
            },
            "traffic": {"mode": _mode(given.option), "requests_per_month": 1000},
            "service": {"availability_percent": 99},
            "placement": {"regions": [given.region], "arm": False},
        }
    )
    target = target_for(given.option)
    if not isinstance(target, StackTarget):
        raise InputError(f"{given.option} is not deployed to AWS by this product; name one that is")
    plan = plan_deployment(given.option, given.model, need, name=SMOKE)
    for resource in plan.resources:
        print(f"  {resource.action} {resource.kind} {resource.name} {resource.detail}")
    ask = (
        f"Run this in account {plan.account}, at ${plan.monthly_usd:,.2f} a month while it stands?"
    )
    if not _agreed(given, ask):
        target.discard(plan)
        return 1
    took: dict[str, float] = {}
    began = time.monotonic()
    try:
        target.apply(plan, _say)
        took["apply"] = time.monotonic() - began
        if sample is not None:
            answer = target.predict(plan, sample.body, sample.content_type)
            print(f"Prediction in {answer.latency_ms:.1f} ms: {str(answer.body)[:200]}")
    finally:
        began = time.monotonic()
        report = target.destroy(plan, _say)
        took["destroy"] = time.monotonic() - began
    for verb, seconds in took.items():
        print(f"{verb} took {seconds / SECONDS_IN_MINUTE:.1f} minutes")
    print(f"Left behind: {', '.join(report.left_behind) or 'nothing'}; kept: {report.kept}")
    return 1 if report.left_behind else 0


def _mode(option_id: str) -> str:
    """What the option is asked for: an answer at once where it gives one."""
    modes = [mode.value for mode in option(option_id).modes]
    return "realtime" if "realtime" in modes else modes[-1]


def _agreed(given: argparse.Namespace, question: str) -> bool:
    return given.yes or input(f"{question} [y/N] ").strip().lower() == "y"


def _say(event: Event) -> None:
    print(f"{event.at:%H:%M:%S} {event.step:<9} {event.message}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
