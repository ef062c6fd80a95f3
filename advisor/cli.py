"""The terminal: recommend, whatif, price, options, prices, schema.

Exit codes: 0 done; 2 the input is wrong (one line on stderr); 3 nothing fits; 1 anything else.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor import terminal
from advisor.errors import InputError, RefreshCancelledError
from advisor.prices.status import dated
from advisor.rule_report import command as rule_report
from advisor.terminal import NOTHING_FITS, OK
from advisor.workload_import import command as workload

if TYPE_CHECKING:
    from advisor.recommendation import Recommendation
    from advisor.requirements import Requirements
    from advisor.scenario import Scenario

FORMATS = ("text", "json", "markdown", "pdf")
FORMAT_OF = {".txt": "text", ".json": "json", ".md": "markdown", ".pdf": "pdf"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one line on stderr."""
    return terminal.run(_parser(), argv)


def _parser() -> argparse.ArgumentParser:
    parser = terminal.Parser(
        prog="python -m advisor",
        description="Managed or self-hosted, which service, how big, at what monthly cost, and why.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    recommend = commands.add_parser("recommend", help="recommend a deployment for requirements")
    recommend.add_argument(
        "requirements", help="a YAML or JSON file, a decision record in JSON, or preset:NAME"
    )
    recommend.add_argument(
        "--format", choices=FORMATS, help="text; with --out, what the file's name says"
    )
    recommend.add_argument("--out", type=Path, metavar="FILE", help="write there, not to stdout")
    recommend.add_argument("--deciders", default="", metavar="NAMES", help="for the record")
    recommend.add_argument("--policies", nargs="+", default=[], metavar="FILE", type=Path)
    recommend.set_defaults(run=_recommend)

    whatif = commands.add_parser("whatif", help="volume, growth, and what runs today")
    whatif.add_argument("requirements", help="a YAML or JSON file, or preset:NAME")
    whatif.add_argument("--what", choices=("volume", "growth", "today", "all"), default="all")
    whatif.add_argument("--format", choices=("text", "json"), default="text")
    whatif.add_argument("--policies", nargs="+", default=[], metavar="FILE", type=Path)
    whatif.add_argument("--low", type=float, default=100, help="fewest requests a month (100)")
    whatif.add_argument("--high", type=float, default=1e9, help="most requests a month (1e9)")
    whatif.add_argument("--months", type=int, default=36, help="months of growth (36)")
    whatif.set_defaults(run=_whatif)

    price = commands.add_parser("price", help="price a bill of usage")
    price.add_argument("usage", type=Path, help="a YAML or JSON file")
    price.add_argument("--format", choices=("text", "json"), default="text")
    price.set_defaults(run=_price)

    options = commands.add_parser("options", help="the comparison table with its sources")
    options.add_argument("id", nargs="?", help="one option")
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.set_defaults(run=_options)

    prices = commands.add_parser("prices", help="the price book")
    actions = prices.add_subparsers(required=True, metavar="ACTION")
    status = actions.add_parser("status", help="how old and how complete the prices are")
    status.add_argument("--format", choices=("text", "json"), default="text")
    status.set_defaults(run=_prices)
    refresh = actions.add_parser("refresh", help="renew prices from the vendors' price lists")
    refresh.add_argument("--provider", required=True, choices=("aws", "azure", "gcp"))
    refresh.add_argument("--region", nargs="+", action="extend", default=[], metavar="R")
    refresh.add_argument("--via", choices=("bulk", "api"), default="bulk", help="for AWS")
    refresh.add_argument("--out", type=Path, metavar="DIR", help="where the new prices go")
    refresh.add_argument(
        "--accept-jumps", action="store_true", help="take prices that move more than threefold"
    )
    refresh.add_argument("--format", choices=("text", "json"), default="text")
    refresh.set_defaults(run=_refresh_prices)
    covered = actions.add_parser("coverage", help="which lines of a bill have no price, and where")
    covered.add_argument("--format", choices=("text", "json"), default="text")
    covered.set_defaults(run=_coverage)

    rule_report.add_parser(commands)
    workload.add_parser(commands)

    schema = commands.add_parser("schema", help="JSON Schema of a file the terminal reads")
    schema.add_argument("what", choices=("requirements", "usage", "policy", "record"))
    schema.set_defaults(run=_schema)
    return parser


def _recommend(arguments: argparse.Namespace) -> int:
    from advisor import whatif
    from advisor.purchase import purchase_choices
    from advisor.recommend import recommend

    kind = _format(arguments.format, arguments.out)
    asked = _scenario(arguments.requirements)
    need = asked.requirements
    answer = recommend(need, policies=arguments.policies)
    answer = whatif.complete(need, answer, policies=arguments.policies)
    choices = purchase_choices(need, answer.winner, policies=arguments.policies)
    answer = answer.model_copy(update={"purchase_choices": choices})
    _write(_written(kind, asked, answer, arguments.deciders), arguments.out)
    return OK if answer.winner else NOTHING_FITS


def _format(asked: str | None, out: Path | None) -> str:
    """The format that was asked for, or that the file's name means. Raises InputError."""
    kind = asked or (FORMAT_OF.get(out.suffix.lower(), "") if out else "text")
    if not kind:
        raise InputError(f"{out} does not say which format; add --format {'|'.join(FORMATS)}")
    if kind == "pdf" and out is None and sys.stdout.isatty():
        raise InputError("a PDF is not for a terminal; add --out FILE, or redirect the output")
    return kind


def _written(kind: str, asked: Scenario, answer: Recommendation, deciders: str) -> bytes:
    from advisor import record, report

    need = asked.requirements
    labels = record.Labels(name=asked.name, notes=asked.notes, deciders=deciders)
    if kind == "pdf":
        return record.pdf(need, answer, **labels)
    text = {
        "json": lambda: record.as_json(need, answer, **labels),
        "markdown": lambda: record.markdown(need, answer, **labels),
        "text": lambda: report.text(need, answer) + "\n",
    }[kind]()
    return text.encode()


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.flush()
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            sys.stdout.write(content.decode())
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; name another file") from None


def _whatif(arguments: argparse.Namespace) -> int:
    from advisor import whatif
    from advisor.recommend import recommend
    from advisor.whatif import text

    need, policies = _need(arguments.requirements), arguments.policies
    answer = recommend(need, policies=policies, doubt=False)
    parts: dict[str, Any] = {}
    said: list[str] = []
    if arguments.what in ("volume", "all"):
        sweep = whatif.volume_sweep(
            need, policies=policies, low=arguments.low, high=arguments.high
        )  # fmt: skip
        parts["volume"] = sweep.model_dump(mode="json")
        said.append(text.volume(sweep))
    if arguments.what in ("growth", "all"):
        grown = whatif.growth(need, arguments.months, policies=policies)
        parts["growth"] = grown.model_dump(mode="json")
        said.append(text.growth(grown))
    if arguments.what in ("today", "all"):
        against = whatif.against_today(need, answer)
        parts["today"] = against.model_dump(mode="json") if against else None
        said.append(text.today(against))
    if arguments.format == "json":
        _print_json(parts)
    else:
        print("\n\n".join(said))
    return OK if answer.winner else NOTHING_FITS


def _need(name: str) -> Requirements:
    """Requirements from a file or from preset:NAME. Raises InputError."""
    return _scenario(name).requirements


def _scenario(name: str) -> Scenario:
    """The same with name and notes, where there are any. Raises InputError."""
    from advisor import scenario
    from advisor.presets import preset

    if name.startswith("preset:"):
        chosen = preset(name.removeprefix("preset:"))
        return scenario.Scenario(chosen.requirements, chosen.name)
    return scenario.load(name)


def _price(arguments: argparse.Namespace) -> int:
    from advisor.costs.usage import load_usage, price_usage
    from advisor.prices import load_book

    bill = price_usage(load_usage(arguments.usage), load_book())
    if arguments.format == "json":
        _print_json(bill.model_dump(mode="json"))
        return OK
    for item in bill.items:
        print(f"{item.service}: ${item.total_usd:,.2f}")
        for line in item.lines:
            unit_price = (
                "unknown" if line.unit_price_usd is None else f"${line.unit_price_usd:.10g}"
            )
            print(
                f"  {line.name}: {line.quantity:,.10g} {line.unit} x {unit_price} = "
                f"${line.usd:,.4f}   [{line.source}, {dated(line.as_of)}]"
            )
    print(f"Total: {'at least ' if bill.at_least else ''}${bill.total_usd:,.2f}")
    return OK


def _options(arguments: argparse.Namespace) -> int:
    from advisor import report
    from advisor.catalog import loader

    chosen = [loader.option(arguments.id)] if arguments.id else list(loader.load_options().values())
    if arguments.format == "json":
        rows = [o.model_dump(mode="json") for o in chosen]
        _print_json(rows[0] if arguments.id else rows)
    elif arguments.id:
        print(report.option(chosen[0]))
    else:
        print(report.options(chosen))
    return OK


def _prices(arguments: argparse.Namespace) -> int:
    from advisor import report
    from advisor.prices import load_book

    status = load_book().status(date.today())
    if arguments.format == "json":
        _print_json(dataclasses.asdict(status))
    else:
        print(report.prices(status))
    return OK


def _refresh_prices(arguments: argparse.Namespace) -> int:
    from advisor import report
    from advisor.prices.refresh import refresh

    try:
        outcome = refresh(
            arguments.provider,
            regions=arguments.region,
            via=arguments.via,
            out=arguments.out,
            accept_jumps=arguments.accept_jumps,
            report=report.Progress(sys.stderr),
        )
    except KeyboardInterrupt:
        raise RefreshCancelledError("stopped; the prices are as they were") from None
    if arguments.format == "json":
        _print_json(dataclasses.asdict(outcome) | {"directory": str(outcome.directory)})
    else:
        print(report.refreshed(outcome))
    return OK


def _coverage(arguments: argparse.Namespace) -> int:
    from advisor import report
    from advisor.costs.coverage import coverage
    from advisor.prices import load_book

    rows = coverage(load_book())
    if arguments.format == "json":
        _print_json([dataclasses.asdict(row) for row in rows])
    else:
        print(report.coverage(rows))
    return OK


def _schema(arguments: argparse.Namespace) -> int:
    if arguments.what == "requirements":
        from advisor import scenario

        _print_json(scenario.schema())
    elif arguments.what == "record":
        from advisor import record

        _print_json(record.schema())
    elif arguments.what == "usage":
        from advisor.costs.usage import Usage

        _print_json(Usage.model_json_schema())
    else:
        from advisor.rules import PolicyFile

        _print_json(PolicyFile.model_json_schema())
    return OK


def _print_json(data: Any) -> None:
    try:
        print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise InputError(f"the answer holds a number that JSON cannot carry: {error}") from error
