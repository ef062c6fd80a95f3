"""Short cuts of the choice of machines say what the long way says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.sizing import replica
from advisor.sizing.queueing import busy_service_ms, max_rate_per_replica, replica_percentile_ms
from advisor.sizing.shortlist import beaten

MACHINES = {
    "alone_ms": st.floats(0.5, 900),
    "slower": st.floats(1, 2),  # with all workers busy
    "cv": st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    "servers": st.sampled_from([1, 2, 4, 16, 64]),
    "percentile": st.sampled_from([90.0, 95.0, 99.0]),
}


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(MACHINES), st.floats(0.3, 40), st.sampled_from([0.5, 0.7, 0.85]))
def test_the_rate_of_one_replica_is_that_of_many(
    machine: dict[str, float], target: float, most: float
) -> None:
    alone, servers = machine["alone_ms"], int(machine["servers"])
    busy = alone * machine["slower"]
    args = (target * alone, machine["percentile"], alone, busy, machine["cv"], servers, most)
    expected = float(max_rate_per_replica(*args))
    assert replica.max_rate(*args) == pytest.approx(expected, rel=1e-12, abs=0)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(MACHINES), st.floats(0, 1.1))
def test_the_response_of_one_replica_is_that_of_many(
    machine: dict[str, float], share: float
) -> None:
    alone, servers = machine["alone_ms"], int(machine["servers"])
    busy = alone * machine["slower"]
    rate = share * servers / busy * 1000
    args = (rate, machine["percentile"], alone, busy, machine["cv"], servers)
    found, service_ms = replica.response(*args)
    assert found == pytest.approx(float(replica_percentile_ms(*args)), rel=1e-12)
    expected = float(busy_service_ms(rate, servers, alone, busy))
    assert service_ms == pytest.approx(expected, rel=1e-12)


PRICES = st.sampled_from([0.1, 0.2, 0.2, 0.3, 0.7, 1.0, float("nan")])
RATES = st.sampled_from([1.0, 2.0, 3.0, 3.0, 5.0, 8.0])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(PRICES, RATES, st.sampled_from([0.4, 0.6])), min_size=1, max_size=12),
    st.booleans(),
    st.lists(st.floats(0.1, 60), min_size=1, max_size=5),
)
def test_no_machine_that_is_cheapest_anywhere_is_left_out(
    machines: list[tuple[float, float, float]], committed: bool, weekly: list[float]
) -> None:
    usd, rate, share = (np.array(column) for column in zip(*machines, strict=True))
    out = beaten(rate, [usd, usd * share] if committed else [usd])
    counts = np.maximum(np.ceil(np.array(weekly)[None, :] / rate[:, None] - 1e-9), 1)
    paid = counts.sum(axis=1)
    if committed:  # the best level by trying them all
        levels = [share * level * counts.shape[1] + np.maximum(counts - level, 0).sum(axis=1)
                  for level in range(int(counts.max()) + 1)]  # fmt: skip
        paid = np.min(levels, axis=0)
    cost = np.where(np.isnan(usd), np.inf, usd * paid + 0.01 * counts.sum(axis=1))
    assert not out[int(np.lexsort((counts.sum(axis=1), cost))[0])]
