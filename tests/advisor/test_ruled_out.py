"""Options of clouds that nobody asked for are one sentence; the data keeps every rule."""

from __future__ import annotations

import pytest

from advisor import record, report
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.ruled_out import among_the_asked, not_asked_for

CALLS = {"model": {"format": "joblib", "size_mb": 40, "memory_mb": 300, "service_time_ms": 8},
         "traffic": {"mode": "realtime", "requests_per_month": 2e6}}  # fmt: skip


def need(**more: object) -> Requirements:
    return parse({**CALLS, **more})


def test_who_asks_for_one_cloud_reads_nothing_of_the_others_rules() -> None:
    asked = need(control={"data_residency": "eu"}, placement={"regions": ["eu-west-1"]})
    answer = recommend(asked)
    others = {"vertex-online", "vertex-batch", "azureml-online", "azureml-batch", "kubernetes",
              "docker-host"}  # fmt: skip
    assert {e.option for e in answer.excluded} >= others
    assert not {e.option for e in among_the_asked(answer)} & others
    said = "Google Cloud, Azure, Kubernetes, own hardware: not asked for (placement.clouds)"
    assert not_asked_for(answer) == said
    for text in (report.text(asked, answer), record.markdown(asked, answer)):
        assert text.count(said) >= 1
        assert "vertex-online" not in text
        assert "Vertex AI online endpoint" not in text


@pytest.mark.parametrize("clouds", [["aws", "gcp"], ["azure"]])
def test_a_cloud_that_was_asked_for_has_its_reasons(clouds: list[str]) -> None:
    answer = recommend(need(placement={"clouds": clouds}))
    kept = {e.option for e in among_the_asked(answer)}
    assert ("vertex-batch" in kept) == ("gcp" in clouds)
    assert ("azureml-batch" in kept) == ("azure" in clouds)
    assert ("Google Cloud" in not_asked_for(answer)) == ("gcp" not in clouds)


def test_nothing_is_left_to_say_where_every_cloud_is_allowed() -> None:
    every = ["aws", "gcp", "azure", "kubernetes", "own-hardware"]
    answer = recommend(need(placement={"clouds": every, "node_hourly_usd": 0.3}))
    assert not_asked_for(answer) == ""
    assert among_the_asked(answer) == answer.excluded
