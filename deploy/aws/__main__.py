"""An AWS account from a terminal: what is bootstrapped there, and its removal.

python -m deploy.aws status --region REGION
python -m deploy.aws remove --region REGION [--yes]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from advisor import terminal
from deploy.asking import agreed, show
from deploy.aws.bootstrap import STACK_NAME, BootstrapStack
from deploy.aws.stacks import Stacks
from deploy.in_account import in_region


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 the input is wrong, 1 anything else."""
    parser = terminal.Parser(prog="python -m deploy.aws", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, verb in (("status", _status), ("remove", _remove)):
        command = verbs.add_parser(name, help=verb.__doc__)
        command.add_argument("--region", required=True)
        if verb is _remove:
            command.add_argument("--yes", action="store_true", help="do not ask")
        command.set_defaults(run=verb)
    return terminal.run(parser, argv)


def _status(given: argparse.Namespace) -> int:
    """what the account holds of this tool"""
    boot = BootstrapStack(Stacks(in_region(given.region)))
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
    aws = in_region(given.region)
    what = f"The stack {STACK_NAME} in {given.region}, with every image and bundle in it"
    if not given.yes and not agreed(what, "Delete it?"):
        return 1
    removed = BootstrapStack(Stacks(aws)).remove(show)
    print(f"Removed {len(removed)} things" if removed else "There was nothing to remove")
    return 0


if __name__ == "__main__":
    sys.exit(main())
