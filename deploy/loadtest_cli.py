"""The terminal: load a deployment and hold the response times against the prediction."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from advisor import terminal
from advisor.errors import InputError
from advisor.terminal import OK
from deploy.files import write_atomically


def add_commands(commands: argparse._SubParsersAction[terminal.Parser]) -> None:
    """Add `loadtest` to the commands of `python -m deploy`."""
    load = commands.add_parser(
        "loadtest", help="load a deployment and check the predicted response times"
    )
    load.add_argument("place", metavar="NAME|URL", help="a deployment, or its address")
    rates = load.add_mutually_exclusive_group()
    rates.add_argument("--rates", metavar="5,10,20", help="requests a second, one after the other")
    rates.add_argument(
        "--utilisation", metavar="0.3,0.7", help="shares of the calibrated capacity (0.3,0.5,0.7)"
    )
    load.add_argument("--seconds", type=float, help="at each rate (10)")
    load.add_argument("--sample", type=Path, metavar="FILE", help="rows: JSON, JSON lines, CSV")
    load.add_argument("--workers", type=int, help="requests served at once, where nobody else says")
    load.add_argument("--out", type=Path, metavar="FILE", help="the result as JSON")
    load.add_argument("--format", choices=("text", "json"), default="text")
    load.set_defaults(run=_load)


def _load(arguments: argparse.Namespace) -> int:
    from deploy.loadtest.found import text
    from deploy.loadtest.run import load_test

    rates = _numbers("--rates", arguments.rates)
    utilisation = _numbers("--utilisation", arguments.utilisation)
    with _interrupt() as interrupted:
        found = load_test(
            arguments.place,
            rates=rates,
            utilisation=utilisation,
            seconds=arguments.seconds,
            sample=arguments.sample,
            workers=arguments.workers,
            progress=_tell if sys.stderr.isatty() else None,
            cancelled=lambda: bool(interrupted),
        )
    as_json = found.model_dump(mode="json") | {"verdict": found.verdict.model_dump(mode="json")}
    if arguments.format == "json":
        print(terminal_json(as_json))
    else:
        print(text(found))
    if arguments.out is not None:
        try:
            write_atomically(arguments.out, terminal_json(as_json) + "\n")
        except OSError as error:
            raise InputError(
                f"cannot write {arguments.out}: {error.strerror}; name a file that can be written"
            ) from None
    if interrupted:
        print("deploy: stopped; this is what was measured until then", file=sys.stderr)
    return OK


def terminal_json(data: object) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=False)


def _numbers(name: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or any(not 0 < value < float("inf") for value in found):
        raise InputError(f"{name} is {text!r}; give numbers above 0 with commas, like 5,10,20")
    return found


@contextmanager
def _interrupt() -> Iterator[list[int]]:
    """Ctrl-C once ends the test with what there is; twice ends the program as ever."""
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(what: str, share: float) -> None:
    print(f"{share:4.0%}  {what}", file=sys.stderr, flush=True)
