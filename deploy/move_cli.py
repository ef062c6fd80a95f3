"""The terminal's `move`: a deployment to another target, the old one serving until the new is proven."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from advisor import terminal
from advisor.errors import InputError
from advisor.terminal import FAILED
from deploy.asking import agreed, user, with_format
from deploy.target import Plan

Carry = Callable[[Callable[[], str], str], int]


def add_commands(commands: argparse._SubParsersAction[terminal.Parser], carry: Carry) -> None:
    """`carry` begins a run and follows it to its end."""
    move = commands.add_parser(
        "move", help="deploy elsewhere, prove it, switch over, remove the old one"
    )
    move.add_argument("name", metavar="NAME")
    move.add_argument("--to", required=True, metavar="OPTION_ID", help="or TARGET:VARIANT")
    move.add_argument(
        "--requirements", type=Path, metavar="FILE", help="other answers than it was planned with"
    )
    move.add_argument(
        "--sample", type=Path, metavar="FILE", help="the JSON request that both must answer alike"
    )
    move.add_argument("--port", type=int, help="on this machine: listen here, not on a free port")
    move.add_argument("--public", action="store_true", help="reachable from the internet")
    move.add_argument("--keep-old", action="store_true", help="leave the old one standing")
    move.add_argument("--yes", action="store_true", help="do not ask")
    move.add_argument("--policies", nargs="+", default=[], metavar="FILE", type=Path)
    with_format(move)
    move.set_defaults(run=lambda arguments: _move(arguments, carry))


def _move(arguments: argparse.Namespace, carry: Carry) -> int:
    from advisor.requirements import load
    from deploy import moving, runs
    from deploy.registry import target

    found = runs.deployment(arguments.name)
    sample = moving.sample_of(found.plan, _read(arguments.sample))
    plan = moving.plan_move(
        found,
        moving.taken(runs.deployments()),
        moving.option_of(arguments.to),
        load(arguments.requirements) if arguments.requirements else None,
        public=arguments.public,
        owner=user(),
        policies=arguments.policies,
        settings={} if arguments.port is None else {"port": arguments.port},
        warn=lambda said: print(f"deploy: {said}", file=sys.stderr),
    )
    what = _in_words(found.plan, plan, keep_old=arguments.keep_old)
    try:
        if not arguments.yes and not agreed(what, f"Move {found.name}?"):
            target(plan.target).discard(plan)
            return FAILED
    except InputError:
        target(plan.target).discard(plan)
        raise
    return carry(
        lambda: runs.start_move(found.name, plan, sample, keep_old=arguments.keep_old, by=user()),
        arguments.format,
    )


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        body = path.read_bytes()
        body.decode()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; name a file with a request"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text; name a file with a request in JSON") from None
    return body


def _in_words(old: Plan, new: Plan, *, keep_old: bool) -> str:
    from deploy.moving import in_words

    lines = in_words(old, new)
    lines += [f"Makes {r.kind} {r.name}" for r in new.resources]
    end = "stays, and bills" if keep_old else "is removed once the new one has proven itself"
    return "\n".join([*lines, f"The old one serves until then and {end}"])
