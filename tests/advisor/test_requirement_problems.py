"""Answers as people write them: what is wrong is said with the unit and the name that was meant."""

from __future__ import annotations

import pytest

from advisor.errors import InputError
from advisor.prices import load_book
from advisor.requirements import parse

CALLS = {"model": {"format": "joblib", "size_mb": 40, "memory_mb": 300, "service_time_ms": 8},
         "traffic": {"mode": "realtime", "requests_per_month": 2e6}}  # fmt: skip


@pytest.mark.parametrize(
    ("section", "given", "said"),
    [
        ("model", {"size_mb": "4 MB"}, "model.size_mb is '4 MB'; give a plain number, in MB"),
        ("model", {"service_time_ms": "8ms"}, "'8ms'; give a plain number, in ms"),
        ("traffic", {"requests_per_month": "2M"}, "'2M'; give a plain number, in requests/month"),
        ("model", {"service_time_s": 1}, "not a known key; did you mean service_time_ms"),
        ("traffic", {"requests_per_second": 20}, "did you mean peak_requests_per_second"),
        ("service", {"[colour]": "red"}, "service.[colour] is not a known key"),
        ("service", {"colour": "red"}, "service.colour is not a known key; known here: p95_ms"),
    ],
)
def test_what_was_written_is_named_with_the_way_out(
    section: str, given: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError) as found:
        parse({**CALLS, section: {**CALLS.get(section, {}), **given}})
    assert said in str(found.value)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("Frankfurt", "it is the place of eu-central-1 and europe-west3: name one of them"),
        ("us-est-1", "did you mean us-west-1 or us-east-1"),
        ("us_east_1", "did you mean us-east-1"),
        ("Atlantis", "name one such as us-east-1"),
        ("", "name one such as"),
    ],
)
def test_a_region_that_nobody_has_leads_to_one_that_is_there(region: str, said: str) -> None:
    with pytest.raises(InputError) as found:
        load_book().cloud_of(region)
    assert said in str(found.value)


def test_a_choice_of_names_or_numbers_is_told_once() -> None:
    with pytest.raises(InputError) as found:
        parse({**CALLS, "traffic": {**CALLS["traffic"], "pattern": "business_hours"}})
    names = "steady, business-hours, spiky, rare, nightly, or 168 numbers"
    assert str(found.value) == f"traffic.pattern is 'business_hours'; use {names}"
