"""Where an option may run: its cloud's regions, where data may lie, where it is offered."""

from __future__ import annotations

import pytest

from advisor.catalog.loader import option
from advisor.catalog.residency import (
    asked_regions,
    is_offered,
    is_resident,
    is_resident_by_name_alone,
    usable_regions,
)
from advisor.errors import InputError
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse


def need(residency: str | None = None, regions: list[str] | None = None) -> Requirements:
    return parse(
        {
            "model": {"format": "onnx", "size_mb": 1, "memory_mb": 1, "service_time_ms": 1},
            "traffic": {"mode": "realtime", "requests_per_month": 1},
            "control": {"data_residency": residency},
            "placement": {"regions": regions or ["us-east-1"], "clouds": ["aws", "gcp", "azure"]},
        }
    )


def test_a_region_names_its_cloud_and_a_cloud_without_one_gets_its_default() -> None:
    place = need(regions=["eu-west-1", "europe-west4", "us-east-1"]).placement
    assert asked_regions(option("ec2"), place) == ("eu-west-1", "us-east-1")
    assert asked_regions(option("vertex-online"), place) == ("europe-west4",)
    assert asked_regions(option("azureml-online"), place) == ("eastus",)
    assert asked_regions(option("kubernetes"), place) == ()


def test_an_unknown_region_is_named() -> None:
    with pytest.raises(InputError, match="us-esat-1"):
        asked_regions(option("ec2"), need(regions=["us-esat-1"]).placement)


@pytest.mark.parametrize(
    ("region", "residency", "resident"),
    [
        ("us-east-1", None, True),
        ("us-east-1", "us", True),
        ("us-east-1", "eu", False),
        ("eu-west-1", "eu", True),
        ("eu-west-1", " EU ", True),
        ("europe-west4", "eu", True),
        ("westeurope", "eu", True),  # the name of an Azure region begins with no such prefix
        ("swedencentral", "eu", True),
        ("uksouth", "eu", False),
        ("uksouth", "uk", True),
        ("eastus", "us", True),
        ("eastus", "eu", False),
        ("ap-southeast-2", "ap-southeast-2", True),
        ("ap-southeast-1", "ap-southeast-2", False),
        ("francecentral", "fr", True),
        ("eu-west-3", "fr", True),
        ("eu-central-1", "fr", False),
    ],
)
def test_data_stay_where_they_are_asked_to(
    region: str, residency: str | None, resident: bool
) -> None:
    assert is_resident(region, need(residency)) is resident


def test_a_name_alone_is_not_a_territory() -> None:
    assert is_resident("eu-west-2", need("eu"))
    assert is_resident_by_name_alone("eu-west-2", need("eu"))
    assert not is_resident_by_name_alone("eu-west-1", need("eu"))
    assert not is_resident_by_name_alone("eu-west-2", need(None))
    assert not is_resident_by_name_alone("eu-west-2", need("eu-west-2"))


def test_where_the_table_says_it_is_offered() -> None:
    assert is_offered(option("sagemaker-serverless"), "eu-south-1")
    assert not is_offered(option("sagemaker-serverless"), "eu-south-2")
    assert not is_offered(option("lambda-url"), "eu-south-2")
    assert is_offered(option("lambda-url"), "eu-south-1")
    assert is_offered(option("ec2"), "eu-south-2")


def test_usable_regions_are_resident_and_offered() -> None:
    asked = need("eu", ["us-east-1", "eu-south-2", "eu-west-1"])
    assert usable_regions(option("ec2"), asked) == ("eu-south-2", "eu-west-1")
    assert usable_regions(option("lambda-url"), asked) == ("eu-west-1",)
    assert usable_regions(option("ec2"), asked, ["us-east-1"]) == ()
    assert usable_regions(option("kubernetes"), asked, ["your cluster"]) == ("your cluster",)


def test_a_cheaper_region_elsewhere_is_not_chosen() -> None:
    asked = need(regions=["us-east-1", "eu-west-1"])
    here = need("eu", ["us-east-1", "eu-west-1"])
    only = ["ec2", "ecs-fargate", "lambda-url"]
    assert {r.region for r in recommend(asked, options=only, doubt=False).ranking} == {"us-east-1"}
    assert {r.region for r in recommend(here, options=only, doubt=False).ranking} == {"eu-west-1"}
