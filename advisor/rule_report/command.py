"""`python -m advisor rules`: the rules in force, and what is wrong with them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from advisor.catalog.loader import load_options
from advisor.rule_report.findings import Finding, RuleReport, report_on
from advisor.rules import RuleSet, load_rules

TITLES = {
    "never-fires": "Never fires",
    "overlap": "Always fire together",
    "contradiction": "Contradict",
}


def add_parser(commands: Any) -> None:
    """The command `rules` with its options."""
    parser = commands.add_parser("rules", help="the rules in force, and a report on them")
    parser.add_argument("--policies", nargs="+", default=[], metavar="FILE", type=Path)
    parser.add_argument(
        "--report", action="store_true", help="find rules that never fire, overlap or contradict"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the rules or report on them. Raises RuleError."""
    rules = load_rules(arguments.policies)
    if arguments.report:
        found = report_on(rules)
        print(_json(found.model_dump(mode="json")) if arguments.format == "json" else text(found))
    elif arguments.format == "json":
        print(_json(listed(rules)))
    else:
        print("\n".join(_lines(rules)))
    return 0


def listed(rules: RuleSet) -> list[dict[str, Any]]:
    """The rules as data: what they are, where they stand, which options they are asked for."""
    options = load_options().values()
    return [
        {
            "id": one.rule.id,
            "kind": one.rule.kind,
            "phase": one.rule.phase,
            "policy": one.policy,
            "file": one.file,
            "options": [o.id for o in options if one.rule.applies_to(o)],
            "when": one.rule.condition,
            "because": one.rule.sentence,
            "source": one.rule.source,
        }
        for one in rules.checked
    ]


def text(found: RuleReport) -> str:
    """The report for a terminal."""
    out = [f"{found.rules} rules tried on {found.probes:,} requirements."]
    for kind, title in TITLES.items():
        of = found.of(kind)
        out += ["", f"{title}: {len(of) or 'none'}"]
        for one in sorted(of, key=lambda f: not f.always):
            out += _finding(one)
    return "\n".join(out)


def _finding(one: Finding) -> Sequence[str]:
    lines = [f"  {one.because}"]
    if one.options:
        lines.append(f"    on {', '.join(one.options)}")
    if one.example:
        shown = yaml.safe_dump(one.example, default_flow_style=True, sort_keys=False, width=1000)
        lines.append(f"    for example with {shown.strip()}")
    return lines


def _lines(rules: RuleSet) -> list[str]:
    rows = listed(rules)
    width = max(len(row["id"]) for row in rows)
    everything = len(load_options())
    return [
        f"{row['id']:<{width}}  {row['kind']:<7}  {row['phase']:<4}  "
        f"{len(row['options']):>2} of {everything} options  {row['policy'] or 'built-in'}"
        for row in rows
    ]


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
