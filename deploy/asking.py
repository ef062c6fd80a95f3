"""What the commands of `python -m deploy` share: asking, reading a plan, printing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from advisor.errors import InputError
from deploy.files import write_atomically
from deploy.target import PLAN_VERSION, Event, Plan

MAX_PLAN_BYTES = 5_000_000


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
    return os.environ.get("USER", "")
