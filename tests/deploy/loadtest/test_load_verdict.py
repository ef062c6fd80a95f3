"""What counts, and the sentence at the end."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from deploy.loadtest.found import Calibration, LoadTest, Point, judge, text
from deploy.loadtest.measured import point, unsteadiness
from deploy.loadtest.predicted import Predicted


def measured(
    p95: float | None,
    predicted: float | None = 100.0,
    *,
    use: float = 0.5,
    interval: tuple[float, float] = (80, 130),
    **more: object,
) -> Point:
    fields: dict[str, object] = {
        "rate_per_s": 10.0, "sent_per_s": 10.0, "answered": 100, "refused": 0, "failed": 0,
        "not_sent": 0, "failures": {}, "p50_ms": 20.0, "p95_ms": p95, "p99_ms": 200.0,
        "mean_ms": 30.0, "sender_late_ms": 0.2, "valid": True, "stopped": False,
        "predicted": Predicted(
            utilisation=use, p95_ms=predicted, low_ms=interval[0], high_ms=interval[1]
        ),
    }  # fmt: skip
    return Point.model_validate(fields | more)


def test_within_the_tolerance_it_held_and_says_how_well() -> None:
    verdict = judge((measured(95.0), measured(89.0, use=0.7)), 95)
    assert verdict.held is True
    assert verdict.within == pytest.approx(100 / 89 - 1)
    assert verdict.sentence == "Prediction held within 13 % up to 70% use."


def test_a_miss_names_the_worst_rate() -> None:
    verdict = judge((measured(95.0), measured(200.0, rate_per_s=40.0)), 95)
    assert verdict.held is False
    assert "at 40 requests a second p95 was 200 ms, and 100 ms was predicted" in verdict.sentence
    assert "50% off" in verdict.sentence


def test_above_the_steady_use_the_interval_counts() -> None:
    assert judge((measured(129.0, 90.0, use=0.85),), 95).held is True
    assert judge((measured(131.0, 125.0, use=0.85),), 95).held is False


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"valid": False}, "could not keep up"),
        ({"stopped": True}, "was stopped"),
        ({"answered": 49}, "too few answers"),
        ({"p95_ms": None}, "no answers"),
    ],
)
def test_what_does_not_count_proves_nothing(more: dict[str, object], said: str) -> None:
    verdict = judge(
        (measured(**{"p95": 300.0} | more) if "p95_ms" not in more else measured(None),), 95
    )
    assert verdict.held is None
    assert said in verdict.sentence


def counted(seen: list[tuple[float, float, str]], *, stopped: bool = False) -> Point:
    at = Predicted(utilisation=0.5, p95_ms=10, low_ms=8, high_ms=12)
    schedule = np.linspace(0, 10, len(seen), endpoint=False)
    return point({"seen": seen, "stopped": stopped}, schedule, 10.0, 10.0, 95, 0.0, at)


def test_refusals_and_errors_are_counted_apart_and_not_timed() -> None:
    seen = [(0.1, 10.0, "200")] * 80 + [(0.1, 0.5, "429")] * 15 + [(0.1, 1.0, "500")] * 5
    found = counted(seen)
    assert (found.answered, found.refused, found.failed) == (80, 15, 5)
    assert found.failures == {"500": 5}
    assert found.p95_ms == 10.0
    assert found.valid


def test_a_sender_that_is_late_makes_the_rate_count_for_nothing() -> None:
    assert counted([(0.4, 10.0, "200")] * 100).valid
    assert not counted([(2.0, 10.0, "200")] * 100).valid
    # Two milliseconds are nothing beside a second.
    assert counted([(2.0, 1000.0, "200")] * 100).valid
    assert not counted([(0.1, 10.0, "200")] * 99 + [(0.0, 0.0, "not sent")]).valid


def test_the_terminal_shows_prediction_beside_measurement() -> None:
    calibration = Calibration(
        overhead_ms=0.5, service_ms=20, service_cv=0.1, busy_ratio=1.2, workers=2,
        workers_from="as the server says", batches=False, each_row_ms=None, calls=100,
    )  # fmt: skip
    found = LoadTest(
        endpoint="x", deployment="my-model", model_digest=None, tested_at=datetime.now(UTC),
        percentile=95, seconds=10, calibration=calibration,
        points=(measured(95.0), measured(300.0, use=0.6, valid=False, sender_late_ms=40.0)),
        curve=(), notes=("mind this",),
    )  # fmt: skip
    said = text(found)
    assert "2 workers (as the server says), 1.20 times as long without a pause" in said
    assert "80–130" in said
    assert "+5%" in said
    assert "does not count: the sender was up to 40 ms late" in said
    assert "Prediction held within 6 % up to 50% use." in said
    assert "Note: mind this" in said
    assert LoadTest.model_validate_json(found.model_dump_json()) == found


def looks_of(
    each_ms: list[float], per_s: int = 100
) -> tuple[list[tuple[float, float]], list[float]]:
    """A server that takes so much processor time a request in each of some seconds: looked at five
    times a second, from a second before until one after, and when its requests were answered."""
    ends = [10 + i / per_s for i in range(len(each_ms) * per_s)]
    looks = []
    for k in range(-5, 5 * len(each_ms) + 6):
        at = 10 + k / 5
        done = sum(1 for end in ends if end <= at)
        spent = sum(min(max(done - s * per_s, 0), per_s) * ms for s, ms in enumerate(each_ms))
        looks.append((at, 500 + spent))
    return looks, ends


def test_a_steady_server_is_told_from_one_whose_requests_change() -> None:
    assert unsteadiness(*looks_of([6.0] * 5)) == pytest.approx(0, abs=0.01)
    # A request takes 4 ms in half of the time and 6 ms in the other half: 1 by 5.
    found = unsteadiness(*looks_of([4.0, 4.0, 6.0, 6.0]))
    assert found == pytest.approx(0.2, abs=0.02)


def test_nothing_is_said_of_the_steadiness_of_few_requests() -> None:
    looks, ends = looks_of([20.0] * 5, per_s=10)
    assert unsteadiness(looks, ends) is None
    assert unsteadiness([], ends) is None
    assert unsteadiness(looks, []) is None
