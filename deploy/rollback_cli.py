"""The terminal's `rollback`: the model version before the last update serves again."""

from __future__ import annotations

import argparse

from advisor import terminal
from advisor.errors import InputError
from advisor.terminal import FAILED
from deploy.asking import agreed, user, with_format
from deploy.move_cli import Carry
from deploy.plan_words import in_words


def add_commands(commands: argparse._SubParsersAction[terminal.Parser], carry: Carry) -> None:
    """`carry` begins a run and follows it to its end."""
    back = commands.add_parser(
        "rollback", help="let the model version before the last update serve again"
    )
    back.add_argument("name", metavar="NAME")
    back.add_argument("--yes", action="store_true", help="do not ask")
    with_format(back)
    back.set_defaults(run=lambda arguments: _rollback(arguments, carry))


def _rollback(arguments: argparse.Namespace, carry: Carry) -> int:
    from deploy import rollback, runs
    from deploy.registry import target

    begun = rollback.active(arguments.name)
    if begun is not None:
        return carry(lambda: begun, arguments.format)
    plan = rollback.plan_rollback(arguments.name)
    found = runs.deployment(arguments.name)
    what = "\n".join([*rollback.in_words(found.plan, plan), "", in_words(plan)])
    try:
        if not arguments.yes and not agreed(what, f"Roll {found.name} back?"):
            target(plan.target).discard(plan)
            return FAILED
    except InputError:
        target(plan.target).discard(plan)
        raise
    return carry(
        lambda: runs.start_rollback(found.name, plan, by=user()),
        arguments.format,
    )
