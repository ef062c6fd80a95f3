"""docs/deploying-proofs.md: a column for each option that is deployed on AWS, and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from advisor.catalog.loader import load_options

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deploying-proofs.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
AWS_TARGETS = {"sagemaker", "lambda_api", "ecs", "ec2", "eks", "batch"}


def test_every_option_on_aws_has_a_column_and_each_row_is_full() -> None:
    table = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line.count("|") > 5]
    columns = [cell.strip() for cell in table[0][1:]]
    options = {o.id for o in load_options().values() if o.deploy.target in AWS_TARGETS}
    assert {*columns} == {*options, "docker-host"}
    for row in table[2:]:
        assert len(row) == len(columns) + 1, row
        assert {cell.strip() for cell in row[1:]} <= {"q", "s", "h", "–"}, row


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 15
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in found, (file, name)
