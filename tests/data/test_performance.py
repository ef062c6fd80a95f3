"""Integrity of the performance data, and what the lookups make of it."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import yaml

from advisor.errors import CatalogError, InputError
from advisor.prices import load_book
from advisor.requirements import Cloud, parse
from advisor.sizing import performance_data
from advisor.sizing.performance import (
    cold_start,
    cpu_speed,
    cpu_speeds,
    family_of,
    gpu_speed,
    gpu_speeds,
    keep_alive_s,
    lambda_cold_start_s,
    lambda_vcpu,
    model_class,
    model_classes,
    serverless_speed,
)
from advisor.sizing.performance_data import (
    DATA,
    class_rows,
    cold_starts,
    cpu_scores,
    gpu_cards,
)
from advisor.workload import resolve

FAMILIES = [(cloud, family) for cloud, rows in cpu_scores().families.items() for family in rows]


def test_m5_is_the_reference() -> None:
    speed = cpu_speed("aws", "m5")
    assert speed.alone == 1
    assert speed.busy == cpu_scores().smt_factor.value
    assert speed.confidence == "measured"


def test_smt_factor_is_the_median_over_families_without_hyper_threads() -> None:
    ratios = [
        row.alone / row.all_busy
        for rows in cpu_scores().families.values()
        for row in rows.values()
        if row.threads_per_core == 1 and not row.burst and row.all_busy is not None
    ]
    assert len(ratios) >= 15
    assert cpu_scores().smt_factor.value == pytest.approx(statistics.median(ratios), abs=0.002)
    # If a vCPU that is a core lost speed among busy neighbours, these would scatter.
    assert max(ratios) / min(ratios) < 1.1


@pytest.mark.parametrize(("cloud", "family"), FAMILIES)
def test_every_family_has_plausible_speeds(cloud: str, family: str) -> None:
    row, speed = cpu_scores().families[cloud][family], cpu_speed(cloud, family)
    assert 0.4 < speed.alone < 4
    assert 0 < speed.busy <= speed.alone
    if row.threads_per_core == 1:
        assert speed.busy > 0.95 * speed.alone
    else:
        assert 0.5 < speed.busy / speed.alone < 0.95
    assert speed.confidence == ("derived" if row.basis else "measured")


@pytest.mark.parametrize(
    ("cloud", "machine", "family"),
    [
        ("aws", "ml.m5.xlarge", "m5"),
        ("aws", "c7i-flex.large", "c7i"),
        ("aws", "r8a.2xlarge", "m8a"),
        ("aws", "m6idn.8xlarge", "m6i"),
        ("aws", "c8gn.medium", "c8g"),
        ("aws", "i4i.large", "r6i"),
        ("azure", "Standard_D4s_v5", "Dsv5"),
        ("azure", "Standard_D16ads_v5", "Dasv5"),
        ("azure", "Standard_E8-4s_v5", "Esv5"),
        ("azure", "Standard_F4s_v2", "Fsv2"),
        ("azure", "Standard_NC24ads_A100_v4", "NCadsA100v4"),
        ("azure", "Standard_DS2_v2", "DSv2"),
        ("gcp", "n2-standard-4", "n2"),
        ("gcp", "custom-4-8192", "n1"),
        ("gcp", "a3-highgpu-8g", "c3"),
    ],
)
def test_machine_types_find_their_family(cloud: str, machine: str, family: str) -> None:
    expected, found = cpu_speed(cloud, family), cpu_speed(cloud, machine)
    assert (found.alone, found.busy) == (expected.alone, expected.busy)
    assert cpu_speed(cloud, family_of(cloud, machine)) == found


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_unknown_family_is_the_slowest_and_says_so(cloud: str) -> None:
    speed = cpu_speed(cloud, "zz99")
    steady = [
        cpu_speed(cloud, family)
        for family, row in cpu_scores().families[cloud].items()
        if not row.burst
    ]
    assert speed.busy == min(s.busy for s in steady)
    assert speed.confidence == "estimate"
    assert "zz99 is not measured" in speed.source


def test_every_cloud_of_the_requirements_has_a_speed() -> None:
    for cloud in Cloud:
        assert cpu_speed(cloud, "m5").busy > 0
    assert cpu_speed("own-hardware", "anything").alone == 1
    with pytest.raises(InputError, match="no cloud 'mars'"):
        cpu_speed("mars", "m5")


def test_many_families_at_once_are_the_same_as_one_by_one() -> None:
    names = ["m5", "c7g", "nope", "m5", "r8a"]
    alone, busy = cpu_speeds("aws", np.array(names))
    for i, name in enumerate(names):
        assert (alone[i], busy[i]) == (cpu_speed("aws", name).alone, cpu_speed("aws", name).busy)
    empty, _ = cpu_speeds("aws", [])
    assert empty.shape == (0,)


def test_same_cpu_patterns_never_hide_a_measured_family() -> None:
    for cloud, family in FAMILIES:
        assert "taken as" not in cpu_speed(cloud, family).source
    for cloud, rules in cpu_scores().same_cpu.items():
        patterns = [rule.pattern.pattern for rule in rules]
        assert len(set(patterns)) == len(patterns), cloud


def test_a10g_is_the_reference_gpu() -> None:
    assert gpu_speed("NVIDIA A10G").relative == pytest.approx(1)
    cards = {card.name: gpu_speed(card.name) for card in gpu_cards().cards}
    order = ["NVIDIA T4", "NVIDIA L4", "NVIDIA A10G", "NVIDIA L40S", "NVIDIA H100"]
    speeds = [cards[name].relative for name in order]
    assert speeds == sorted(speeds)
    assert cards["NVIDIA L4"].relative == pytest.approx(math.sqrt(53.5 / 94.2 * 2670 / 3701))


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA T4", "NVIDIA T4G", "NVIDIA L4", "NVIDIA A10", "NVIDIA A10G", "NVIDIA V100",
        "NVIDIA A100", "NVIDIA A100 40GB", "NVIDIA A100 80GB", "NVIDIA L40S", "NVIDIA H100",
        "NVIDIA H100 80GB", "NVIDIA H100 Mega 80GB", "NVIDIA H200", "NVIDIA RTX Pro 6000",
        "NVIDIA RTX PRO 6000", "NVIDIA B200", "NVIDIA B300", "AMD MI300X",
    ],
)  # fmt: skip
def test_gpu_names_of_price_lists_are_known(name: str) -> None:
    speed = gpu_speed(name)
    assert 0.3 < speed.relative < 4
    assert speed.usable_gb >= 15


def test_every_gpu_of_the_price_book_is_known() -> None:
    book = load_book()
    names = {
        spec.gpu_name for cloud in ("aws", "gcp", "azure") for spec in book.specs(cloud).values()
    }
    unknown = {name for name in names if name and "is not in the data" in gpu_speed(name).source}
    assert len(names) > 10
    assert not unknown


def test_most_machines_of_the_price_book_have_a_score() -> None:
    book = load_book()
    for cloud, service, region in (
        ("aws", "ec2", "us-east-1"),
        ("aws", "sagemaker", "us-east-1"),
        ("gcp", "gce", "us-central1"),
        ("azure", "azure-vm", "eastus"),
    ):
        families = book.machines(service, region).family
        confident = [cpu_speed(cloud, str(f)).confidence != "estimate" for f in families]
        assert np.mean(confident) > 0.7, service


def test_gpus_that_no_model_is_sized_for_are_zero_with_a_reason() -> None:
    for name in ("NVIDIA K80", "AWS Inferentia2", "AMD V520", "GPU of the future", ""):
        assert gpu_speed(name).relative == 0
        assert gpu_speed(name).source
    relative, usable = gpu_speeds(["NVIDIA T4", "", "NVIDIA K80", "NVIDIA T4"])
    assert relative.tolist() == [gpu_speed("NVIDIA T4").relative, 0, 0, relative[0]]
    assert usable.tolist() == [15, 0, 0, 15]


def test_stand_ins_exist_and_names_are_unique() -> None:
    cards = gpu_cards().cards
    names = [name for card in cards for name in (card.name, *card.aliases)]
    assert len(set(names)) == len(names)
    rated = {card.name for card in cards if card.generate_tok_s}
    assert {card.stands_in for card in cards if card.stands_in} <= rated


def test_lambda_has_a_vcpu_for_every_1769_mb_up_to_its_cap() -> None:
    assert lambda_vcpu(1769) == 1
    assert lambda_vcpu(3538.0) == 2
    assert lambda_vcpu(10240) == pytest.approx(5.79, abs=0.01)
    assert lambda_vcpu(np.array([884.5, 20_000])).tolist() == [0.5, 5.79]
    with pytest.raises(InputError, match="memory_mb is 0"):
        lambda_vcpu(0)


def test_lambda_initialisation_beyond_its_limit_is_paid_twice() -> None:
    assert lambda_cold_start_s(0.2, 3) == pytest.approx(3.2)
    assert lambda_cold_start_s(0.2, 12) == pytest.approx(22.2)


def test_serverless_speeds_lie_in_their_ranges() -> None:
    for platform in ("lambda", "fargate", "sagemaker-serverless", "own-node"):
        speed = serverless_speed(platform)
        assert speed.low <= speed.alone <= speed.high
        assert speed.busy < speed.alone
    arm = serverless_speed("fargate", "arm")
    assert arm == serverless_speed("fargate", "arm64")
    assert arm.busy == arm.alone
    with pytest.raises(InputError, match="no architecture 'arm'"):
        serverless_speed("sagemaker-serverless", "arm")
    with pytest.raises(InputError, match="no serverless platform 'lamda'; did you mean lambda"):
        serverless_speed("lamda")
    assert keep_alive_s("lambda") == 600
    with pytest.raises(InputError, match="no keep-alive"):
        keep_alive_s("ecs-fargate")


def test_start_times_are_known_for_every_option() -> None:
    options = [
        *("sagemaker-realtime", "sagemaker-serverless", "sagemaker-async", "sagemaker-batch"),
        *("vertex-online", "vertex-batch", "azureml-online", "azureml-batch"),
        *("lambda-apigateway", "lambda-url", "ecs-fargate", "ecs-ec2", "eks", "ec2"),
        *("aws-batch", "kubernetes", "docker-host"),
    ]
    assert set(cold_starts().options) == set(options)
    for option in options:
        assert cold_start(option).source
    assert cold_start("docker-host").scale_out_s is None
    with pytest.raises(InputError, match="did you mean"):
        cold_start("lambda-uri")


def test_unknown_class_suggests_close_ones() -> None:
    with pytest.raises(InputError, match="random-forest-100") as error:
        model_class("random-forest")
    assert "random-forest'" in str(error.value)


def test_classes_are_about_twenty_with_a_source_and_a_derivation() -> None:
    classes = model_classes()
    assert 20 <= len(classes) <= 40
    assert sum(c.gpu for c in classes.values()) >= 4
    for c in classes.values():
        assert c.source
        assert c.derivation
        assert c.memory_mb > c.size_mb or c.gpu
        if c.gpu_memory_gb is not None:
            assert c.gpu_memory_gb * 1000 > c.size_mb


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", 0.7 * 1.61 + 1),
        ("random-forest-100", 13 * 1.61 + 1),
        ("random-forest-500", 55 * 1.61 + 1),
        ("distilbert", 55.6 * 2 * 1.73 + 1),
        ("llm-7b-gpu", 500 / 3.701 + 200 / 0.0942 + 1),
        ("yolo11m-gpu", 4.7 * gpu_speed("NVIDIA T4").relative + 1),
        ("whisper-large-gpu", 54 / 780 * 30 * 1030 + 1),
    ],
)
def test_derivations_add_up(name: str, expected: float) -> None:
    assert class_rows().serving_overhead_ms.value == 1
    assert model_class(name).service_time_ms == pytest.approx(expected, rel=0.03)


def test_every_class_resolves_into_a_workload() -> None:
    for c in model_classes().values():
        model = {"format": "other", "size_mb": c.size_mb, "memory_mb": c.memory_mb}
        need = parse(
            {
                "model": {**model, "model_class": c.name, "gpu": c.gpu},
                "traffic": {"mode": "realtime", "requests_per_month": 1000},
            }
        )
        work = resolve(need)
        assert work.service_time_ms == c.service_time_ms
        assert work.service_time_assumed


def test_share_alike_files_carry_licence_and_attribution() -> None:
    for name in ("cpu_scores.yaml", "gpu.yaml"):
        head = (DATA / name).read_text(encoding="utf-8")[:1200]
        assert "CC BY-SA 4.0" in head
        assert "SpareCores/sc-inspector-data" in head
        assert "804d3c7" in head
    licences = (DATA / "LICENSES.md").read_text(encoding="utf-8")
    for path in DATA.glob("*.yaml"):
        assert path.name in licences


def test_every_file_says_when_it_was_checked() -> None:
    for path in DATA.glob("*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["checked"].year >= 2026


def test_damaged_data_names_the_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DATA / "gpu.yaml").read_text(encoding="utf-8").replace("usable_gb: 22", "usable_gb: -1")
    (tmp_path / "gpu.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(performance_data, "DATA", tmp_path)
    with pytest.raises(CatalogError, match="usable_gb"):
        performance_data.gpu_cards.__wrapped__()
    with pytest.raises(CatalogError, match="cannot read"):
        performance_data.cold_starts.__wrapped__()
