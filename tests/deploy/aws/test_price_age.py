"""A plan says when the prices behind its bill are old."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import aws_support
import pytest

from deploy.aws import findings
from deploy.requests import PlanRequest


@pytest.mark.parametrize(
    ("as_of", "ok"), [("undated", False), ("2020-01-01", False), ("2999-01-01", True)]
)
def test_a_plan_says_when_its_prices_are_old(as_of: str, ok: bool) -> None:
    ranked = aws_support.sized(aws_support.need())
    lines = tuple(line.model_copy(update={"as_of": as_of}) for line in ranked.lines)
    request = SimpleNamespace(ranked=ranked.model_copy(update={"lines": lines}))
    found = findings.prices(cast(PlanRequest, request))
    assert (found.check, found.ok, found.blocking) == ("prices", ok, False)
    assert ("older than 90 days or undated" in found.message) is not ok
