"""Rules tried on many requirements: which never fire, overlap, or contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from advisor.catalog.loader import load_options
from advisor.presets import presets
from advisor.rule_check import environment, plain_value
from advisor.rule_fields import PlanFacts
from advisor.rule_file import Rule
from advisor.rule_report.probes import Answers, Probe, around, everywhere, probe, said
from advisor.rule_values import matched_values, need_values, option_values, plan_values
from advisor.rules import RuleSet

MOST_FIRING = 8  # probes kept for each rule on which it fires, and as many on which it does not
Fires = NDArray[np.bool_]  # shape (probes, options)


class Finding(BaseModel):
    """What is wrong with a rule or with two together, and requirements on which it shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["never-fires", "overlap", "contradiction"]
    always: bool  # a contradiction on every requirement on which the first fires
    rules: tuple[str, ...]
    options: tuple[str, ...]
    because: str
    example: dict[str, Any]  # answers that differ from a plain model, by path
    plan: dict[str, Any] = {}


class RuleReport(BaseModel):
    """The findings, and how much was tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: int
    probes: int
    findings: tuple[Finding, ...]

    def of(self, kind: str) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.kind == kind)


def report_on(rules: RuleSet, extra: Sequence[tuple[Answers, PlanFacts | None]] = ()) -> RuleReport:
    """What is wrong with the rules; `extra` are more answers (by path) and plans to try.

    Deterministic, and bounded by the number of rules: each is tried on at most some thousand
    requirements of its own and on a few hundred for all. Raises RuleError for a rule that fails.
    """
    probes = list(_probes(rules, extra))
    fires = _fires(rules, probes)
    findings = [
        *_never(rules, fires),
        *_overlaps(rules, fires, probes),
        *_opposed(rules, fires, probes),
        *_undone(rules, fires, probes),
        *_leaving_nothing(rules, fires, probes),
    ]
    return RuleReport(rules=len(rules.rules), probes=len(probes), findings=tuple(findings))


def _probes(rules: RuleSet, extra: Sequence[tuple[Answers, PlanFacts | None]]) -> Iterator[Probe]:
    for given, plan in extra:
        made = probe(given, plan)
        if made is not None:
            yield made
    for preset in presets().values():
        data = preset.requirements.model_dump(mode="json", exclude_defaults=True)
        flat = {
            f"{section}.{name}": tuple(value) if isinstance(value, list) else value
            for section, answers in data.items()
            for name, value in answers.items()
            if not isinstance(value, dict)
        }
        made = probe(flat)
        if made is not None:
            yield made
    yield from everywhere(rules.rules)
    for one in rules.checked:
        yield from _telling(rules, one.rule)


def _telling(rules: RuleSet, rule: Rule) -> Iterator[Probe]:
    """Probes of the rule's own on which it fires, and some on which it just does not."""
    options = [o for o in load_options().values() if rule.applies_to(o)]
    checked = next(one for one in rules.checked if one.rule is rule)
    fixed = {option.id: option_values(option) for option in options}
    env = environment()
    fired = silent = 0
    for made in around(rule):
        needs = {**need_values(made.work), **plan_values(made.plan)}
        holds = False
        for option in options:
            values = {**needs, **fixed[option.id]}
            if not checked.asks <= values.keys():
                values |= matched_values(option, made.work)
            activation = env.Activation({name: values[name] for name in checked.asks})
            holds |= plain_value(checked, checked.when, activation) is True
        if holds and fired < MOST_FIRING:
            fired += 1
            yield made
        elif not holds and silent < MOST_FIRING:
            silent += 1
            yield made
        if fired >= MOST_FIRING and silent >= MOST_FIRING:
            return


def _fires(rules: RuleSet, probes: Sequence[Probe]) -> dict[str, Fires]:
    options = list(load_options().values())
    out = {rule.id: np.zeros((len(probes), len(options)), dtype=bool) for rule in rules.rules}
    for p, made in enumerate(probes):
        for o, option in enumerate(options):
            for rule_id in rules.holding(option, made.work, made.plan):
                out[rule_id][p, o] = True
    return out


def _never(rules: RuleSet, fires: dict[str, Fires]) -> Iterator[Finding]:
    for rule in rules.rules:
        if not fires[rule.id].any():
            yield Finding(
                kind="never-fires",
                always=True,
                rules=(rule.id,),
                options=(),
                because=f"no requirements were found on which {rule.id} fires; correct its "
                "condition or remove it",
                example={},
            )


def _overlaps(
    rules: RuleSet, fires: dict[str, Fires], probes: Sequence[Probe]
) -> Iterator[Finding]:
    same: dict[tuple[str, bytes], list[str]] = {}
    for rule in rules.rules:
        found = fires[rule.id]
        if found.any():
            same.setdefault((_effect(rule), np.packbits(found).tobytes()), []).append(rule.id)
    for (_, _), ids in same.items():
        if len(ids) > 1:
            yield _finding(
                "overlap", True, ids, fires[ids[0]], probes,
                f"{' and '.join(ids)} always fire together on the same options; keep one",
            )  # fmt: skip


def _opposed(rules: RuleSet, fires: dict[str, Fires], probes: Sequence[Probe]) -> Iterator[Finding]:
    """A preference for and one against the same option, on the same criterion, at once."""
    preferring = [rule for rule in rules.rules if rule.kind == "prefer"]
    for one in (rule for rule in preferring if rule.points > 0):
        for other in (rule for rule in preferring if rule.points < 0):
            both = fires[one.id] & fires[other.id]
            if one.criterion != other.criterion or not both.any():
                continue
            always = bool((both == fires[one.id]).all() or (both == fires[other.id]).all())
            when = "whenever one of them fires" if always else "on some requirements"
            yield _finding(
                "contradiction", always, [one.id, other.id], both, probes,
                f"{one.id} prefers what {other.id} holds against the same option, {when}; give "
                "them conditions that do not meet" + ("" if always else ", or let them weigh"),
            )  # fmt: skip


def _undone(rules: RuleSet, fires: dict[str, Fires], probes: Sequence[Probe]) -> Iterator[Finding]:
    """A preference for an option that another rule rules out each time."""
    for one in rules.rules:
        found = fires[one.id]
        if one.kind != "prefer" or one.points <= 0 or not found.any():
            continue
        for other in rules.rules:
            if other.excludes and bool((found <= fires[other.id]).all()):
                yield _finding(
                    "contradiction", True, [one.id, other.id], found, probes,
                    f"{one.id} prefers what {other.id} rules out each time; remove one",
                )  # fmt: skip


def _leaving_nothing(
    rules: RuleSet, fires: dict[str, Fires], probes: Sequence[Probe]
) -> Iterator[Finding]:
    """Two rules of which one always rules out what the other leaves: require and forbid the same."""
    options = list(load_options().values())
    excluding = [rule for rule in rules.rules if rule.excludes and fires[rule.id].any()]
    guards = {rule.id: _guard(rules, rule, probes) for rule in excluding if rule.kind == "require"}
    for i, one in enumerate(excluding):
        for other in excluding[i + 1 :]:
            shared = np.array([one.applies_to(o) and other.applies_to(o) for o in options])
            if not shared.any():
                continue
            asked = np.broadcast_to(shared, fires[one.id].shape)
            for rule in (one, other):
                asked = asked & guards.get(rule.id, True)
            a, b = fires[one.id] & asked, fires[other.id] & asked
            if (
                asked.any()
                and bool(((a | b) == asked).all())
                and not (a == asked).all()
                and not (b == asked).all()
            ):
                yield _finding(
                    "contradiction", True, [one.id, other.id], asked, probes,
                    f"{one.id} and {other.id} rule out every option between them wherever both are "
                    "asked; one of the two has to go",
                )  # fmt: skip


def _guard(rules: RuleSet, rule: Rule, probes: Sequence[Probe]) -> Fires:
    """Where the `when` of a require holds."""
    options = list(load_options().values())
    checked = next(one for one in rules.checked if one.rule is rule)
    when = environment().compile(rule.when)
    out = np.zeros((len(probes), len(options)), dtype=bool)
    for p, made in enumerate(probes):
        needs = {**need_values(made.work), **plan_values(made.plan)}
        for o, option in enumerate(options):
            values = {**needs, **option_values(option), **matched_values(option, made.work)}
            activation = environment().Activation({name: values[name] for name in checked.asks})
            out[p, o] = plain_value(checked, when, activation) is True
    return out


def _effect(rule: Rule) -> str:
    if rule.excludes:
        return "excludes"
    return rule.kind if rule.kind == "warn" else f"prefer {rule.criterion} {rule.points > 0}"


def _finding(
    kind: Literal["overlap", "contradiction"],
    always: bool,
    ids: Sequence[str],
    where: Fires,
    probes: Sequence[Probe],
    because: str,
) -> Finding:
    options = list(load_options().values())
    found = np.flatnonzero(where.any(axis=1))
    # The example with the fewest unusual answers reads best.
    at = min((int(p) for p in found), key=lambda p: (len(said(probes[p].answers)), p))
    return Finding(
        kind=kind,
        always=always,
        rules=tuple(ids),
        options=tuple(options[o].id for o in np.flatnonzero(where[at])),
        because=because,
        example=said(probes[at].answers),
    )
