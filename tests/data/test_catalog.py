"""The comparison table holds together: every cell sourced, every option complete, nothing adrift."""

from __future__ import annotations

import importlib
from datetime import date
from urllib.parse import urlparse

import pytest

from advisor.catalog import loader
from advisor.catalog.loader import load_options
from advisor.catalog.schema import LEVELS, Option
from advisor.prices import load_book
from advisor.requirements import Mode, ModelFormat, Skill
from advisor.sizing.performance import cold_start

OPTIONS = list(load_options().values())
IDS = [
    "sagemaker-realtime", "sagemaker-serverless", "sagemaker-async", "sagemaker-batch",
    "vertex-online", "vertex-batch", "azureml-online", "azureml-batch",
    "lambda-apigateway", "lambda-url", "ecs-fargate", "ecs-ec2", "eks", "ec2", "aws-batch",
    "kubernetes", "docker-host",
]  # fmt: skip
MANAGED = set(IDS[:8])
EVERY_OPTION = pytest.mark.parametrize("option", OPTIONS, ids=lambda o: o.id)


def test_the_seventeen_options_in_their_order() -> None:
    assert list(load_options()) == IDS
    assert {o.id for o in OPTIONS if o.kind == "managed"} == MANAGED


@EVERY_OPTION
def test_every_fact_has_a_source_a_date_and_a_confidence(option: Option) -> None:
    for name, fact in option.facts.items():
        source = loader.sources()[fact.source_key]
        assert fact.source == source.cite(), name
        assert fact.checked >= source.read, name
        assert fact.checked <= date.today(), name
        if fact.confidence == "estimate":
            assert fact.source_key in ("own-estimate", "own-measurement"), name
        else:
            assert fact.source_key not in ("own-estimate", "own-measurement", "your-answers"), name
        assert (fact.confidence == "unconfirmed") == (fact.source_key == "common-knowledge"), name


@EVERY_OPTION
def test_an_empty_cell_says_what_holds_instead(option: Option) -> None:
    for name, fact in option.facts.items():
        assert fact.shown().strip(), name
        assert fact.value is not None or fact.text, name


@EVERY_OPTION
def test_every_option_is_complete(option: Option) -> None:
    required = {name for name, kind in loader.fact_kinds().items() if kind.required}
    assert required <= set(option.facts)
    assert set(option.levels) == set(LEVELS)
    assert all(0 <= option.level(name) <= 1 for name in LEVELS if name != "launch_weeks")
    assert len(option.strengths) >= 2
    assert len(option.weaknesses) >= 2
    assert option.operates.you
    assert option.people.monthly_hours.expected > 0
    assert option.summary.endswith(".")


@EVERY_OPTION
def test_every_line_of_the_bill_can_be_priced(option: Option) -> None:
    assert len(set(option.bill)) == len(option.bill)
    for thing in option.bill:
        assert callable(importlib.import_module(f"advisor.costs.{thing}").lines)


@EVERY_OPTION
def test_skus_stand_in_the_price_book(option: Option) -> None:
    known = load_book().skus
    for name, sku in option.skus.items():
        assert not sku or sku in known, name
    for sku in option.per_replica_hour:
        assert sku in known
    if option.gb_second_sku:
        sizes = [round(mb / 1024) for mb in option.memory_sizes_mb]
        for arch in option.architectures:
            for gb in sizes if "{gb}" in option.gb_second_sku else [0]:
                assert option.gb_second_sku.format(arch=arch, gb=gb) in known


@EVERY_OPTION
def test_sizes_lie_within_the_limits(option: Option) -> None:
    if option.scaling == "per-request":
        assert option.memory_sizes_mb
        assert min(option.memory_sizes_mb) >= option.number("min_memory_mb")
        assert max(option.memory_sizes_mb) == option.number("max_memory_mb")
        step = option.number("memory_step_mb")
        assert all(mb % step == 0 for mb in option.memory_sizes_mb)
    if option.machines == "fargate":
        assert max(s.memory_gb for s in option.task_sizes) * 1024 == option.number("max_memory_mb")
        assert max(s.vcpu for s in option.task_sizes) == option.number("max_vcpu")
        assert min(s.memory_gb for s in option.task_sizes) * 1024 == option.number("min_memory_mb")


@EVERY_OPTION
def test_facts_fit_one_another(option: Option) -> None:
    sla, single = option.fact("sla_percent").value, option.fact("single_replica_sla_percent").value
    if isinstance(sla, float) and isinstance(single, float):
        assert single <= sla
    assert option.flag("scale_to_zero") == (option.number("min_replicas") == 0)
    if Mode.batch in option.modes and option.modes == (Mode.batch,):
        assert option.scaling == "job"
        assert option.flag("scale_to_zero")


@EVERY_OPTION
def test_start_times_are_those_that_the_sizing_uses(option: Option) -> None:
    times = cold_start(option.id)
    if option.scaling in ("per-request", "job") or Mode.asynchronous in option.modes:
        assert option.number("cold_start_s") == times.cold_s.expected
    if times.scale_out_s is not None:
        assert option.number("scale_out_s") == times.scale_out_s.expected


def test_limits_that_everything_else_rests_on() -> None:
    known = load_options()
    expected = {
        ("sagemaker-realtime", "max_request_mb"): 25,
        ("sagemaker-realtime", "max_processing_s"): 60,
        ("sagemaker-realtime", "sla_percent"): 99.95,
        ("sagemaker-serverless", "max_request_mb"): 4,
        ("sagemaker-serverless", "max_memory_mb"): 6144,
        ("sagemaker-serverless", "max_concurrency"): 200,
        ("sagemaker-async", "max_request_mb"): 1024,
        ("sagemaker-async", "max_processing_s"): 3600,
        ("vertex-online", "max_request_mb"): 10,
        ("azureml-online", "max_processing_s"): 180,
        ("azureml-online", "max_requests_per_s"): 500,
        ("azureml-online", "max_bandwidth_mb_per_s"): 5,
        ("azureml-online", "max_replicas"): 50,
        ("lambda-apigateway", "max_processing_s"): 30,
        ("lambda-url", "max_processing_s"): 900,
        ("lambda-url", "max_request_mb"): 6,
        ("lambda-url", "max_memory_mb"): 10_240,
        ("lambda-url", "max_image_gb"): 10,
        ("ec2", "single_replica_sla_percent"): 99.5,
        ("ecs-fargate", "sla_percent"): 99.99,
    }
    for (option, fact), value in expected.items():
        assert known[option].number(fact) == value, (option, fact)
        assert known[option].fact(fact).confidence in ("primary", "secondary")
    for option in ("sagemaker-serverless", "lambda-apigateway", "lambda-url", "ecs-fargate"):
        assert not known[option].flag("gpu")


def test_the_founding_table_managed_against_self_hosted() -> None:
    """Who patches, who scales: managed options leave the host to the provider."""
    for option in OPTIONS:
        if option.kind == "managed":
            assert not option.flag("host_access"), option.id
            assert any("host" in x or "machine" in x for x in option.operates.provider), option.id
        else:
            assert any("image" in x for x in option.operates.you), option.id


def test_every_source_has_an_address_or_is_our_own() -> None:
    own = {"own-estimate", "own-measurement", "your-answers", "method-table", "common-knowledge"}
    for key, source in loader.sources().items():
        if key in own:
            assert source.url is None
            continue
        assert source.url is not None, key
        parts = urlparse(source.url)
        assert parts.scheme == "https", key
        assert "." in parts.netloc, key


def test_every_source_is_used() -> None:
    used = {f.source_key for o in OPTIONS for f in o.facts.values()}
    used |= {a.source for o in OPTIONS for a in o.assumptions.values()}
    used |= {way.source for o in OPTIONS for way in o.purchase}
    used |= {a.source for a in loader.assumptions().thresholds.values()}
    used |= {loader.assumptions().runtime_image_mb.source}
    used |= {b.source for b in loader.people().bounds} | {loader.people().source}
    used |= {rule.source for rule in _rules()}
    also = {text for o in OPTIONS for f in o.facts.values() for text in f.also}
    used |= {key for key, source in loader.sources().items() if source.cite() in also}
    assert set(loader.sources()) - used == set()


def test_assumptions_of_options_override_shared_ones_only() -> None:
    shared = set(loader.assumptions().defaults)
    for option in OPTIONS:
        assert set(option.assumptions) == shared, option.id


def test_people_covers_every_option_and_skill() -> None:
    people = loader.people()
    assert set(people.options) == set(IDS)
    for factors in (people.skill_factors.managed, people.skill_factors.self_hosted):
        assert set(factors) == set(Skill)
        ordered = [factors[skill] for skill in Skill]
        assert ordered == sorted(ordered, reverse=True)
    for bound in people.bounds:
        assert bound.low <= bound.high


def test_people_hours_stay_below_the_published_bounds() -> None:
    """One service takes less than the whole platform team of the published figures."""
    platform = next(b for b in loader.people().bounds if "platform" in b.claim)
    hours_of_an_engineer = 160
    for option in OPTIONS:
        monthly, _ = loader.people().hours(option, Skill.intermediate, False)
        assert monthly.high < platform.high * hours_of_an_engineer, option.id


def test_levels_cover_every_option() -> None:
    assert set(loader.weights().levels) == set(IDS)


def test_every_format_has_a_runtime_image() -> None:
    assert set(loader.assumptions().runtime_image_mb.formats) == set(ModelFormat)


def _rules() -> tuple:
    from advisor.rules import load_rules

    return load_rules().rules
