"""Run every fault test and write the table of target, fault and outcome into docs/faults.md.

python tools/fault_table.py                 all of it: about an hour on a small machine
python tools/fault_table.py --options ec2   of these options only; the others' rows stay as they are
python tools/fault_table.py --rows FILE …   no run: the rows of earlier ones (ADVISOR_FAULT_ROWS)
python tools/fault_table.py --state         no run: which rows are older than deploy/ as it is
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "deploy"))
from fault_rows import state  # noqa: E402 - of the tests, which are no package

PAGE = ROOT / "docs" / "faults.md"
TESTS = (
    "tests/deploy/aws/test_faults.py", "tests/deploy/aws/test_faults_of_updates.py",
    "tests/deploy/targets/test_local_faults.py",
)  # fmt: skip
HERE, TESTS_HERE = "docker-host", "test_local_faults"  # of one option, which they do not name
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
FAULTS = (
    "throttling", "access denied", "quota", "time-out", "expired credential",
    "a resource fails to create", "killed",
)  # fmt: skip
SAID_CHARACTERS = 150
NAMES = (  # what differs from run to run
    (re.compile(r"arn:aws:[\w:/.-]+"), "…"), (re.compile(r"-[0-9a-f]{12,}\b"), "-…"),
    (re.compile(r"\bprocess \d+"), "process …"), (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:…"),
    (re.compile(r"/\S*/"), "…/"),
)  # fmt: skip
Row = dict[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--options", nargs="+", default=[], metavar="OPTION_ID")
    parser.add_argument("--rows", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--state", action="store_true")
    given = parser.parse_args()
    if given.state:
        return _compare(PAGE.read_text(encoding="utf-8"))
    if given.rows:
        code, rows = 0, [row for file in given.rows for row in _read(file)]
    else:
        code, rows = _run(given.options)
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    PAGE.write_text(f"{head}{BEGIN}\n{_table(rows, old)}{END}{tail}", encoding="utf-8")
    print(f"{len(rows)} faults in {PAGE.relative_to(ROOT)}")
    return code


def _run(options: list[str]) -> tuple[int, list[Row]]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "rows.jsonl")
        file.touch()
        named = (TESTS_HERE if option == HERE else f"[{option}]" for option in options)
        chosen = ["-k", " or ".join(named)] if options else []
        command = [sys.executable, "-m", "pytest", "-q", *TESTS, *chosen]
        environment = os.environ | {"ADVISOR_FAULT_ROWS": str(file)}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        return done.returncode, _read(file)


def _read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _table(rows: list[Row], old: str) -> str:
    """A section for each target; those of targets without new rows stay."""
    sections = {part.split("\n", 1)[0]: f"### {part}" for part in old.split("### ")[1:]}
    by_target: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_target[row["target"]].append(row)
    for target, own in by_target.items():
        sections[target] = f"### {target}\n\n{_section(own)}\n{_seen(own)}{_missing(own)}\n\n"
    return "\n" + "".join(sections[target] for target in sorted(sections))


def _seen(rows: list[Row]) -> str:
    days, states = (sorted({row[what] for row in rows}) for what in ("day", "state"))
    return f"Seen {' and '.join(days)}, deploy/ {' and '.join(states)}."


def _compare(page: str) -> int:
    print(f"deploy/ is {state()}")
    for part in page.partition(BEGIN)[2].partition(END)[0].split("### ")[1:]:
        name, seen = part.split("\n", 1)[0], part.partition("\nSeen ")[2].split(".")[0]
        print(f"{name}: seen {seen}" + ("" if seen.endswith(f"deploy/ {state()}") else " (older)"))
    return 0


def _section(rows: list[Row]) -> str:
    lines = ["| fault | during | at | outcome | for example, told |", "|---|---|---|---|---|"]
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["fault"], row["verb"], row["outcome"]].append(row)
    order = sorted(groups, key=lambda g: (FAULTS.index(g[0]) if g[0] in FAULTS else 99, g[1:]))
    for fault, verb, outcome in order:
        found = groups[fault, verb, outcome]
        where = sorted({row["where"] for row in found})
        what = where[0] if len(where) == 1 else f"{len(where)} {_kind(where[0])}"
        said = next((row["said"] for row in found if row["said"]), "")
        lines.append(f"| {fault} | {verb} | {what} | {outcome} | {_cell(said)} |")
    return "\n".join(lines) + "\n"


def _missing(rows: list[Row]) -> str:
    """Which faults the run was cut short of, where calls of AWS were struck."""
    seen = {row["fault"] for row in rows}
    missing = [fault for fault in FAULTS if fault not in seen]
    if not missing or "time-out" not in seen:
        return ""
    return f" Not run to the end: {', '.join(missing)} still missing here."


def _kind(where: str) -> str:
    if where.startswith(("AWS::", "Kubernetes ")) or where == "the image's build":
        return "kinds of resource"
    return "calls" if "." in where else "places"


def _cell(text: str) -> str:
    for pattern, instead in NAMES:
        text = pattern.sub(instead, text)
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= SAID_CHARACTERS else text[: SAID_CHARACTERS - 1] + "…"


if __name__ == "__main__":
    sys.exit(main())
