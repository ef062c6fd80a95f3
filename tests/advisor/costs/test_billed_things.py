"""What is charged beside machines, worked out by hand with the published prices."""

from __future__ import annotations

from typing import Any

import pytest

from advisor.catalog.loader import option
from advisor.costs import Bill, bill
from advisor.prices import load_book
from advisor.recommendation import CostLine
from advisor.requirements import parse
from advisor.sizing.choose import size
from advisor.sizing.sized import Sized
from advisor.workload import resolve

BOOK = load_book()


def lines_of(
    option_id: str, region: str, mode: str = "realtime", private: bool = False, **traffic: Any
) -> tuple[Sized, dict[str, CostLine]]:
    asked = parse(
        {
            "model": {"format": "onnx", "size_mb": 102.4, "memory_mb": 400, "service_time_ms": 50},
            "traffic": {
                "mode": mode, "requests_per_month": 10_000_000, "request_mb": 0.5,
                "response_mb": 0.25, **traffic,
            },
            "service": {"p95_ms": 2000} if mode == "realtime" else {"deadline_h": 12},
            "control": {"private_network": private},
        }
    )  # fmt: skip
    chosen, work = option(option_id), resolve(asked)
    plan = size(chosen, work, region, BOOK)
    sized = plan if isinstance(plan, Sized) else plan.sized()
    assert sized.infeasible is None
    return sized, {x.name: x for x in bill(Bill(chosen, work, sized, region, BOOK))}


def test_a_queue_is_paid_in_steps_of_64_kb() -> None:
    # 100 KB are 2 steps: sent 2, received 2, deleted 1; 10 million x 5 x $0.40 a million = $20.
    _, lines = lines_of("ecs-fargate", "us-east-1", "async", request_mb=100 / 1024)
    assert lines["Queue requests"].usd == pytest.approx(20)
    assert "Objects written" not in lines


def test_a_large_request_waits_in_object_storage() -> None:
    # 0.5 MB > 256 KB: a message of one step (3 requests), one write at $0.005 and one read at
    # $0.0004 a thousand.
    _, lines = lines_of("ecs-fargate", "us-east-1", "async")
    assert lines["Queue requests"].usd == pytest.approx(12)
    assert lines["Objects written"].usd == pytest.approx(50)
    assert lines["Objects read"].usd == pytest.approx(4)


def test_nobody_queues_for_an_answer_at_once() -> None:
    _, lines = lines_of("ecs-fargate", "us-east-1")
    assert "Queue requests" not in lines


def test_half_of_the_requests_change_zones_in_a_cluster() -> None:
    # 10 million x 0.75 MB are 7,324 GB; half of it, out of a zone and into the other, at $0.01.
    sized, lines = lines_of("eks", "us-east-1", requests_per_month=200_000_000)
    assert sized.replicas_max >= 2
    gb = 200_000_000 * 0.75 / 1024
    assert lines["Data between zones"].usd == pytest.approx(gb / 2 * 2 * 0.01)
    _, beside = lines_of("ecs-ec2", "us-east-1", requests_per_month=200_000_000)
    assert "Data between zones" not in beside


def test_a_registry_of_azure_is_paid_by_the_day() -> None:
    # 730 / 24 days x $0.1666; three images of about half a GB are within the 10 GB it includes.
    _, lines = lines_of("azureml-online", "eastus")
    assert lines["Container registry"].usd == pytest.approx(730 / 24 * 0.1666)
    assert "Container images" not in lines


def test_private_endpoints_of_azure() -> None:
    # Four endpoints x 730 h x $0.01, and 7,324 GB through the one of the workspace at $0.01.
    _, lines = lines_of("azureml-online", "westeurope", private=True)
    assert lines["Private endpoints"].usd == pytest.approx(4 * 730 * 0.01)
    assert lines["Data through endpoints"].usd == pytest.approx(10_000_000 * 0.75 / 1024 * 0.01)
    assert "Data out to the internet" not in lines


def test_a_private_endpoint_without_a_price_is_on_the_bill_of_google() -> None:
    _, lines = lines_of("vertex-online", "us-central1", private=True)
    endpoint = lines["Private endpoints"]
    assert endpoint.quantity == 730
    assert endpoint.unit_price_usd is None


@pytest.mark.parametrize(
    ("option_id", "region", "write_usd", "read_usd"),
    [("vertex-batch", "europe-west4", 5e-6, 4e-7), ("azureml-batch", "japaneast", 5e-6, 4e-7)],
)
def test_batches_read_and_write_objects(
    option_id: str, region: str, write_usd: float, read_usd: float
) -> None:
    # 7,324 GB in objects of 64 MB, each written and read once on the way in and on the way out.
    _, lines = lines_of(option_id, region, "batch")
    objects = 10_000_000 * 0.75 / 1024 * 1024 / 64 * 2
    assert lines["Objects written"].usd == pytest.approx(objects * write_usd)
    assert lines["Objects read"].usd == pytest.approx(objects * read_usd)


def test_the_first_month_of_logs_is_included_on_azure_and_google() -> None:
    for option_id, region in (("azureml-online", "eastus"), ("vertex-online", "us-central1")):
        _, lines = lines_of(option_id, region)
        assert "Log ingestion" in lines
        assert "Log storage" not in lines


def test_machines_of_a_batch_have_public_addresses_while_they_run() -> None:
    sized, lines = lines_of("aws-batch", "us-east-1", "batch")
    assert lines["Public IPv4 addresses"].usd == pytest.approx(sized.replica_hours * 0.005)
    _, private = lines_of("aws-batch", "us-east-1", "batch", private=True)
    assert "Public IPv4 addresses" not in private


def test_tasks_are_priced_where_only_x86_is_sold() -> None:
    sized, lines = lines_of("ecs-fargate", "eu-south-1")
    assert sized.arch == "x86_64"
    assert lines["Task vCPU"].usd > 0
