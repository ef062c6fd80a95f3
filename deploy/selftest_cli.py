"""The terminal: prove a target with a real deployment that is taken down again."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from advisor import terminal
from advisor.errors import InputError
from advisor.terminal import FAILED, OK
from deploy.asking import agreed, show
from deploy.files import write_atomically
from deploy.target import Plan

MAX_USD = 5.0


def add_commands(commands: argparse._SubParsersAction[terminal.Parser]) -> None:
    """Add `selftest` to the commands of `python -m deploy`."""
    test = commands.add_parser(
        "selftest", help="deploy an example, ask it, destroy it, print a report (Markdown)"
    )
    test.add_argument("--target", required=True, metavar="OPTION_ID", help="e.g. ecs-fargate")
    test.add_argument("--region", help="where, for an option of a cloud")
    test.add_argument("--model", type=Path, metavar="FILE", help="not the example, but this one")
    test.add_argument(
        "--max-usd",
        type=_usd,
        default=MAX_USD,
        metavar="N",
        help=f"refuse what could cost more until it takes itself down ({MAX_USD:g})",
    )
    test.add_argument("--out", type=Path, metavar="FILE", help="the report to a file as well")
    test.add_argument("--yes", action="store_true", help="do not ask")
    test.set_defaults(run=_selftest)


def _selftest(arguments: argparse.Namespace) -> int:
    from deploy import selftest
    from deploy.registry import target_for

    model = arguments.model or selftest.EXAMPLE
    plan, planned_s = selftest.prepare(arguments.target, model, arguments.region, arguments.max_usd)
    try:
        go = arguments.yes or agreed(_what(plan), "Deploy, ask and destroy it?", typed="yes")
    except BaseException:
        target_for(plan.option).discard(plan)
        raise
    if not go:
        target_for(plan.option).discard(plan)
        return FAILED
    report = selftest.carry_out(plan, planned_s, model, show)
    print(report.markdown())
    if arguments.out is not None:
        try:
            write_atomically(arguments.out, report.markdown() + "\n")
        except OSError as error:
            raise InputError(
                f"cannot write the report to {arguments.out}: {error.strerror}; it is above"
            ) from None
    return OK if report.ok else FAILED


def _what(plan: Plan) -> str:
    from deploy.selftest import most_usd

    most = most_usd(plan)
    lines = [
        f"Deployment    {plan.name} ({plan.option} on target {plan.target})",
        f"Account       {plan.account}",
        f"Region        {plan.region}",
        f"Costs         at most ${most or 0:,.2f} until it takes itself down, by the estimate",
        f"Takes about   {plan.expected_minutes:g} min, and the removal",
    ]
    lines += [f"Makes         {r.kind} {r.name}" for r in plan.resources if r.action != "keep"]
    return "\n".join(lines)


def _usd(text: str) -> float:
    try:
        usd = float(text)
    except ValueError:
        usd = math.nan
    if not (math.isfinite(usd) and usd >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no sum of US dollars; write it like 5")
    return usd
