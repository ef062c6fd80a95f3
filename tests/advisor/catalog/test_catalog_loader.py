"""Reading the comparison table: typed access, and damage that is named."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from pathlib import Path

import pytest
import yaml

from advisor.catalog import loader
from advisor.catalog.loader import comparison_table, load_option, load_options, option
from advisor.errors import CatalogError, InputError
from advisor.requirements import Model, ModelFormat, Skill


@pytest.fixture
def damaged(tmp_path: Path):
    """An option file to spoil: `damaged(change)` loads it after `change(data)`."""

    def load(change, option_id: str = "ec2"):
        path = tmp_path / f"{option_id}.yaml"
        shutil.copy(loader.OPTIONS / f"{option_id}.yaml", path)
        data = yaml.safe_load(path.read_text())
        change(data)
        path.write_text(yaml.safe_dump(data))
        return load_option(path)

    return load


def test_a_number_without_a_published_limit_is_infinite() -> None:
    assert option("ecs-fargate").number("max_request_mb") == math.inf
    assert option("sagemaker-realtime").number("max_request_mb") == 25


def test_an_estimate_is_its_expected_value() -> None:
    assert option("sagemaker-async").number("cold_start_s") == 300


def test_assumptions_are_shared_unless_an_option_has_its_own() -> None:
    assert option("ec2").number("overhead_ms") == 3
    assert option("eks").number("overhead_ms") == 6
    assert option("sagemaker-async").number("scale_in_idle_s") == 900


def test_flags_and_texts() -> None:
    assert option("ec2").flag("host_access")
    assert not option("sagemaker-realtime").flag("model_in_image")
    assert option("ec2").text("disk_sku") == "ebs.gp3_gb_month"
    assert option("vertex-online").text("log_storage_sku") == ""
    assert option("ec2").text("traffic_shift") == "by hand"


def test_the_wrong_kind_of_access_is_an_error() -> None:
    with pytest.raises(CatalogError, match="not a number"):
        option("ec2").number("auth")
    with pytest.raises(CatalogError, match="neither true nor false"):
        option("ec2").flag("max_request_mb")
    with pytest.raises(CatalogError, match="no fact 'colour'"):
        option("ec2").fact("colour")
    with pytest.raises(CatalogError, match="neither a fact nor an assumption"):
        option("ec2").number("colour")
    with pytest.raises(CatalogError, match="no alarm_sku"):
        option("vertex-online").text("alarm_sku")
    with pytest.raises(CatalogError, match="no level 'speed'"):
        option("ec2").level("speed")


def test_an_unknown_option_names_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean sagemaker-realtime"):
        option("sagemaker-real-time")
    with pytest.raises(InputError, match="use sagemaker-realtime"):
        option("zzz")


def test_the_image_holds_the_runtime_and_the_model_where_it_is_baked_in() -> None:
    plain = Model(format=ModelFormat.onnx, size_mb=1000, memory_mb=1, service_time_ms=1)
    with_gpu = plain.model_copy(update={"gpu": True})
    runtime = loader.assumptions().runtime_image_mb
    assert option("lambda-url").image_mb(plain) == runtime.formats[ModelFormat.onnx] + 1000
    assert option("sagemaker-realtime").image_mb(plain) == runtime.formats[ModelFormat.onnx]
    assert option("ec2").image_mb(with_gpu) - option("ec2").image_mb(plain) == runtime.gpu


def test_task_sizes_are_spelt_out() -> None:
    sizes = {(s.vcpu, s.memory_gb) for s in option("ecs-fargate").task_sizes}
    assert {(0.25, 0.5), (1, 8), (16, 120)} <= sizes


def test_facts_read_well() -> None:
    assert option("ec2").fact("max_image_gb").shown() == "no published limit"
    assert option("ec2").fact("host_access").shown() == "yes"
    assert option("ecs-fargate").fact("max_memory_mb").shown() == "122,880"
    assert option("sagemaker-realtime").fact("sla_percent").shown() == "99.95"
    assert option("ecs-fargate").fact("cold_start_s").shown() == "15 to 90, about 45"
    assert option("sagemaker-realtime").fact("cold_start_s").shown() == "0"
    assert option("kubernetes").fact("compliance").shown() == "none named"
    assert option("sagemaker-realtime").fact("max_request_mb").said() == "25 MB"
    assert option("ec2").fact("max_image_gb").said() == "no published limit"
    assert option("ec2").fact("lock_in").said() == "1 of 5"


def test_the_table_is_flat_and_plain() -> None:
    rows = comparison_table()
    assert len(rows) == sum(len(o.facts) for o in load_options().values())
    assert json.loads(json.dumps(rows, allow_nan=False)) == json.loads(json.dumps(rows))
    text = io.StringIO()
    csv.DictWriter(text, list(rows[0])).writerows(rows)
    first = rows[0]
    assert (first["option"], first["fact"], first["group"]) == (
        "sagemaker-realtime", "serving", "Requests",
    )  # fmt: skip
    assert all(row["source"] and row["checked"] and row["shown"] for row in rows)


def test_an_option_survives_the_way_to_json() -> None:
    for one in load_options().values():
        json.dumps(one.model_dump(mode="json"), allow_nan=False)


def test_the_options_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load_options()["ec2"] = option("eks")  # type: ignore[index]


def test_skill_and_an_existing_cluster_change_the_hours() -> None:
    people = loader.people()
    ec2, eks, url = option("ec2"), option("eks"), option("lambda-url")
    expert, _ = people.hours(ec2, Skill.expert, False)
    nobody, _ = people.hours(ec2, Skill.none, False)
    assert expert.expected < ec2.people.monthly_hours.expected < nobody.expected
    alone, _ = people.hours(eks, Skill.intermediate, False)
    beside, setup = people.hours(eks, Skill.intermediate, True)
    assert beside.expected == pytest.approx(alone.expected * people.existing_cluster.monthly_factor)
    assert setup.expected < eks.people.setup_hours.expected
    assert people.hours(ec2, Skill.basic, True) == people.hours(ec2, Skill.basic, False)
    # A function has no hosts to know about, so it takes the factors of a managed service.
    assert people.hours(url, Skill.basic, False)[0].expected == pytest.approx(
        url.people.monthly_hours.expected * people.skill_factors.managed[Skill.basic]
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(colour="red"), "colour: Extra inputs"),
        (lambda d: d.update(kind="rented"), "kind"),
        (lambda d: d.update(id="ec3"), "has the id 'ec3'"),
        (lambda d: d["facts"].pop("gpu"), "lacks the facts gpu"),
        (lambda d: d["facts"]["gpu"].pop("source"), "gpu has no source"),
        (lambda d: d["facts"]["gpu"].update(source="hearsay"), "no source 'hearsay'"),
        (lambda d: d["facts"]["gpu"].update(value="maybe"), "not the flag"),
        (lambda d: d["facts"]["max_image_gb"].update(unit="MB"), "in 'MB', not in 'GB'"),
        (lambda d: d["facts"]["max_image_gb"].pop("text"), "None, not the number"),
        (lambda d: d["facts"]["max_image_gb"].update(value=True), "not the number"),
        (lambda d: d["facts"]["gpu"].update(confidence="sure"), "confidence"),
        (lambda d: d["facts"]["gpu"].pop("checked"), "checked"),
        (lambda d: d["facts"].update(colour=d["facts"]["gpu"]), "colour is not a fact"),
        (lambda d: d["facts"]["setup_hours"]["value"].update(low=9), "does not hold"),
        (lambda d: d["facts"]["min_replicas"].update(value=float("inf")), "finite"),
        (
            lambda d: d["assumptions"]["single_replica_availability_percent"].update(source="x"),
            "no source 'x'",
        ),
    ],
)
def test_damage_is_named(damaged, change, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        damaged(change)


def test_a_new_option_needs_no_other_file(tmp_path: Path) -> None:
    data = yaml.safe_load((loader.OPTIONS / "ec2.yaml").read_text())
    path = tmp_path / "nomad.yaml"
    path.write_text(yaml.safe_dump(data | {"id": "nomad"}))
    with pytest.raises(CatalogError, match="nomad has no people"):
        load_option(path)
    hours = {"low": 1, "expected": 2, "high": 3}
    data |= {
        "id": "nomad",
        "people": {"monthly_hours": hours, "setup_hours": hours, "rationale": "guess"},
        "levels": loader.weights().model_dump()["levels"]["ec2"],
    }
    path.write_text(yaml.safe_dump(data))
    assert load_option(path).level("control") == option("ec2").level("control")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ec2.yaml"
    path.write_text("id: [")
    with pytest.raises(CatalogError, match=r"cannot read ec2\.yaml"):
        load_option(path)
    path.write_text("- just\n- a list\n")
    with pytest.raises(CatalogError, match="not a mapping"):
        load_option(path)
