"""The terminal: measure a model on this machine, and convert it to ONNX."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from advisor import terminal
from advisor.errors import InputError
from advisor.terminal import OK
from deploy.asking import decision_for, with_decision
from deploy.files import write_atomically

LEAST_SECONDS, MOST_SECONDS = 0.5, 600.0


def add_commands(commands: argparse._SubParsersAction[terminal.Parser]) -> None:
    """Add `measure` and `convert` to the commands of `python -m deploy`."""
    measure = commands.add_parser("measure", help="time a model on this machine")
    measure.add_argument("model", type=Path, metavar="MODEL", help="the model file")
    measure.add_argument("--sample", type=Path, metavar="FILE", help="rows: JSON, JSON lines, CSV")
    measure.add_argument("--seconds", type=float, default=6, help="spent on timing calls (6)")
    measure.add_argument(
        "--requirements", type=Path, metavar="FILE", help="put the figures into these; with --out"
    )
    measure.add_argument("--out", type=Path, metavar="FILE", help="where the filled in ones go")
    with_decision(measure)
    measure.add_argument("--format", choices=("text", "json"), default="text")
    measure.set_defaults(run=_measure)

    convert = commands.add_parser("convert", help="convert a model to ONNX, with proof")
    convert.add_argument(
        "model", type=Path, metavar="MODEL", help="scikit-learn, XGBoost, LightGBM"
    )
    convert.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    convert.add_argument("--sample", type=Path, metavar="FILE", help="rows to compare besides")
    convert.add_argument(
        "--requirements", type=Path, metavar="FILE", help="say what it saves with these"
    )
    convert.add_argument("--format", choices=("text", "json"), default="text")
    convert.set_defaults(run=_convert)


def _measure(arguments: argparse.Namespace) -> int:
    from advisor import scenario
    from deploy.measure import measure
    from deploy.measurement import text

    if (arguments.requirements is None) != (arguments.out is None):
        raise InputError(
            "--requirements and --out go together: requirements to read, and a file to write"
        )
    if not LEAST_SECONDS <= arguments.seconds <= MOST_SECONDS:
        raise InputError(
            f"--seconds is {arguments.seconds:g}; use {LEAST_SECONDS:g} to {MOST_SECONDS:g}"
        )
    asked = scenario.load(arguments.requirements) if arguments.requirements else None
    found = measure(
        arguments.model,
        sample=arguments.sample,
        seconds=arguments.seconds,
        decision=decision_for(arguments.model, arguments.accept_unsafe, arguments.code),
        progress=_tell if sys.stderr.isatty() else None,
    )
    if arguments.format == "json":
        data = found.model_dump(mode="json")
        data["service_time_ms"] = found.service_time_ms.model_dump(mode="json")
        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        print(text(found))
    if asked is not None:
        notes = [asked.notes, found.accepted.sentence if found.accepted else ""]
        filled = scenario.Scenario(
            found.into(asked.requirements), asked.name, "\n".join(text for text in notes if text)
        )
        try:
            write_atomically(arguments.out, scenario.dumps(filled))
        except OSError as error:
            raise InputError(
                f"cannot write {arguments.out}: {error.strerror}; name a file that can be written"
            ) from None
        print(f"The requirements with these figures are in {arguments.out}.", file=sys.stderr)
    return OK


def _convert(arguments: argparse.Namespace) -> int:
    from advisor.requirements import load
    from deploy.conversion import text
    from deploy.convert import convert

    need = load(arguments.requirements) if arguments.requirements else None
    found = convert(
        arguments.model,
        arguments.out,
        sample=arguments.sample,
        need=need,
        progress=_tell if sys.stderr.isatty() else None,
    )
    if arguments.format == "json":
        print(json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        print(text(found))
    return OK


def _tell(what: str, share: float) -> None:
    print(f"{share:4.0%}  {what}", file=sys.stderr, flush=True)
