"""The bill of usage: the vendors' own examples to the cent, and what the design promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.costs.usage import Usage, load_usage, parse_usage, price_usage
from advisor.errors import InputError
from advisor.prices import load_book

WORKED = yaml.safe_load(
    (Path(__file__).parents[2] / "data" / "worked_prices.yaml").read_text(encoding="utf-8")
)


def bill(*items: dict[str, Any], **usage: Any) -> Any:
    return price_usage(parse_usage({"items": list(items), **usage}))


@pytest.mark.parametrize("case", WORKED["cases"], ids=lambda case: case["id"])
def test_published_example_comes_out_to_the_cent(case: dict[str, Any]) -> None:
    result = price_usage(parse_usage(case["usage"]))
    assert abs(result.total_usd - case["total_usd"]) <= WORKED["tolerance_usd"]
    assert not result.at_least


def test_json_has_the_promised_shape() -> None:
    data = bill({"service": "ec2", "instance": "m5.xlarge"}).model_dump(mode="json")
    assert set(data) == {"total_usd", "at_least", "items"}
    assert set(data["items"][0]) == {"service", "total_usd", "lines"}
    line = data["items"][0]["lines"][0]
    assert set(line) == {"name", "quantity", "unit", "unit_price_usd", "usd", "source", "as_of"}
    assert line["quantity"] == 730
    assert line["source"]
    assert line["as_of"]


def test_totals_are_the_sums_of_their_lines() -> None:
    result = bill(
        {"service": "lambda", "requests": 9e6, "duration_ms": 50, "memory_mb": 512},
        {"service": "api-gateway-http", "requests": 9e8},
        {"service": "sagemaker-realtime", "instance": "ml.g5.xlarge", "instances": 2},
    )
    for item in result.items:
        assert item.total_usd == pytest.approx(sum(line.usd for line in item.lines))
        for line in item.lines:
            assert line.usd == pytest.approx(line.quantity * line.unit_price_usd)
    assert result.total_usd == pytest.approx(sum(i.total_usd for i in result.items))


def test_price_that_the_book_lacks_is_unknown_and_never_free() -> None:
    result = bill({"service": "api-gateway-http", "requests": 1e6}, region="ca-central-1")
    (line,) = result.items[0].lines
    assert line.unit_price_usd is None
    assert line.usd == 0
    assert result.at_least
    assert "apigw.http_request" in line.source
    assert "ca-central-1" in line.source


def test_machine_sold_elsewhere_is_unknown_here() -> None:
    result = bill({"service": "ec2", "instance": "m8azn.large"}, region="eu-west-1")
    assert result.at_least
    assert result.items[0].lines[0].unit_price_usd is None


def test_free_allowance_is_shared_by_the_items_of_a_bill() -> None:
    one = {"service": "lambda", "requests": 800_000, "duration_ms": 1, "memory_mb": 128}
    result = bill(one, one, free_tier=True)
    # 1.6 million requests, a million of them free; the duration stays inside its allowance
    assert result.total_usd == pytest.approx(600_000 * 0.0000002)
    free = [x for i in result.items for x in i.lines if x.unit_price_usd == 0]
    assert sum(x.quantity for x in free if x.unit == "request") == pytest.approx(1_000_000)


def test_free_transfer_is_one_allowance_for_all_items() -> None:
    result = bill({"service": "data-transfer-out", "gb": 80}, {"service": "data-transfer-out", "gb": 80},
                  free_tier=True)  # fmt: skip
    assert result.total_usd == pytest.approx(60 * 0.09)


def test_tiers_go_on_from_one_item_to_the_next() -> None:
    together = bill({"service": "api-gateway-http", "requests": 432_000_000}).total_usd
    split = bill(
        {"service": "api-gateway-http", "requests": 300_000_000},
        {"service": "api-gateway-http", "requests": 132_000_000},
    )
    assert split.total_usd == pytest.approx(together)
    assert split.items[1].lines[0].unit_price_usd == pytest.approx(0.0000009)


def test_transfer_out_uses_its_tiers() -> None:
    result = bill({"service": "data-transfer-out", "gb": 57_000})
    assert result.total_usd == pytest.approx(10_240 * 0.09 + 40_960 * 0.085 + 5_800 * 0.07)


@pytest.mark.parametrize(
    ("request_kb", "response_kb", "counted"),
    [(0, 0, 1), (512, 512, 1), (512.5, 0, 2), (10, 1025, 3), (4608, 1, 9)],
)
def test_http_requests_are_metered_in_steps_of_512_kb(
    request_kb: float, response_kb: float, counted: int
) -> None:
    result = bill(
        {"service": "api-gateway-http", "requests": 1000, "request_kb": request_kb,
         "response_kb": response_kb}
    )  # fmt: skip
    assert result.items[0].lines[0].quantity == 1000 * counted


@pytest.mark.parametrize(
    ("given_", "lcu_per_hour"),
    [
        ({"new_connections_per_second": 50}, 2),
        ({"active_connections": 9000}, 3),
        ({"gb": 4 * 730}, 4),
        ({"gb": 4 * 730, "targets": "lambda"}, 10),
        ({"rules": 60, "requests_per_second": 100}, 5),
        ({"rules": 10, "requests_per_second": 100}, 0),
        ({"new_connections_per_second": 100, "active_connections": 3000, "gb": 730}, 4),
    ],
)
def test_load_balancer_pays_for_its_most_used_dimension(
    given_: dict[str, Any], lcu_per_hour: float
) -> None:
    result = bill({"service": "alb", "hours": 730, **given_})
    lcu = sum(x.quantity for x in result.items[0].lines if x.unit == "LCU-hour")
    assert lcu == pytest.approx(lcu_per_hour * 730)


def test_lcu_hours_may_be_given() -> None:
    result = bill({"service": "alb", "hours": 100, "lcu_hours": 250})
    assert result.total_usd == pytest.approx(100 * 0.0225 + 250 * 0.008)


def test_included_storage_costs_nothing() -> None:
    small = {"service": "lambda", "requests": 1e6, "duration_ms": 100, "memory_mb": 1024}
    assert bill(small).total_usd == bill({**small, "ephemeral_mb": 512}).total_usd
    task = {"service": "fargate", "vcpu": 1, "memory_gb": 2}
    assert bill(task).total_usd == bill({**task, "ephemeral_gb": 20}).total_usd


def test_sagemaker_serverless_example() -> None:
    result = bill(
        {"service": "sagemaker-serverless", "requests": 10_000_000, "duration_ms": 100,
         "memory_gb": 2, "data_gb": 10}
    )  # fmt: skip
    assert result.total_usd == pytest.approx(40.16)


def test_hours_default_to_the_month() -> None:
    result = bill({"service": "nat-gateway"}, hours_in_month=720)
    assert result.items[0].lines[0].quantity == 720


def test_item_of_another_cloud_goes_to_that_clouds_default_region() -> None:
    result = bill({"service": "vertex-online", "machine": "n1-standard-4", "nodes": 2})
    assert result.total_usd == pytest.approx(2 * 730 * 0.219)
    assert "us-central1" in result.items[0].lines[0].name


def test_item_may_name_its_own_region() -> None:
    here, there = (
        bill({"service": "ec2", "instance": "m5.large", "region": region}).total_usd
        for region in ("us-east-1", "sa-east-1")
    )
    assert there > here


def test_transfer_out_of_any_cloud() -> None:
    assert bill({"service": "data-transfer-out", "gb": 10}, region="us-central1").total_usd == (
        pytest.approx(10 * 0.12)
    )


def test_a_price_that_is_not_a_list_price_says_so() -> None:
    book = load_book()
    assert book.machine("vertex", "europe-west1", "n1-standard-2").kind == "derived"
    result = bill(
        {"service": "vertex-online", "machine": "n1-standard-2", "region": "europe-west1"}
    )
    assert "derived" in result.items[0].lines[0].source


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ({"items": [{"service": "lamda", "memory_mb": 1}]}, ("lamda", "lambda")),
        ({"items": [{"service": "nat-gateway", "gb": -1}]}, ("gb", "-1")),
        ({"items": [{"service": "nat-gateway", "gb": "many"}]}, ("gb", "many")),
        ({"items": [{"service": "nat-gateway", "gb": float("nan")}]}, ("gb", "nan")),
        ({"items": [{"service": "nat-gateway", "gb": True}]}, ("gb", "true")),
        ({"items": [{"service": "nat-gateway", "bytes": 1}]}, ("bytes", "not a known key")),
        ({"items": [{"service": "ec2"}]}, ("instance", "missing")),
        ({"items": [{"instance": "m5.large"}]}, ("no service",)),
        ({"items": []}, ("items",)),
        ({"region": "us-east-1"}, ("items", "missing")),
        ({"items": [{"service": "eks-cluster"}], "hours_in_month": 0}, ("hours_in_month", "0")),
        ({"items": [{"service": "eks-cluster"}], "free": True}, ("free", "not a known key")),
        ({"items": [{"service": "lambda", "requests": 5, "memory_mb": 128}]}, ("duration_ms",)),
        (
            {"items": [{"service": "alb", "gb": 5, "lcu_hours": 5}]},
            ("lcu_hours", "gb", "one of the two"),
        ),
        ("a text", ("mapping",)),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(usage: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        parse_usage(usage)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ({"items": [{"service": "ec2", "instance": "m5.xlrge"}]}, ("m5.xlrge", "m5.xlarge")),
        (
            {"items": [{"service": "sagemaker-realtime", "instance": "m5.xlarge"}]},
            ("m5.xlarge", "ml.m5.xlarge"),
        ),
        ({"region": "us-est-1", "items": [{"service": "eks-cluster"}]}, ("us-est-1", "us-east-1")),
        (
            {"items": [{"service": "ec2", "instance": "m5.large", "region": "eastus"}]},
            ("ec2", "eastus", "azure"),
        ),
        (
            {"items": [{"service": "sagemaker-serverless", "requests": 1, "duration_ms": 1,
                        "memory_gb": 7}]},
            ("memory_gb", "7", "1, 2, 3, 4, 5, 6"),
        ),
        (
            {"items": [{"service": "alb", "rules": 20}]},
            ("20 rules", "requests_per_second"),
        ),
        ({"items": [{"service": "alb", "hours": 0, "gb": 5}]}, ("0 hours",)),
    ],
)  # fmt: skip
def test_what_cannot_be_priced_is_told_in_a_sentence(
    usage: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        price_usage(parse_usage(usage))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps])
def test_yaml_and_json_are_both_read(tmp_path: Path, dump: Any) -> None:
    path = tmp_path / "usage"
    path.write_text(dump({"items": [{"service": "eks-cluster"}]}))
    assert price_usage(load_usage(path)).total_usd == pytest.approx(73)


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"items: [", "YAML"), (b"\xff\xfe\x00", "UTF-8"), (b" " * 1_000_001, "1 MB")],
)
def test_unreadable_files(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "usage.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=word):
        load_usage(path)


def test_missing_file() -> None:
    with pytest.raises(InputError, match=r"no-such-file.*No such file"):
        load_usage("no-such-file.yaml")


@settings(deadline=None)
@given(
    requests=st.floats(0, 1e12),
    more=st.floats(1, 1e12),
    duration_ms=st.floats(0, 900_000),
    memory_mb=st.floats(128, 10_240),
    free_tier=st.booleans(),
)
def test_more_requests_never_cost_less(
    requests: float, more: float, duration_ms: float, memory_mb: float, free_tier: bool
) -> None:
    few, many = (
        bill({"service": "lambda", "requests": n, "duration_ms": duration_ms,
              "memory_mb": memory_mb}, free_tier=free_tier).total_usd
        for n in (requests, requests + more)
    )  # fmt: skip
    assert many >= few * (1 - 1e-12)


def test_every_service_of_the_schema_can_be_priced() -> None:
    """The sample of the documentation: each service once."""
    sample = yaml.safe_load((Path(__file__).parents[2] / "data" / "usage_sample.yaml").read_text())
    result = price_usage(parse_usage(sample))
    schema = Usage.model_json_schema()
    services = set(schema["properties"]["items"]["items"]["discriminator"]["mapping"])
    assert {item.service for item in result.items} == services
    assert not result.at_least
    assert all(item.total_usd > 0 for item in result.items)
