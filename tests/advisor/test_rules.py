"""The rules engine: what is checked when a rule is loaded, and what happens when it is asked."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from advisor.catalog.loader import load_options, option
from advisor.errors import InputError, RuleError
from advisor.requirements import Requirements, parse
from advisor.rule_fields import answer_paths, fields
from advisor.rule_text import plain, render
from advisor.rule_values import matched_values, need_values, option_values, plan_values
from advisor.rules import Outcome, PlanFacts, PolicyFile, contradictions, load_rules
from advisor.workload import Workload, resolve

BASE = {
    "model": {"format": "onnx", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
}


def need(**answers: Any) -> Requirements:
    data = copy.deepcopy(BASE)
    for path, value in answers.items():
        section, name = path.split("__")
        data.setdefault(section, {})[name] = value
    return parse(data)


def work(**answers: Any) -> Workload:
    return resolve(need(**answers))


def rule(**given: Any) -> dict[str, Any]:
    return {"id": "mine", "kind": "warn", "when": "need.gpu", "because": "so"} | given


@pytest.fixture
def policy(tmp_path: Path):
    """Writes a policy file of these rules and returns its path."""

    def write(*rules: dict[str, Any], name: str = "House rules", file: str = "house.yaml") -> Path:
        path = tmp_path / file
        path.write_text(yaml.safe_dump({"name": name, "rules": list(rules)}))
        return path

    return write


def of(outcome: Outcome, rule_id: str) -> list[Any]:
    every = (*outcome.excluded, *outcome.warnings, *outcome.preferred)
    return [one for one in every if one.rule == rule_id]


# Checked when loaded


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"when": "need.request_gb > 1.0"},
            r"'need\.request_gb' is not a known field; did you mean need\.request_mb",
        ),
        (
            {"when": "need.request_mb > 'big'"},
            r"column 17: '>' does not go with a number and a text",
        ),
        ({"when": "need.request_mb > 25"}, r"numbers have a decimal point, 25\.0"),
        ({"when": "need.request_mb * 2.0"}, "gives double, not true or false"),
        ({"when": "dyn(need.gpu)"}, "gives dyn, not true or false"),
        ({"when": "need.gpu &&"}, "ends too early; complete it"),
        ({"when": "need.gpu = true"}, "'=' cannot stand here"),
        (
            {"when": "need.mode == 'real-time'"},
            r"need\.mode is never 'real-time'; it is one of async, batch, realtime",
        ),
        ({"when": "'real-time' == need.mode"}, "is never 'real-time'"),
        ({"when": "need.mode in ['batch', 'nightly']"}, "is never 'nightly'"),
        ({"when": "'gpc' in need.clouds"}, r"need\.clouds is never 'gpc'"),
        ({"when": "option.id == 'ec3'"}, r"option\.id is never 'ec3'"),
        (
            {"when": "plan.monthly_usd > 5.0"},
            r"plan\.monthly_usd, which is known after sizing; set phase: plan",
        ),
        ({"because": "{need.request_gb} MB"}, r"because: 'need\.request_gb' is not a known field"),
        ({"because": "{request_mb} MB"}, "a brace without a field"),
        ({"because": "costs {plan.monthly_usd}"}, "set phase: plan"),
        ({"options": ["ec3"]}, "there is no option 'ec3'; did you mean"),
        ({"except": ["ec3"]}, "there is no option 'ec3'"),
        ({"options": ["ec2"], "kinds": ["managed"]}, "let no option through"),
        ({"source": "fact:colour"}, "there is no fact 'colour'"),
        ({"source": "fact:client_request_mb"}, "has no fact 'client_request_mb' to cite"),
        (
            {"kind": "exclude", "relax": [{"field": "traffic.request_gb", "to": "1.0"}]},
            "'traffic.request_gb' is not a requirement; did you mean traffic.request_mb",
        ),
        (
            {"kind": "exclude", "relax": [{"field": "traffic.request_mb", "to": "'1'"}]},
            "gives string, but traffic.request_mb is a number",
        ),
        (
            {"kind": "exclude", "relax": [{"field": "traffic.request_mb", "to": "null"}]},
            "is a number; give it one",
        ),
        (
            {"kind": "exclude", "relax": [{"field": "model.gpu", "to": "fals"}]},
            "relax model.gpu, to: line 1",
        ),
        (
            {"kind": "exclude", "relax": [{"field": "model.gpu", "to": "false", "when": "1.0"}]},
            "not true or false",
        ),
    ],
)
def test_a_wrong_rule_is_named_with_its_file(policy, given: dict[str, Any], said: str) -> None:
    with pytest.raises(RuleError, match=said) as caught:
        load_rules([policy(rule(**given))])
    assert "house.yaml: rule 'mine'" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "forbidden"}, r"kind is 'forbidden'; did you mean forbid\?"),
        ({"wehn": "true"}, r"wehn is not a known key; did you mean when\? \(line \d+\)"),
        ({"kind": "prefer"}, "a rule of kind prefer needs points other than 0"),
        ({"points": 0.5}, "a rule of kind warn cannot have points"),
        ({"kind": "prefer", "points": 2}, "points: input should be less than or equal to 1"),
        ({"criterion": "cost"}, "cannot have a criterion"),
        ({"relax": [{"field": "model.gpu", "to": "false"}]}, "cannot have relax"),
        ({"clouds": ["gpc"]}, "clouds.0"),
        ({"phase": "later"}, "phase"),
    ],
)
def test_a_wrong_shape_is_named_with_its_rule(policy, given: dict[str, Any], said: str) -> None:
    with pytest.raises(RuleError, match=said) as caught:
        load_rules([policy(rule(**given))])
    assert "house.yaml: rule 'mine'" in str(caught.value)


def test_a_rule_without_an_id_is_named_by_its_place(policy) -> None:
    with pytest.raises(RuleError, match=r"rule 'Mine': id: string should match"):
        load_rules([policy(rule(id="Mine"))])
    nameless = rule()
    del nameless["id"]
    with pytest.raises(RuleError, match=r"rule number 1: id is missing"):
        load_rules([policy(nameless)])


def test_two_rules_of_one_id_are_refused(policy) -> None:
    with pytest.raises(RuleError, match=r"'payload-in' stands in rules\.yaml already"):
        load_rules([policy(rule(id="payload-in"))])
    with pytest.raises(RuleError, match=r"'mine' stands in house\.yaml already"):
        load_rules([policy(rule(), rule())])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"cannot read the policy file .*nowhere\.yaml"):
        load_rules([tmp_path / "nowhere.yaml"])
    path = tmp_path / "broken.yaml"
    path.write_text("rules: [")
    with pytest.raises(RuleError, match=r"broken\.yaml is not valid YAML"):
        load_rules([path])
    path.write_text("[" * 5000)
    with pytest.raises(RuleError, match=r"broken\.yaml"):
        load_rules([path])
    path.write_text("just text")
    with pytest.raises(RuleError, match=r"broken\.yaml"):
        load_rules([path])
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RuleError, match=r"broken\.yaml"):
        load_rules([path])
    path.write_text("name: x\nrules: []\n")
    with pytest.raises(RuleError, match="at least 1 item"):
        load_rules([path])


def test_rule_errors_are_wrong_input(policy) -> None:
    with pytest.raises(InputError) as caught:
        load_rules([policy(rule(when="nothing"))])
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


# Asked


def test_a_limit_excludes_with_both_numbers_and_its_source() -> None:
    outcome = load_rules().evaluate(option("sagemaker-realtime"), work(traffic__request_mb=800))
    (fired,) = of(outcome, "payload-in")
    assert fired.because == "800 MB request > 25 MB limit"
    assert "Model Hosting FAQs" in fired.source
    assert fired.relaxations == (("traffic.request_mb", 25.0),)
    assert fired.policy == ""


def test_a_limit_that_nobody_published_excludes_nothing() -> None:
    huge = work(traffic__request_mb=90_000, service__p95_ms=3_000_000)
    for option_id in ("ecs-fargate", "ec2", "azureml-online"):
        assert option(option_id).fact("max_request_mb").value is None
        assert not of(load_rules().evaluate(option(option_id), huge), "payload-in")


def test_exactly_the_limit_fits() -> None:
    rules = load_rules()
    assert not of(rules.evaluate(option("lambda-url"), work(traffic__request_mb=6)), "payload-in")
    assert of(rules.evaluate(option("lambda-url"), work(traffic__request_mb=6.001)), "payload-in")


def test_plan_rules_wait_for_the_plan() -> None:
    asked, rules = work(budget__monthly_usd=5), load_rules()
    assert not of(rules.evaluate(option("ec2"), asked), "budget")
    outcome = rules.evaluate(option("ec2"), asked, PlanFacts(monthly_usd=71.5))
    (fired,) = of(outcome, "budget")
    assert fired.because == "$71.5 a month > $5 budget"
    assert not of(outcome, "yours-to-run")  # the need phase was asked before


def test_an_unknown_figure_of_a_plan_excludes_nothing() -> None:
    asked = work(budget__monthly_usd=5)
    outcome = load_rules().evaluate(option("ec2"), asked, PlanFacts(monthly_usd=None))
    assert not outcome.excluded


def test_a_rule_that_fails_is_an_error_and_never_a_no(policy) -> None:
    failing = rule(when="[1, 2][int(need.skill_rank) + 5] == 1")
    rules = load_rules([policy(failing)])
    with pytest.raises(RuleError, match=r"house\.yaml: rule 'mine' failed"):
        rules.evaluate(option("ec2"), work())


def test_filters_narrow_each_other(policy) -> None:
    path = policy(
        rule(
            id="aws-self-hosted",
            when="true",
            kinds=["self-hosted"],
            clouds=["aws"],
            **{"except": ["ec2"]},
        )
    )
    rules, asked = load_rules([path]), work()
    fired = {
        o.id for o in load_options().values() if of(rules.evaluate(o, asked), "aws-self-hosted")
    }
    assert fired == {
        "lambda-apigateway", "lambda-url", "ecs-fargate", "ecs-ec2", "eks", "aws-batch",
    }  # fmt: skip


def test_relaxations_go_together_where_one_is_not_enough() -> None:
    both = work(
        model__service_time_ms=90_000, service__max_processing_s=100, service__p95_ms=99_999
    )
    (fired,) = of(load_rules().evaluate(option("sagemaker-realtime"), both), "processing-time")
    assert dict(fired.relaxations) == {
        "service.max_processing_s": 60.0, "model.service_time_ms": 60_000.0,
    }  # fmt: skip
    resolved = work(model__service_time_ms=90_000, service__p95_ms=99_999)
    (fired,) = of(load_rules().evaluate(option("sagemaker-realtime"), resolved), "processing-time")
    assert dict(fired.relaxations) == {"model.service_time_ms": 60_000.0}


def test_relaxed_answers_have_the_type_of_the_requirement() -> None:
    (fired,) = of(
        load_rules().evaluate(option("sagemaker-serverless"), work(control__models_per_endpoint=9)),
        "several-models",
    )
    assert fired.relaxations == (("control.models_per_endpoint", 1),)
    assert isinstance(fired.relaxations[0][1], int)
    (fired,) = of(
        load_rules().evaluate(option("ec2"), work(control__data_residency="eu")), "residency"
    )
    assert fired.relaxations == (("placement.regions", "eu-west-1"),)
    (nowhere,) = of(
        load_rules().evaluate(option("ec2"), work(control__data_residency="fj")), "residency"
    )
    assert nowhere.relaxations == (("control.data_residency", None),)


# Policies on top


def test_a_policy_is_named_in_the_reason(policy) -> None:
    path = policy(
        rule(
            id="no-ec2", kind="exclude", options=["ec2"], when="true", because="no virtual machines"
        ),
        rule(
            id="eu-only",
            kind="exclude",
            clouds=["aws"],
            when="!option.regions_asked.exists(r, r.startsWith('eu-'))",
            because="{option.regions_asked} is not in the EU",
            source="Data protection handbook, 4.2",
        ),
        name="Platform board 2026",
    )
    rules = load_rules([path])
    assert rules.policies == ("Platform board 2026",)
    outcome = rules.evaluate(option("ec2"), work())
    (no_ec2,), (eu_only,) = of(outcome, "no-ec2"), of(outcome, "eu-only")
    assert no_ec2.because == "no virtual machines (policy: Platform board 2026)"
    assert no_ec2.source == "policy Platform board 2026 (house.yaml)"
    assert eu_only.because == "us-east-1 is not in the EU (policy: Platform board 2026)"
    assert eu_only.source == "Data protection handbook, 4.2"
    assert of(outcome, "yours-to-run"), "the built-in rules still hold"
    assert not of(rules.evaluate(option("eks"), work(placement__regions=["eu-west-1"])), "eu-only")


def test_a_policy_without_a_name_goes_by_its_file(policy) -> None:
    rules = load_rules([policy(rule(when="true"), name="", file="no-ec2.yaml")])
    assert rules.policies == ("no-ec2",)
    (fired,) = of(rules.evaluate(option("ec2"), work()), "mine")
    assert fired.because == "so (policy: no-ec2)"


def test_several_policies_add_up(policy) -> None:
    one = policy(rule(id="one", when="true"), name="One", file="one.yaml")
    two = policy(rule(id="two", when="true"), name="Two", file="two.yaml")
    rules = load_rules([one, two])
    assert rules.policies == ("One", "Two")
    outcome = rules.evaluate(option("ec2"), work())
    assert of(outcome, "one")
    assert of(outcome, "two")


def test_rules_are_compiled_once_until_a_file_changes(policy) -> None:
    path = policy(rule(when="true"))
    first = load_rules([path])
    assert load_rules([str(path)]) is first
    policy(rule(id="other", when="true", because="a longer sentence than before"))
    again = load_rules([path])
    assert again is not first
    assert {r.id for r in again.rules} - {r.id for r in load_rules().rules} == {"other"}


def test_contradictions_are_found(policy) -> None:
    path = policy(
        rule(id="for", kind="prefer", when="need.gpu", points=0.5, options=["ec2", "eks"]),
        rule(id="against", kind="exclude", when=" need.gpu ", options=["eks"]),
        rule(id="unlike", kind="exclude", when="!need.gpu", options=["eks"]),
    )
    assert contradictions(load_rules([path])) == [("for", "against", "eks")]


def test_the_schema_of_policies_is_json() -> None:
    schema = json.loads(json.dumps(PolicyFile.model_json_schema()))
    assert schema["required"] == ["rules"]
    assert "except" in schema["$defs"]["Rule"]["properties"]


# Fields


def test_every_field_has_a_value_of_its_type() -> None:
    asked = work(service__max_processing_s=5, control__data_residency="us")
    plan = PlanFacts(p95_ms=1, machine="m")
    kinds = {"number": float, "flag": bool, "text": str, "list": list}
    for one in load_options().values():
        values = {**need_values(asked), **option_values(one), **matched_values(one, asked)}
        values |= plan_values(plan)
        assert set(values) == set(fields())
        for name, kind in fields().items():
            assert isinstance(values[name], kinds[kind]), name


def test_fields_follow_the_requirements() -> None:
    known = fields()
    assert {
        "need.request_mb",
        "need.devops_skill",
        "need.budget_monthly_usd",
        "need.today_monthly_usd",
    } <= set(known)
    assert "need.monthly_usd" not in known
    assert "need.p95_ms_known" in known
    assert "need.request_mb_known" not in known
    assert known["need.clouds"] == "list"
    assert "traffic.pattern" in answer_paths()
    assert "team.assumptions" not in answer_paths()


def test_derived_fields() -> None:
    values = need_values(
        work(
            model__service_time_ms=100,
            traffic__requests_per_month=2_628_000 * 2,
            team__devops_skill="expert",
        )
    )
    assert values["need.mean_per_s"] == pytest.approx(2)
    assert values["need.peak_to_mean"] == pytest.approx(1)
    assert values["need.concurrency_peak"] == pytest.approx(0.2)
    assert values["need.busy_percent"] == pytest.approx(20)
    assert values["need.requests_per_day"] == pytest.approx(172_800)
    assert values["need.work_vcpu_hours"] == pytest.approx(146)
    assert values["need.run_vcpu_hours"] == pytest.approx(146 / 730 * 24)
    assert values["need.skill_rank"] == 3
    assert values["need.max_processing_s"] == pytest.approx(0.1)
    assert values["need.max_processing_s_known"] is False
    assert values["need.budget_monthly_usd"] == math.inf
    assert values["need.budget_monthly_usd_known"] is False


def test_a_pattern_of_your_own_is_custom() -> None:
    week = [1.0] * 168
    assert need_values(work(traffic__pattern=week))["need.pattern"] == "custom"
    assert need_values(work())["need.pattern"] == "steady"


def test_plan_facts_come_from_the_sizing() -> None:
    from advisor.recommendation import Range
    from advisor.sizing.sized import Sized

    sized = Sized(
        strategy="fleet", machine="m5.large", arch="x86_64", vcpu=2, memory_mb=8192,
        usd_per_hour=0.1, price_source="", price_as_of="", model="", service_time_ms=20, servers=2,
        replicas_min=1, replicas_max=3, replica_hours=900, hourly_replicas=(), utilisation=0.5,
        p95_ms=None, finish_h=2.0, min_p95_ms=90.0, infeasible="too slow",
    )  # fmt: skip
    facts = PlanFacts.of(sized, Range(low=1, expected=2, high=3), Range(low=4, expected=5, high=6))
    assert facts.infeasible
    assert (facts.monthly_usd, facts.total_monthly_usd) == (2, 5)
    assert plan_values(facts)["plan.min_p95_ms"] == 90
    assert math.isnan(plan_values(facts)["plan.p95_ms"])  # type: ignore[arg-type]
    assert PlanFacts.of(sized).monthly_usd is None


# Sentences


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (25.0, "25"),
        (10240.0, "10,240"),
        (1_814_400.0, "1,814,400"),
        (99.95, "99.95"),
        (99.995, "99.995"),
        (0.0625, "0.0625"),
        (0.00001, "1e-05"),
        (2 / 3, "0.667"),
        (65.7534, "65.7534"),
        (65.753424657, "65.8"),
        (657_534.2465, "657,534"),
        (math.inf, "unlimited"),
        (math.nan, "unknown"),
        (True, "yes"),
        ("ec2", "ec2"),
        (["aws", "gcp"], "aws, gcp"),
        ([], "none"),
    ],
)
def test_values_read_well(value: Any, text: str) -> None:
    assert plain(value) == text


def test_two_different_numbers_never_read_the_same() -> None:
    values = {"need.a": 100.41234567, "option.b": 100.3912345}
    assert render("{need.a} s > {option.b} s", values) == "100.41 s > 100.39 s"
    assert render("{need.a} of {need.a}", values) == "100 of 100"
