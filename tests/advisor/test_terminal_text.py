"""What stands on the terminal: reasons on their side, unknown prices as such, numbers for people."""

from __future__ import annotations

from typing import Any

import pytest

from advisor import report
from advisor.purchase import purchase_choices
from advisor.recommend import recommend
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements, parse
from advisor.whatif import complete

STEADY: dict[str, Any] = {
    "model": {"format": "lightgbm", "size_mb": 90, "memory_mb": 900, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 1_051_200_000},
    "service": {"p95_ms": 1500, "cold_starts_ok": False, "availability_percent": 99.9},
    "control": {"hosting": "managed"},
}
QUEUED: dict[str, Any] = {
    "model": {"format": "onnx", "size_mb": 600, "memory_mb": 4000, "service_time_ms": 480_000},
    "traffic": {"mode": "async", "requests_per_month": 300},
}
GERMANY: dict[str, Any] = {
    "model": {"format": "onnx", "size_mb": 400, "memory_mb": 2000, "service_time_ms": 60},
    "traffic": {"mode": "realtime", "requests_per_month": 1_500_000},
    "service": {"p95_ms": 500},
    "placement": {"clouds": ["azure"], "regions": ["germanywestcentral"]},
}
CLUSTER: dict[str, Any] = {
    "model": {"format": "onnx", "size_mb": 400, "memory_mb": 2000, "service_time_ms": 60},
    "traffic": {"mode": "realtime", "requests_per_month": 1_500_000},
    "service": {"p95_ms": 500},
    "placement": {"clouds": ["kubernetes"], "node_hourly_usd": 0.3},
}


def asked(data: dict[str, Any], **control: Any) -> tuple[Requirements, Recommendation]:
    need = parse({**data, "control": {**data.get("control", {}), **control}})
    return need, recommend(need, doubt=False)


def lines_of(text: str, start: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(start)]


def test_a_preference_against_the_winner_is_a_but() -> None:
    need, answer = asked(STEADY)
    text = report.text(need, answer)
    against = [r.because for r in answer.ranking[0].reasons if r.points < 0]
    assert any("the premium of a managed service" in because for because in against)
    assert not set(lines_of(text, "because ")) & {f"because {b}" for b in against}
    assert {f"but {b}" for b in against} <= set(lines_of(text, "but "))


def test_preferences_stand_on_one_side_each_strongest_first() -> None:
    best = asked(STEADY)[1].ranking[0]
    assert {*best.speaks_for, *best.speaks_against} == {*best.reasons, *best.warnings}
    assert all(r.points >= 0 for r in best.speaks_for)
    for side in (best.speaks_for, [r for r in best.speaks_against if r.points]):
        assert [abs(r.points) for r in side] == sorted((abs(r.points) for r in side), reverse=True)


def test_a_winner_that_no_rule_speaks_for_has_the_reasons_of_the_ranking() -> None:
    need, answer = asked(QUEUED, hosting="self-hosted")
    assert not answer.ranking[0].speaks_for
    assert len(lines_of(report.text(need, answer), "because ")) == 3


def test_who_waits_for_nobody_is_not_warned_of_cold_starts() -> None:
    _, answer = asked(QUEUED, hosting="self-hosted")
    best = answer.ranking[0]
    assert best.sizing.cold_start_share > 0.5
    assert "cold-start-tail" not in [w.rule for w in best.warnings]


def test_an_unknown_price_is_never_zero_and_has_the_unit_of_its_line() -> None:
    need, answer = asked(GERMANY)
    unknown = [line for line in answer.ranking[0].lines if line.unit_price_usd is None]
    assert unknown
    assert {line.unit for line in unknown} <= {"GB", "GB-month"}
    for line in unknown:
        (said,) = lines_of(report.text(need, answer), line.name)
        assert "$0.00" not in said
        assert said.count("unknown") == 2  # the price and what it comes to


def test_nodes_of_ones_own_leave_nothing_to_buy_and_their_price_has_a_source() -> None:
    need, answer = asked(CLUSTER)
    assert purchase_choices(need, "kubernetes") == ()
    (said,) = [row for row in report.text(need, answer).splitlines() if "machine-hour" in row]
    assert "[placement.node_hourly_usd, as you gave it]" in said


def test_targets_and_turning_points_have_thousands_separated() -> None:
    need, answer = asked(STEADY)
    text = report.text(need, complete(need, answer))
    assert "of the 1,500 ms target" in text
    turning = lines_of(text, "service.p95_ms: ")
    assert turning
    assert all(row.startswith("service.p95_ms: 1,500 -> ") for row in turning)


def test_ranked_rows_stand_in_columns() -> None:
    need, answer = asked({**STEADY, "control": {}, "team": {"devops_skill": "none"}})
    rows = [row for row in report.text(need, answer).splitlines() if " people " in row]
    rows = [row for row in rows if row.lstrip()[0].isdigit()]
    assert len(rows) > 3
    ends = {row.index(" ms ") for row in rows}
    assert len(ends) == 1


@pytest.mark.parametrize(("per_month", "fewest"), [(300, 0), (30_000_000, 1)])
def test_a_queue_that_sleeps_has_no_fewest_replica(per_month: int, fewest: int) -> None:
    need = parse({
        "model": {"format": "onnx", "size_mb": 600, "memory_mb": 4000, "service_time_ms": 500},
        "traffic": {"mode": "async", "requests_per_month": per_month},
    })  # fmt: skip
    found = recommend(need, doubt=False).option("sagemaker-async")
    assert found is not None
    assert found.replicas.min == fewest
    assert (found.sizing.replica_hours < 730) == (fewest == 0)
