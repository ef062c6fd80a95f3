"""Many models behind one endpoint: memory, loading, and who can and cannot."""

from __future__ import annotations

import copy
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.catalog.loader import load_options
from advisor.errors import InputError
from advisor.recommend import recommend
from advisor.recommendation import Recommendation
from advisor.requirements import parse
from advisor.sizing.many_models import models_to_keep, popularity, resident
from advisor.workload import resolve

BASE = {
    "model": {"format": "xgboost", "size_mb": 50, "memory_mb": 200, "service_time_ms": 15},
    "traffic": {"mode": "realtime", "requests_per_month": 500_000},
    "service": {"p95_ms": 500},
}


def answered(models: int, **answers: object) -> Recommendation:
    return recommend(need(models, **answers), doubt=False)


def need(models: int, **answers: object):
    data = copy.deepcopy(BASE) | {"control": {"models_per_endpoint": models}}
    for path, value in answers.items():
        section, name = path.split("__")
        data[section][name] = value
    return parse(data)


def lru_misses(models: int, kept: int, exponent: float, requests: int) -> float:
    """Share of requests whose model is not among the `kept` last used ones, by simulation."""
    rng = np.random.default_rng(5)
    asked = rng.choice(models, requests, p=popularity(models, exponent)).tolist()
    cache: OrderedDict[int, None] = OrderedDict()
    missed = 0
    for i, model in enumerate(asked):
        if model in cache:
            cache.move_to_end(model)
            continue
        missed += i >= requests // 4
        cache[model] = None
        if len(cache) > kept:
            cache.popitem(last=False)
    return missed / (requests - requests // 4)


@pytest.mark.parametrize(
    ("models", "misses", "exponent"),
    [(50, 0.1, 0.8), (460, 0.025, 0.8), (460, 0.2, 1.1), (2000, 0.1, 0.8)],
)  # fmt: skip
def test_an_lru_cache_of_that_size_misses_as_often(
    models: int, misses: float, exponent: float
) -> None:
    kept, said = models_to_keep(models, misses, exponent)
    assert said == misses
    assert lru_misses(models, kept, exponent, 200_000) == pytest.approx(misses, rel=0.08)


@settings(max_examples=60, deadline=None)
@given(
    models=st.integers(2, 5000), misses=st.floats(1e-3, 0.5), more=st.floats(1, 3),
    exponent=st.floats(0, 1.5),
)  # fmt: skip
def test_more_misses_never_need_more_models(
    models: int, misses: float, more: float, exponent: float
) -> None:
    kept, said = models_to_keep(models, misses, exponent)
    fewer, _ = models_to_keep(models, min(misses * more, 0.99), exponent)
    assert 1 <= fewer <= kept <= models
    assert (said == 0) == (kept == models)


def test_a_wrong_share_is_named() -> None:
    with pytest.raises(InputError, match="misses 0"):
        models_to_keep(10, 0, 0.8)


def test_memory_is_that_of_all_models_or_of_the_popular_ones() -> None:
    work = resolve(need(100))
    everything = resident(load_options()["ecs-fargate"], work)
    assert everything.memory_mb == pytest.approx(200 + 99 * 50)  # a file each, above 200 - 180
    assert (everything.models, everything.miss_share) == (100, 0)
    roomy = resident(load_options()["ecs-fargate"], resolve(need(100, model__memory_mb=2000)))
    assert roomy.memory_mb == pytest.approx(2000 + 99 * 2 * 50)  # libraries are there already
    popular = resident(load_options()["sagemaker-realtime"], work)
    assert popular.models < 100
    assert popular.memory_mb < everything.memory_mb
    assert popular.miss_share == pytest.approx(0.025)
    # 2.5 % load, so 2.5 of the other 97.5 % may be late.
    assert popular.percentile(95) == pytest.approx(100 * (1 - 0.025 / 0.975))
    alone = resident(load_options()["sagemaker-realtime"], resolve(need(1)))
    assert (alone.memory_mb, alone.percentile(95)) == (200, pytest.approx(95))


def test_the_plan_says_how_many_models_stay_and_has_room_for_them() -> None:
    answer = answered(460)
    mme = answer.option("sagemaker-realtime")
    assert mme is not None
    assert mme.sizing.cold_start_share == pytest.approx(0.025)
    assert any("of 460 models stay in memory" in note for note in mme.sizing.notes)
    container = answer.option("ecs-fargate")
    assert container is not None
    assert container.sizing.memory_mb >= 200 + 459 * 50
    assert any("460 of 460" in note for note in container.sizing.notes)
    assert mme.p95_ms is not None
    assert mme.p95_ms <= 500


def test_who_cannot_hold_them_is_ruled_out_with_the_numbers() -> None:
    why = {e.option: e.because for e in answered(460).excluded}
    assert "460 models for one endpoint" in why["sagemaker-serverless"]
    assert "GB image" in why["lambda-url"]
    memory = answered(60, model__memory_mb=600, model__size_mb=100).excluded
    told = next(e.because for e in memory if e.option == "lambda-url")
    assert told == "12,580 MB of 60 models with the server > 10,240 MB of the largest function"


def test_more_models_are_never_cheaper() -> None:
    few, many = answered(20), answered(200)
    for ranked in many.ranking:
        less = few.option(ranked.option)
        assert less is not None
        assert ranked.monthly_usd.expected >= less.monthly_usd.expected - 1e-9
