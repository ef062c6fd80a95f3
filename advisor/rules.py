"""Rules as data: which options the answers exclude, what to warn of, what to prefer, and why.

A rule's condition is an expression of CEL (the Common Expression Language, evaluated by Google's
cel-expr-python) over the typed fields of `rule_fields`. It is compiled and type-checked when it is
loaded, so a misspelt name is an error of the file and never a rule that silently does not fire.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from advisor.catalog.loader import load_options
from advisor.catalog.schema import Option
from advisor.errors import RuleError
from advisor.rule_asking import Answer, Asked, Fired, Group, seen_by_rules
from advisor.rule_check import Checked, check, environment
from advisor.rule_fields import PlanFacts
from advisor.rule_file import PolicyFile, PolicyText, Rule, parse_rules, read_rules
from advisor.rule_rows import Cases
from advisor.rule_values import option_values
from advisor.workload import Workload

__all__ = [
    "Answer", "Fired", "Outcome", "PlanFacts", "Policy", "PolicyFile", "PolicyText", "Rule", "RuleSet",
    "contradictions", "in_force", "load_rules", "policy_stamps",
]  # fmt: skip

BUILT_IN = Path(__file__).resolve().parent / "catalog" / "rules.yaml"
Policy = Path | str | PolicyText  # a policy file by its path, or its text


@dataclass(frozen=True)
class Outcome:
    """What the rules say of an option, in the order of the files."""

    excluded: list[Fired] = field(default_factory=list)
    warnings: list[Fired] = field(default_factory=list)
    preferred: list[Fired] = field(default_factory=list)


class RuleSet:
    """Compiled rules, ready to be asked about options."""

    def __init__(
        self, checked: Sequence[tuple[Checked, ...]], policies: Sequence[str] = ()
    ) -> None:
        """The rules of each file, built-in ones first. Raises RuleError for two of the same id."""
        self.policies = tuple(policies)
        self._env = environment()
        self.checked = tuple(one for file in checked for one in file)
        _no_duplicates(self.checked)
        self._by_option: dict[str, tuple[Option, tuple[Asked, Asked]]] = {}
        self._groups: dict[Hashable, Group] = {}  # options share most of their conditions

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as they were written, built-in ones first."""
        return tuple(one.rule for one in self.checked)

    def evaluate(
        self, option: Option, work: Workload, plan: PlanFacts | None = None, *, said: bool = True
    ) -> Outcome:
        """What the rules say of the option for the workload.

        Without a plan the rules of the need phase are asked, with one those of the plan phase
        alone: the two outcomes add up. Unless it is to be `said`, warnings are left out and rules
        that prefer have no sentence: all that ranking needs. Raises InputError for a region that
        no cloud has, and RuleError for a rule that fails (a division by zero).
        """
        asked = self._asked(option)[0 if plan is None else 1]
        outcome = Outcome()
        lists = {"warn": outcome.warnings, "prefer": outcome.preferred}
        for one, fired in asked.fired(option, seen_by_rules(option, work, plan), said):
            lists.get(one.rule.kind, outcome.excluded).append(fired)
        return outcome

    def most_points_before(self, option: Option, work: Workload) -> float | None:
        """The most points that preferring rules of the need phase may give the option, told without
        asking those that look at the volume; None where a rule excludes it whatever the volume is.
        Raises what `evaluate` raises."""
        return self._asked(option)[0].most_of_calm(seen_by_rules(option, work, None))

    def open_to(self, option: Option, work: Workload) -> Outcome | None:
        """`evaluate` of the need phase without sentences; None where a rule excludes the option,
        told without asking the rest. Raises what it raises."""
        asked, seen = self._asked(option)[0], seen_by_rules(option, work, None)
        if asked.rules_out(seen):
            return None
        held = asked.holding(seen)
        if any(asked.excludes[i] for i in held):
            return None
        return Outcome(preferred=[asked.unsaid[i] for i in held if asked.prefers[i]])

    def rules_out(self, option: Option, work: Workload) -> bool:
        """Whether the answers exclude the option whatever the volume is; quicker than `evaluate`,
        which may find another reason. Raises what `evaluate` raises."""
        return self._asked(option)[0].rules_out(seen_by_rules(option, work, None))

    def holding(
        self, option: Option, work: Workload, plan: PlanFacts | None = None
    ) -> tuple[str, ...]:
        """The ids of the rules that fire, without their sentences; with a plan those of both
        phases. Raises what `evaluate` raises."""
        before, after = self._asked(option)
        seen = seen_by_rules(option, work, plan)
        found = [before.rules[i].rule.id for i in before.holding(seen)]
        if plan is not None:
            found += [after.rules[i].rule.id for i in after.holding(seen)]
        return tuple(found)

    def holding_each(
        self, option: Option, work: Workload, cases: Cases, *, planned: bool = False
    ) -> list[tuple[Checked, ...]]:
        """The rules that fire in each of the cases: those of `work` but for some fields, of the
        volume or of a plan. Those of the need phase, or of the plan phase where plans are given.
        Raises what `evaluate` raises."""
        asked = self._asked(option)[1 if planned else 0]
        found = asked.holding_each(seen_by_rules(option, work, None), cases)
        rules = {held: tuple(asked.rules[i] for i in held) for held in set(found)}
        return [rules[held] for held in found]

    def most_points(self, option: Option) -> float:
        """The most that preferring rules of the plan phase can add for the option."""
        return self._asked(option)[1].most_points

    def applying_to(self, option: Option) -> tuple[Rule, ...]:
        """The rules that are asked for an option."""
        return tuple(one.rule for asked in self._asked(option) for one in asked.rules)

    def _asked(self, option: Option) -> tuple[Asked, Asked]:
        """What is asked of an option in the need phase and in the plan phase."""
        kept = self._by_option.get(option.id)
        if kept is None or kept[0] is not option:
            fixed = option_values(option)
            rules = [one for one in self.checked if one.rule.applies_to(option)]
            need, plan = (
                Asked(self._env, [r for r in rules if r.rule.phase == phase], fixed, self._groups)
                for phase in ("need", "plan")
            )
            kept = self._by_option[option.id] = (option, (need, plan))
        return kept[1]


def load_rules(extra: Sequence[Policy] = ()) -> RuleSet:
    """The built-in rules with a team's policies on top: the files of $ADVISOR_POLICIES, then extra.

    Compiled once for the same files. Raises RuleError naming the file, the rule and the place.
    """
    return _load(tuple(_stamp(policy) for policy in (BUILT_IN, *_in_force(extra))))


def policy_stamps(extra: Sequence[Policy] = ()) -> tuple[object, ...]:
    """What changes when a policy changes: a key for answers that are kept. Raises RuleError."""
    return tuple(_stamp(policy) for policy in _in_force(extra))


def in_force(extra: Sequence[Policy] = ()) -> tuple[str, ...]:
    """The policies in force as they were given: paths of files, names of texts."""
    return tuple(
        p.name if isinstance(p, PolicyText) else str(p) for p in (*team_policies(), *extra)
    )


def _in_force(extra: Sequence[Policy]) -> tuple[Path | PolicyText, ...]:
    given = (*team_policies(), *extra)
    return tuple(
        dict.fromkeys(p if isinstance(p, PolicyText) else Path(p).resolve() for p in given)
    )


def team_policies() -> tuple[Path, ...]:
    """The policy files that $ADVISOR_POLICIES lists, separated as in $PATH."""
    listed = os.environ.get("ADVISOR_POLICIES", "")
    return tuple(Path(part) for part in listed.split(os.pathsep) if part.strip())


def contradictions(rules: RuleSet) -> list[tuple[str, str, str]]:
    """Pairs of rules that say opposite things under the same condition: (id, id, option id)."""
    groups: dict[tuple[str, str], list[Rule]] = {}
    for option in load_options().values():
        for rule in rules.applying_to(option):
            groups.setdefault((option.id, "".join(rule.condition.split())), []).append(rule)
    return [
        (one.id, other.id, option_id)
        for (option_id, _), group in groups.items()
        for i, one in enumerate(group)
        for other in group[i + 1 :]
        if _opposite(one, other)
    ]


def _opposite(one: Rule, other: Rule) -> bool:
    signs = {_sign(one), _sign(other)}
    return signs == {-1, 1}


def _sign(rule: Rule) -> int:
    if rule.kind == "prefer":
        return 1 if rule.points > 0 else -1
    return -1 if rule.excludes else 0


_Stamp = tuple[Path, int, int] | PolicyText


def _stamp(policy: Path | PolicyText) -> _Stamp:
    """Of a path that is resolved already."""
    if isinstance(policy, PolicyText):
        return policy
    try:
        stat = policy.stat()
    except OSError as error:
        raise RuleError(
            f"cannot read the policy file {policy}: {error.strerror}; name a YAML file"
        ) from None
    return policy, stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=32)
def _load(stamps: tuple[_Stamp, ...]) -> RuleSet:
    files = [_checked(stamp) for stamp in stamps]
    return RuleSet([rules for _, rules in files], [name for name, _ in files[1:]])


@lru_cache(maxsize=64)
def _checked(stamp: _Stamp) -> tuple[str, tuple[Checked, ...]]:
    """The name of a rule file and its rules, compiled."""
    if isinstance(stamp, PolicyText):
        file, loaded = stamp.name, parse_rules(stamp.text, stamp.name)
    else:
        file, loaded = stamp[0].name, read_rules(stamp[0])
    policy = "" if not isinstance(stamp, PolicyText) and stamp[0] == BUILT_IN else loaded.name
    return loaded.name, tuple(check(environment(), rule, file, policy) for rule in loaded.rules)


def _no_duplicates(checked: Iterable[Checked]) -> None:
    seen: dict[str, str] = {}
    for one in checked:
        if one.rule.id in seen:
            raise RuleError(
                f"{one.file}: rule {one.rule.id!r} stands in {seen[one.rule.id]} already; give it "
                "another id"
            )
        seen[one.rule.id] = one.file
