"""The built-in rules: each is seen to fire, cites a source, and its relaxations help."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from rule_cases import CASES, Case, need

from advisor.catalog.loader import fact_kinds, load_options, option, sources
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.rule_fields import fields
from advisor.rules import Fired, Outcome, contradictions, load_rules
from advisor.workload import resolve

DOCS = Path(__file__).parents[2] / "docs"
RULES = load_rules()
BY_ID = {rule.id: rule for rule in RULES.rules}
# Their relaxation changes the plan, so only a new sizing can tell whether it helped.
SIZED_AGAIN = {"sizing", "instances"}


def fired(outcome: Outcome, rule: str) -> Fired | None:
    every = (*outcome.excluded, *outcome.warnings, *outcome.preferred)
    return next((one for one in every if one.rule == rule), None)


def relaxed(asked: Requirements, one: Fired) -> Requirements:
    data: dict[str, Any] = copy.deepcopy(asked.model_dump(mode="json"))
    for path, value in one.relaxations:
        section, name = path.split(".")
        now = data[section][name]
        data[section][name] = [*now, value] if isinstance(now, list) else value
    return parse(data)


def test_no_rule_is_left_without_a_case() -> None:
    assert {case.rule for case in CASES} == set(BY_ID)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.rule)
def test_every_rule_is_seen_to_fire(case: Case) -> None:
    rule = BY_ID[case.rule]
    assert (rule.phase == "plan") == (case.plan is not None)
    one = fired(
        RULES.evaluate(option(case.option), resolve(need(case.answers)), case.plan), case.rule
    )
    assert one is not None
    assert case.says in one.because
    assert one.source
    assert "{" not in one.because


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.rule)
def test_every_rule_is_seen_to_fire_in_a_recommendation(case: Case) -> None:
    answer = recommend(need(case.answers), options=[case.option], doubt=False)
    excluded = {e.rule: e.because for e in answer.excluded}
    said = {r.rule: r.because for o in answer.ranking for r in (*o.reasons, *o.warnings)}
    assert case.says in (excluded | said)[case.rule]


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if BY_ID[c.rule].kind == "exclude" and c.rule not in SIZED_AGAIN],
    ids=lambda c: c.rule,
)
def test_relaxations_keep_the_rule_from_firing(case: Case) -> None:
    asked = need(case.answers)
    one = fired(RULES.evaluate(option(case.option), resolve(asked), case.plan), case.rule)
    assert one is not None
    assert one.relaxations
    after = RULES.evaluate(option(case.option), resolve(relaxed(asked, one)), case.plan)
    assert fired(after, case.rule) is None


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.rule)
def test_no_rule_fires_for_everyone(case: Case) -> None:
    """A condition that always holds says nothing; the founding tables' own warning is meant to."""
    if case.rule == "yours-to-run":
        return
    easy = resolve(need({"service.availability_percent": 99.9}))
    other = resolve(
        need(
            {
                "traffic.mode": "batch",
                "placement.clouds": ["aws", "gcp", "azure", "kubernetes", "own-hardware"],
                "placement.regions": ["us-east-1", "us-central1", "eastus"],
                "team.weeks_to_launch": 60,
                "placement.existing_cluster": True,
            }
        )
    )
    outcomes = [RULES.evaluate(option(case.option), work, case.plan) for work in (easy, other)]
    if case.plan is not None:
        outcomes.append(RULES.evaluate(option(case.option), easy, type(case.plan)()))
    assert any(fired(outcome, case.rule) is None for outcome in outcomes)


def test_no_two_rules_contradict_each_other() -> None:
    assert contradictions(RULES) == []


def test_every_rule_cites_a_source_that_stands_in_the_data() -> None:
    for rule in RULES.rules:
        assert rule.source.startswith("fact:") or rule.source in sources(), rule.id


def test_preferences_say_what_they_are_about() -> None:
    for rule in RULES.rules:
        assert (rule.criterion is not None) == (rule.kind == "prefer"), rule.id


def test_nothing_is_excluded_by_an_unconfirmed_limit() -> None:
    for rule in RULES.rules:
        if rule.kind != "exclude" or not rule.source.startswith("fact:"):
            continue
        name = rule.source.removeprefix("fact:")
        for one in load_options().values():
            if rule not in RULES.applying_to(one):
                continue
            fact = one.fact(name)
            if isinstance(fact.value, (bool, float)) and fact.value is not True:
                assert fact.confidence != "unconfirmed", (rule.id, one.id, name)


def test_every_exclusion_that_can_be_relaxed_says_how() -> None:
    for rule in RULES.rules:
        if rule.kind == "exclude":
            assert rule.relax, rule.id


def test_the_page_on_rules_names_every_field() -> None:
    page = (DOCS / "rules.md").read_text(encoding="utf-8")
    facts = {f"option.{name}" for name in fact_kinds()}
    for name in fields():
        base = name.removesuffix("_known").removesuffix("_low").removesuffix("_high")
        if base not in facts and not name.startswith("assume."):
            assert f"`{base}`" in page, name


def test_the_rules_that_the_page_shows_are_good(tmp_path: Path) -> None:
    page = (DOCS / "rules.md").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert len(shown) == 2
    for i, text in enumerate(shown):
        path = tmp_path / f"{i}.yaml"
        path.write_text(text, encoding="utf-8")
        rules = load_rules([path])
        outcome = rules.evaluate(option("ec2"), resolve(need({"traffic.request_mb": 1})))
        assert rules.policies
        assert (fired(outcome, "no-virtual-machines") is not None) == (i == 1)
