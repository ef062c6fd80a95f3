"""Team policies: the four words, bad files, hostile files, and where a policy is named."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest

from advisor import record, report
from advisor.catalog.loader import load_options, option
from advisor.cli import main
from advisor.errors import RuleError
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.rules import PolicyFile, PolicyText, load_rules, policy_stamps
from advisor.whatif import complete
from advisor.workload import resolve

BASE: dict[str, dict[str, Any]] = {
    "model": {"format": "onnx", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
}


def need(**answers: Any) -> Requirements:
    data = copy.deepcopy(BASE)
    for path, value in answers.items():
        section, name = path.split("__")
        data.setdefault(section, {})[name] = value
    return parse(data)


def text(rules: str, name: str = "House rules") -> PolicyText:
    body = "\n".join("  " + line for line in rules.strip("\n").splitlines())
    return PolicyText("house.yaml", f"name: {name}\nrules:\n{body}\n")


def excluded(policy: PolicyText, **answers: Any) -> dict[str, str]:
    """Options that the policy rules out, with its sentence."""
    answer = recommend(need(**answers), policies=[policy], doubt=False)
    return {e.option: e.because for e in answer.excluded if e.policy}


# The four words


def test_forbid_rules_out_the_options_it_names() -> None:
    out = excluded(
        text(
            "- {id: no-vm, kind: forbid, options: [ec2, ecs-ec2], because: no machines of our own}"
        )
    )
    assert out == dict.fromkeys(("ec2", "ecs-ec2"), "no machines of our own (policy: House rules)")


def test_require_rules_out_where_the_condition_does_not_hold() -> None:
    policy = text(
        "- id: private\n"
        "  kind: require\n"
        "  that: option.private_network\n"
        "  when: need.data_residency_known\n"
        "  because: data with a home stays in a private network\n"
    )
    out = excluded(policy, control__data_residency="us")
    lacking = {
        o.id for o in load_options().values() if o.facts["private_network"].value is not True
    }
    assert lacking
    assert set(out) == lacking
    assert excluded(policy) == {}


def test_a_cap_holds_a_figure_of_the_plan_below_its_limit_and_says_both_numbers() -> None:
    free = recommend(need(), doubt=False)
    bills = {r.option: r.monthly_usd.expected for r in free.ranking}
    limit = sorted(bills.values())[len(bills) // 2]
    out = excluded(text(f"- {{id: bill, kind: cap, figure: plan.monthly_usd, at_most: {limit!r}}}"))
    assert set(out) == {option for option, bill in bills.items() if bill > limit}
    assert all(said.startswith("monthly $") and "> cap of $" in said for said in out.values())


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("plan.p95_ms", lambda r: r.p95_ms),
        ("plan.replicas_max", lambda r: r.replicas.max),
        ("plan.vcpu", lambda r: r.sizing.vcpu),
        ("plan.total_vcpu", lambda r: r.sizing.vcpu * r.replicas.max),
        ("plan.total_monthly_usd", lambda r: r.total_monthly_usd),
    ],
)
def test_every_number_of_a_plan_can_be_capped(figure: str, value: Any) -> None:
    free = recommend(need(), doubt=False)
    figures = {r.option: value(r) for r in free.ranking}
    limit = sorted(figures.values())[len(figures) // 2]
    out = excluded(text(f"- {{id: c, kind: cap, figure: {figure}, at_most: {limit!r}}}"))
    assert set(out) == {option for option, found in figures.items() if found > limit + 1e-9}


def test_a_cap_may_hold_an_answer_as_well_and_under_a_condition() -> None:
    policy = text(
        "- id: public-payload\n  kind: cap\n  figure: need.request_mb\n  at_most: 1\n"
        "  when: '!need.private_network'\n  because: '{need.request_mb} MB over the open internet'\n"
    )
    assert (
        "2 MB over the open internet (policy: House rules)"
        in excluded(policy, traffic__request_mb=2).values()
    )
    assert excluded(policy, traffic__request_mb=2, control__private_network=True) == {}
    assert excluded(policy, traffic__request_mb=1) == {}


def test_prefer_moves_the_ranking_and_is_named_in_the_reasons() -> None:
    free = recommend(need(), doubt=False)
    loser = free.ranking[-1].option
    policy = text(
        f"- {{id: ours, kind: prefer, options: [{loser}], points: 1, criterion: operations, "
        "because: the platform team runs it}"
    )
    told = recommend(need(), policies=[policy], doubt=False).option(loser)
    was = free.option(loser)
    assert told is not None
    assert was is not None
    assert told.score > was.score
    assert [(r.because, r.policy) for r in told.reasons if r.rule == "ours"] == [
        ("the platform team runs it (policy: House rules)", "House rules")
    ]


def test_conditions_hold_always_when_left_out_and_comments_end_with_their_line() -> None:
    two = text(
        "- {id: one, kind: warn, because: first}\n"
        "- id: two\n  kind: require\n  that: |\n    option.gpu // only those\n"
        "  when: need.gpu // only then\n  because: second\n"
    )
    answer = recommend(need(), policies=[two], doubt=False)
    assert all("one" in [w.rule for w in r.warnings] for r in answer.ranking)
    assert not any(e.rule == "two" for e in answer.excluded)


# Named everywhere


def test_the_policy_is_named_in_text_json_and_markdown(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(
        "name: Board *2026* <b>\nrules:\n"
        "- {id: no-vm, kind: forbid, options: [ec2], because: 'no <script>alert(1)</script>'}\n"
        "- {id: like, kind: prefer, points: 1, criterion: cost, because: it is liked}\n"
    )
    answer = recommend(need(), policies=[path], doubt=False)
    said = report.text(need(), answer)
    assert "it is liked (policy: Board *2026* <b>)" in said
    assert "Team policies in force: Board *2026* <b>" in said
    told = record.markdown(need(), answer)
    assert r"it is liked (policy: Board \*2026\* &lt;b>)" in told
    assert r"team policies applied: Board \*2026\*" in told
    assert "<script>" not in told
    data = json.loads(answer.model_dump_json(by_alias=True))
    assert data["policy_names"] == ["Board *2026* <b>"]
    assert data["policies"] == [str(path)]
    assert [e["policy"] for e in data["excluded"] if e["rule"] == "no-vm"] == ["Board *2026* <b>"]
    assert {r["policy"] for r in data["ranking"][0]["reasons"]} == {"", "Board *2026* <b>"}


def test_files_of_the_environment_are_in_force_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "admin.yaml"
    path.write_text("rules:\n- {id: no-vm, kind: forbid, options: [ec2], because: so}\n")
    before = policy_stamps()
    monkeypatch.setenv("ADVISOR_POLICIES", str(path))
    assert policy_stamps() != before
    more = text("- {id: no-eks, kind: forbid, options: [eks], because: so}", name="More")
    answer = recommend(need(), policies=[more], doubt=False)
    assert answer.policy_names == ("admin", "More")
    assert answer.policies == (str(path), "house.yaml")
    assert {e.option for e in answer.excluded if e.policy} == {"ec2", "eks"}


def test_flips_and_relaxations_keep_to_the_policy() -> None:
    policy = text("- {id: only, kind: forbid, except: [ec2], because: so}")
    answer = recommend(need(), policies=[policy], doubt=False)
    assert answer.winner == "ec2"
    whole = complete(need(), answer, policies=[policy])
    assert {f.winner for f in whole.flips} <= {None}


# Bad files


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "house.yaml is empty; write rules:"),
        ("# nothing\n", "house.yaml is empty"),
        ("- a\n- b\n", "house.yaml is a list, not a mapping"),
        ("rule: []\n", "rule is not a known key; did you mean rules?"),
        ("name: x\n", "rules is missing"),
        ("rules: {a: 1}\n", "rules: input should be a valid"),
        ("rules:\n- a\n", "rule number 1: "),
        (
            "rules:\n- id: a\n  kind: forbit\n  because: so\n",
            "rule 'a': kind is 'forbit'; did you mean forbid? (line 3)",
        ),
        (
            "rules:\n- id: a\n  kind: forbid\n  becuase: so\n",
            "rule 'a': becuase is not a known key; did you mean because? (line 4)",
        ),
        (
            "rules:\n- {id: a, kind: forbid, because: so, relax: [{feild: model.gpu, to: 'true'}]}\n",
            "relax.0.feild is not a known key; did you mean field?",
        ),
        ("rules:\n- {id: a, kind: require, because: so}\n", "kind require needs 'that'"),
        ("rules:\n- {id: a, kind: forbid, that: need.gpu, because: so}\n", "cannot have 'that'"),
        ("rules:\n- {id: a, kind: cap, at_most: 5}\n", "kind cap needs a figure"),
        ("rules:\n- {id: a, kind: cap, figure: plan.vcpu}\n", "kind cap needs at_most"),
        (
            "rules:\n- {id: a, kind: cap, figure: plan.vcpu, at_most: much}\n",
            "at_most: input should be a valid number",
        ),
        ("rules:\n- {id: a, kind: cap, figure: plan.vcpu, at_most: .inf}\n", "finite number"),
        (
            "rules:\n- {id: a, kind: cap, figure: plan.montly_usd, at_most: 5}\n",
            "'plan.montly_usd' is not a known field; did you mean plan.monthly_usd",
        ),
        (
            "rules:\n- {id: a, kind: cap, figure: plan.machine, at_most: 5}\n",
            "plan.machine is a text, not a number",
        ),
        (
            "rules:\n- {id: a, kind: require, that: option.gpus, because: so}\n",
            "that: line 1, column 7: 'option.gpus' is not a known field; did you mean option.gpu",
        ),
        (
            "rules:\n- {id: a, kind: require, that: need.request_mb, because: so}\n",
            "that: 'need.request_mb' gives double, not true or false",
        ),
        ("rules:\n- {id: a, kind: forbid}\n", "because is missing"),
        ("rules:\n- {id: a, kind: forbid, because: so\n", "is not valid YAML at line 3"),
        ("rules:\n\t- a\n", "is not valid YAML at line 2, column 1"),
        (
            "rules:\n- {id: a, kind: forbid, because: so}\nrules: []\n",
            "line 3: 'rules' stands there twice (first in line 1)",
        ),
        ('rules:\n- {id: a, kind: warn, because: "x\\e[2J"}\n', "holds a control character"),
        ('name: "a\\e[2J"\nrules:\n- {id: a, kind: warn, because: so}\n', "control character"),
    ],
)
def test_a_bad_policy_says_what_is_wrong_and_the_way_out(given: str, said: str) -> None:
    with pytest.raises(RuleError) as caught:
        load_rules([PolicyText("house.yaml", given)])
    assert said in str(caught.value)
    assert str(caught.value).startswith("house.yaml")
    assert "\n" not in str(caught.value)


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)
CONDITION = "rules:\n- {id: a, kind: forbid, because: so, when: '%s'}\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[" * 900_000, "nested more than 20 levels"),
        ("{a: " * 200_000, "nested more than 20 levels"),
        (LAUGHS, "refers to another part of the file (*a)"),
        ("x" * 1_100_000, "larger than 1 MB"),
        ("rules:\n" + "- {id: a, kind: warn, because: so}\n" * 501, "at most 500 items"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        (CONDITION % ("true || " * 400 + "true"), "at most 2000 characters"),
        (CONDITION % ("(" * 200 + "true" + ")" * 200), "nested too deeply"),
        (CONDITION % ("!(" * 28 + "need.gpu" + ")" * 28), None),
    ],
)
def test_a_hostile_policy_is_refused_quickly(given: str, said: str | None) -> None:
    started = time.process_time()
    if said is None:
        load_rules([PolicyText("house.yaml", given)])
    else:
        with pytest.raises(RuleError) as caught:
            load_rules([PolicyText("house.yaml", given)])
        assert said in str(caught.value)
    assert time.process_time() - started < 20  # bounded, not timed


def test_loops_over_what_a_person_gave_are_bounded_when_asked() -> None:
    nest = "need.regions.exists(%s, " * 6 % tuple("abcdef") + "a == 'never'" + ")" * 6
    policy = text(f"- id: slow\n  kind: forbid\n  because: so\n  when: {nest}\n")
    regions = [f"us-east-{i}" for i in range(1, 30)]
    rules = load_rules([policy])
    with pytest.raises(RuleError, match="rule 'slow' failed"):
        rules.evaluate(option("docker-host"), resolve(need(placement__regions=regions)))


def test_many_rules_are_asked_one_by_one_where_one_expression_cannot_hold_them() -> None:
    long = " || ".join(["need.request_mb > 99999.0"] * 60)
    policy = text(
        "\n".join(f"- {{id: r{i}, kind: warn, because: so, when: '{long}'}}" for i in range(80))
        + "\n- {id: last, kind: forbid, options: [ec2], because: so}"
    )
    assert set(excluded(policy)) == {"ec2"}


def test_a_bad_policy_is_one_line_and_exit_2_in_a_terminal(tmp_path: Path, capsys) -> None:
    asked, path = tmp_path / "need.yaml", tmp_path / "house.yaml"
    asked.write_text(json.dumps(BASE))
    path.write_text("rules:\n- {id: a, kind: require, that: need.gpuu, because: so}\n")
    assert main(["recommend", str(asked), "--policies", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "house.yaml: rule 'a', that" in err
    assert "did you mean need.gpu" in err


def test_the_schema_says_what_each_kind_needs() -> None:
    rule = PolicyFile.model_json_schema()["$defs"]["Rule"]
    assert rule["properties"]["kind"]["enum"] == [
        "forbid", "require", "prefer", "cap", "exclude", "warn",
    ]  # fmt: skip
    assert {"that", "figure", "at_most"} <= set(rule["properties"])
    assert "has to hold" in rule["properties"]["that"]["description"]


# Contradictory requirements


def test_answers_that_leave_nothing_between_them_are_both_named_with_the_way_out() -> None:
    asked = need(control__hosting="managed", control__host_access=True)
    answer = recommend(asked, doubt=False)
    assert answer.winner is None
    said = " ".join(c.because for c in answer.conflicts)
    assert "control.hosting is managed" in said
    assert "control.host_access is true" in said
    assert "change control.hosting" in said
    assert said in " ".join(report.text(asked, answer).split())
    assert "These cannot be had together" in record.markdown(asked, answer)


def test_a_policy_against_an_answer_is_a_conflict_that_names_the_policy() -> None:
    policy = text(
        "- {id: managed-only, kind: require, that: option.kind == 'managed', because: so}"
    )
    answer = recommend(need(control__hosting="self-hosted"), policies=[policy], doubt=False)
    said = [c.because for c in answer.conflicts]
    assert any(
        "control.hosting is self-hosted" in one
        and "rule managed-only of the policy House rules" in one
        for one in said
    )


def test_no_conflict_is_said_where_something_fits() -> None:
    assert recommend(need(), doubt=False).conflicts == ()


def test_contradictory_answers_exit_3_with_the_pair_and_2_where_the_file_is_at_odds(
    tmp_path: Path, capsys
) -> None:
    asked = tmp_path / "need.yaml"
    asked.write_text(json.dumps(BASE | {"control": {"hosting": "managed", "host_access": True}}))
    assert main(["recommend", str(asked)]) == 3
    assert "control.hosting is managed and control.host_access is true" in capsys.readouterr().out
    odd = BASE | {"control": {"hosting": "managed"}, "placement": {"clouds": ["own-hardware"]}}
    asked.write_text(json.dumps(odd))
    assert main(["recommend", str(asked)]) == 2
    err = capsys.readouterr().err
    assert "control.hosting is managed" in err
    assert "placement.clouds" in err
    assert err.count("\n") == 1
