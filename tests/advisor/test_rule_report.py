"""The report on rules: planted dead, overlapping and contradicting rules are found, ours are well."""

from __future__ import annotations

import json

import pytest

from advisor.catalog.loader import option
from advisor.cli import main
from advisor.requirements import parse
from advisor.rule_report import Finding, RuleReport, command, probes, report_on
from advisor.rules import PolicyText, load_rules
from advisor.workload import resolve

PLANTED = PolicyText(
    "planted.yaml",
    """
name: Planted
rules:
  - {id: dead-by-sense, kind: warn, when: need.request_mb > 5.0 && need.request_mb < 4.0, because: x}
  - {id: dead-by-option, kind: forbid, options: [ec2], when: option.kind == 'managed', because: x}
  - {id: dead-by-bound, kind: warn, when: need.max_utilisation > 0.86, because: x}
  - {id: rare, kind: warn, when: need.request_mb > 41.5 && need.request_mb < 42.0, because: x}
  - {id: rare-volume, kind: warn, because: x,
     when: need.requests_per_day > 123456.0 && need.requests_per_day < 124000.0}
  - {id: rare-plan, kind: warn, phase: plan, when: plan.replicas_max == 37.0, because: x}
  - {id: twin-a, kind: warn, options: [ec2, eks], when: need.response_mb > 7.5, because: x}
  - {id: twin-b, kind: warn, options: [ec2, eks], when: "!(need.response_mb <= 7.5)", because: x}
  - {id: not-a-twin, kind: warn, options: [ec2, eks], when: need.response_mb > 7.6, because: x}
  - {id: for-it, kind: prefer, options: [ec2], when: need.gpu, points: 0.5, criterion: cost, because: x}
  - {id: against-it, kind: prefer, options: [ec2], when: need.gpu, points: -0.5, criterion: cost,
     because: x}
  - {id: private-only, kind: require, that: option.private_network, when: need.host_access, because: x}
  - {id: never-private, kind: forbid, when: option.private_network, because: x}
  - {id: no-eks, kind: forbid, options: [eks], because: x}
  - {id: like-eks, kind: prefer, options: [eks], when: need.existing_cluster, points: 1, because: x}
""",
)  # fmt: skip


@pytest.fixture(scope="module")
def planted() -> RuleReport:
    return report_on(load_rules([PLANTED]))


def about(report: RuleReport, kind: str, *rules: str) -> list[Finding]:
    return [one for one in report.of(kind) if set(rules) <= set(one.rules)]


def test_no_rule_of_ours_is_dead_and_none_undoes_another(planted: RuleReport) -> None:
    ours = {rule.id for rule in load_rules().rules}
    for one in planted.findings:
        if set(one.rules) <= ours:
            assert one.kind == "contradiction", one
            assert not one.always, one  # preferences that weigh against each other now and then


def test_dead_rules_are_found_and_rare_ones_are_not_taken_for_dead(planted: RuleReport) -> None:
    dead = {rule for one in planted.of("never-fires") for rule in one.rules}
    assert dead == {"dead-by-sense", "dead-by-option", "dead-by-bound"}


def test_rules_that_always_fire_together_are_found(planted: RuleReport) -> None:
    (twins,) = about(planted, "overlap", "twin-a")
    assert twins.rules == ("twin-a", "twin-b")
    assert set(twins.options) <= {"ec2", "eks"}
    assert [one.rules for one in planted.of("overlap")] == [("twin-a", "twin-b")]


def test_contradictions_are_found(planted: RuleReport) -> None:
    (opposed,) = about(planted, "contradiction", "for-it", "against-it")
    assert opposed.always
    assert opposed.options == ("ec2",)
    (nothing,) = about(planted, "contradiction", "private-only", "never-private")
    assert nothing.example["control.host_access"] is True
    assert about(planted, "contradiction", "like-eks", "no-eks")


def test_examples_are_requirements_on_which_the_rules_fire(planted: RuleReport) -> None:
    rules = load_rules([PLANTED])
    for one in planted.findings:
        if one.kind != "overlap":
            continue
        data: dict[str, dict[str, object]] = {}
        for path, value in {**probes.BASE, **one.example}.items():
            section, name = path.split(".")
            data.setdefault(section, {})[name] = value
        work = resolve(parse(data))
        for option_id in one.options:
            assert set(one.rules) <= set(
                rules.holding(option(option_id), work, probes.plain_plan())
            )


@pytest.mark.slow
def test_the_same_rules_give_the_same_report(planted: RuleReport) -> None:
    assert report_on(load_rules([PLANTED])) == planted


def test_the_terminal_lists_and_reports(
    planted: RuleReport, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path
) -> None:
    path = tmp_path / "planted.yaml"
    path.write_text(PLANTED.text)
    assert main(["rules", "--policies", str(path)]) == 0
    listed = capsys.readouterr().out
    assert len(listed.splitlines()) == len(load_rules([PLANTED]).rules)
    assert "Planted" in next(line for line in listed.splitlines() if line.startswith("twin-a"))
    assert main(["rules", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["options"]
    monkeypatch.setattr(command, "report_on", lambda _: planted)
    assert main(["rules", "--report"]) == 0
    said = capsys.readouterr().out
    assert "Never fires: 3" in said
    assert "for example with {" in said
    path.write_text("rules: 5")
    assert main(["rules", "--policies", str(path), "--report"]) == 2
