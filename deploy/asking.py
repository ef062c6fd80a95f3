"""What the commands of `python -m deploy` share: asking, reading a plan, printing."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from advisor.errors import InputError, UnknownCodeError
from deploy.acceptance import Decision, decided
from deploy.artifact import inspect
from deploy.files import write_atomically
from deploy.target import PLAN_VERSION, Event, Plan

MAX_PLAN_BYTES = 5_000_000
ACCEPT = "accept"


def agreed(what: str, question: str, *, typed: str = "") -> bool:
    """Show it and ask; with `typed` only that very word agrees.

    Raises InputError when there is nobody to ask.
    """
    print(what)
    if not sys.stdin.isatty():
        raise InputError("nobody is there to agree (input is not a terminal); pass --yes to go on")
    choices = f"type {typed} to go on" if typed else "y/N"
    answer = input(f"\n{question} [{choices}] ").strip().lower()
    said = answer == typed if typed else answer in ("y", "yes")
    if not said:
        print("Nothing was changed.")
    return said


def with_decision(parser: argparse.ArgumentParser) -> None:
    """Add --accept-unsafe and --code to a command that takes a model."""
    parser.add_argument(
        "--accept-unsafe", metavar="REASON",
        help="load unknown code with the model, in confinement; asks, and is written down",
    )  # fmt: skip
    parser.add_argument(
        "--code", type=Path, metavar="DIR", help="the .py files of the model's own classes"
    )


def decision_for(model: Path, reason: str | None, code: Path | None) -> Decision | None:
    """What the person at the terminal decides about a model that has unknown code.

    None when nothing was asked for, or the model needs no decision. Blocks for a look at the model.
    Raises InputError when nobody is there to agree, or does not; UnsafeArtifactError for what
    nobody may accept.
    """
    if reason is None:
        if code is not None:
            raise InputError(
                "--code is code that would be run; say with --accept-unsafe REASON why it may be"
            )
        return None
    decision = decided(reason, user() or _login(), code)
    try:
        inspect(model)
    except UnknownCodeError as unknown:
        _agree_to(model, unknown)
        return decision
    print(f"deploy: {model.name} needs no decision: it loads as it is", file=sys.stderr)
    return None


def _agree_to(model: Path, unknown: UnknownCodeError) -> None:
    if not sys.stdin.isatty():
        raise InputError(
            f"nobody is there to accept the code of {model.name} (input is not a terminal); run "
            "this in a terminal"
        )
    for line in unknown.findings:
        print(f"- {line}", file=sys.stderr)
    print(
        "\nIt is loaded in a confined process: no network, no writing, nothing started. A "
        "deployment runs it in its server.\nThe decision is written into the measurement, the "
        "plan and the bundle, with your name and the reason.",
        file=sys.stderr,
    )
    print(f"Type {ACCEPT} to go on: ", end="", file=sys.stderr, flush=True)
    if input().strip() != ACCEPT:
        raise InputError(f"the code of {model.name} was not accepted; nothing was loaded")


def read_plan(path: Path) -> Plan:
    """A plan from a JSON or YAML file. Raises InputError."""
    try:
        if path.stat().st_size > MAX_PLAN_BYTES:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes; that is no plan")
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; name a file that `plan` wrote"
        ) from None
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError):
        raise InputError(
            f"{path} is neither JSON nor YAML; name a file that `plan` wrote"
        ) from None
    try:
        plan = Plan.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise InputError(
            f"{path} is not a plan: {where}: {first['msg']}; make one with python -m deploy plan"
        ) from None
    if plan.plan_version != PLAN_VERSION:
        raise InputError(
            f"{path} has plan_version {plan.plan_version}, this product reads {PLAN_VERSION}; "
            "plan again"
        )
    return plan


def write_plan(path: Path, plan: Plan) -> None:
    """The plan as JSON. Raises InputError."""
    try:
        write_atomically(path, plan.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise InputError(
            f"cannot write the plan to {path}: {error.strerror}; name a file that can be written"
        ) from None


def print_json(data: BaseModel | Sequence[BaseModel]) -> None:
    plain: Any = (
        data.model_dump(mode="json")
        if isinstance(data, BaseModel)
        else [one.model_dump(mode="json") for one in data]
    )
    print(json.dumps(plain, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows of the same length, the first one the heading, in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def with_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")


def show(event: Event) -> None:
    """One event as a line on stderr, so that stdout holds the result alone."""
    line = f"{event.at.astimezone():%H:%M:%S}  {event.step:<8} {event.message}"
    print(line, file=sys.stderr, flush=True)


def user() -> str:
    """The login name of whoever runs this; empty where nobody is logged in."""
    return os.environ.get("USER", "")


def _login() -> str:
    """The name of this process's user; its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
