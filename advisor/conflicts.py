"""Answers that contradict each other: why nothing fits, as the few rules that leave no option.

Each answer alone leaves something; together they leave nothing. The smallest such sets of rules
are found and said with the answers they rest on and the ways out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from advisor.consider import Considered
from advisor.recommendation import Conflict
from advisor.requirements import Requirements
from advisor.rule_file import Rule
from advisor.rules import RuleSet

MAX_RULES_IN_A_CONFLICT = 4
MAX_CONFLICTS = 3


def conflicts(
    need: Requirements, considered: Sequence[Considered], rules: RuleSet
) -> tuple[Conflict, ...]:
    """The smallest sets of rules that rule out every option between them; none where an option is
    out for another reason (an unknown price). Deterministic, in the order of the rule files."""
    by_rule: dict[str, set[str]] = {}
    for one in considered:
        for fired in one.fired:
            by_rule.setdefault(fired.rule, set()).add(one.option.id)
    everything = {one.option.id for one in considered}
    if not everything or set().union(*by_rule.values(), set()) != everything:
        return ()
    written = [rule for rule in rules.rules if rule.id in by_rule]
    for size in range(1, MAX_RULES_IN_A_CONFLICT + 1):
        found = [
            combo
            for combo in combinations(written, size)
            if set().union(*(by_rule[rule.id] for rule in combo)) == everything
        ]
        if found:
            found.sort(key=lambda combo: sum(rule.phase == "plan" for rule in combo))
            policies = {one.rule.id: one.policy for one in rules.checked}
            return tuple(_conflict(need, combo, policies) for combo in found[:MAX_CONFLICTS])
    return ()


def _conflict(need: Requirements, combo: Sequence[Rule], policies: dict[str, str]) -> Conflict:
    answers = [_stands(need, rule, policies[rule.id]) for rule in combo]
    ways = [_way_out(rule, policies[rule.id]) for rule in combo]
    verb = "leaves" if len(answers) == 1 else "together leave"
    return Conflict(
        rules=tuple(rule.id for rule in combo),
        answers=tuple(answers),
        because=f"{' and '.join(answers)} {verb} no option; {', or '.join(dict.fromkeys(ways))}",
    )


def _stands(need: Requirements, rule: Rule, policy: str) -> str:
    """What the rule rests on, in the words of the answers: "control.hosting is managed"."""
    if policy:
        return f"rule {rule.id} of the policy {policy}"
    said = [f"{path} is {_value(need, path)}" for path in _paths(rule)]
    return " with ".join(said) if said else f"rule {rule.id}"


def _way_out(rule: Rule, policy: str) -> str:
    if policy:
        return f"change the policy's rule {rule.id}"
    paths = _paths(rule)
    return f"change {' or '.join(paths)}" if paths else f"look at the rule {rule.id}"


def _paths(rule: Rule) -> list[str]:
    always = [change.field for change in rule.relax if not change.when]
    return list(dict.fromkeys(always or [change.field for change in rule.relax]))


def _value(need: Requirements, path: str) -> str:
    section, name = path.split(".")
    value = getattr(getattr(need, section), name)
    if isinstance(value, tuple):
        if value and isinstance(value[0], float):
            return f"{len(value)} numbers"
        return ", ".join(str(getattr(v, "value", v)) for v in value) or "empty"
    if value is None:
        return "left out"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "value", value))
