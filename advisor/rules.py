"""Rules as data: which options the answers exclude, what to warn of, what to prefer, and why.

A rule's condition is an expression of CEL (the Common Expression Language, evaluated by Google's
cel-expr-python) over the typed fields of `rule_fields`. It is compiled and type-checked when it is
loaded, so a misspelt name is an error of the file and never a rule that silently does not fire.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from cel_expr_python import cel

from advisor.catalog.loader import cite, load_options, sources
from advisor.catalog.schema import Option
from advisor.errors import RuleError
from advisor.rule_check import Checked, check, environment, plain_value, truth
from advisor.rule_fields import PlanFacts, Value, answer_type, fields
from advisor.rule_file import FACT_SOURCE, PolicyFile, PolicyText, Rule, parse_rules, read_rules
from advisor.rule_text import render
from advisor.rule_values import matched_values, need_values, option_values, plan_values
from advisor.workload import Workload

__all__ = [
    "Fired", "Outcome", "PlanFacts", "Policy", "PolicyFile", "PolicyText", "Rule", "RuleSet",
    "contradictions", "in_force", "load_rules", "policy_stamps",
]  # fmt: skip

BUILT_IN = Path(__file__).resolve().parent / "catalog" / "rules.yaml"
MOST_HELD, MOST_SAID = 64, 256  # remembered for an option and phase: conditions, sentences
Answer = float | int | bool | str | list[str] | None
Policy = Path | str | PolicyText  # a policy file by its path, or its text


@dataclass(frozen=True)
class Fired:
    """A rule whose condition holds for an option.

    `relaxations` are changes of answers which, made together, keep it from firing: pairs of a
    requirement's path and its new value. `policy` names the team's policy it stands in, if any.
    """

    rule: str
    because: str
    source: str
    points: float = 0.0
    criterion: str = ""
    relaxations: tuple[tuple[str, Answer], ...] = ()
    policy: str = ""


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
        self._by_option: dict[str, tuple[Option, tuple[_Asked, _Asked]]] = {}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as they were written, built-in ones first."""
        return tuple(one.rule for one in self.checked)

    def evaluate(self, option: Option, work: Workload, plan: PlanFacts | None = None) -> Outcome:
        """What the rules say of the option for the workload.

        Without a plan the rules of the need phase are asked, with one those of the plan phase
        alone: the two outcomes add up. Raises InputError for a region that no cloud has, and
        RuleError for a rule that fails (a division by zero).
        """
        asked = self._asked(option)[0 if plan is None else 1]
        changing = {**need_values(work), **matched_values(option, work)}
        if plan is not None:
            changing |= plan_values(plan)
        outcome = Outcome()
        lists = {"warn": outcome.warnings, "prefer": outcome.preferred}
        for one, fired in asked.fired(option, changing):
            lists.get(one.rule.kind, outcome.excluded).append(fired)
        return outcome

    def holding(
        self, option: Option, work: Workload, plan: PlanFacts | None = None
    ) -> tuple[str, ...]:
        """The ids of the rules that fire, without their sentences; with a plan those of both
        phases. Raises what `evaluate` raises."""
        before, after = self._asked(option)
        changing = {**need_values(work), **matched_values(option, work)}
        found = [before.rules[i].rule.id for i in before.holding(changing)]
        if plan is not None:
            changing |= plan_values(plan)
            found += [after.rules[i].rule.id for i in after.holding(changing)]
        return tuple(found)

    def most_points(self, option: Option) -> float:
        """The most that preferring rules of the plan phase can add for the option."""
        return sum(max(0.0, one.rule.points) for one in self._asked(option)[1].rules)

    def applying_to(self, option: Option) -> tuple[Rule, ...]:
        """The rules that are asked for an option."""
        return tuple(one.rule for asked in self._asked(option) for one in asked.rules)

    def _asked(self, option: Option) -> tuple[_Asked, _Asked]:
        """What is asked of an option in the need phase and in the plan phase."""
        kept = self._by_option.get(option.id)
        if kept is None or kept[0] is not option:
            fixed = option_values(option)
            rules = [one for one in self.checked if one.rule.applies_to(option)]
            need = _Asked(self._env, [r for r in rules if r.rule.phase == "need"], fixed)
            plan = _Asked(self._env, [r for r in rules if r.rule.phase == "plan"], fixed)
            kept = self._by_option[option.id] = (option, (need, plan))
        return kept[1]


class _Asked:
    """The rules asked of an option in a phase.

    What a rule says depends on nothing but the fields that it names, so it is remembered by their
    values: a changed volume asks only the rules that look at the volume. Bounded, and safe with
    threads: entries are only ever added whole.
    """

    def __init__(self, env: cel.Env, rules: Sequence[Checked], fixed: Mapping[str, Value]) -> None:
        self.rules = tuple(rules)
        self._env, self._fixed = env, fixed
        self._lists = tuple(n for one in rules for n in one.names if _is_list(n, fixed))
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, one in enumerate(self.rules):
            groups.setdefault(tuple(sorted(one.asks - fixed.keys())), []).append(i)
        self._groups = [
            _Group(env, names, [(i, self.rules[i]) for i in members], fixed)
            for names, members in groups.items()
        ]
        self._pick = [_picker(sorted(one.names - fixed.keys())) for one in self.rules]
        self._said: dict[Hashable, Fired] = {}

    def fired(
        self, option: Option, changing: Mapping[str, Value]
    ) -> Iterator[tuple[Checked, Fired]]:
        """The rules that fire, in order. Raises RuleError naming one that fails."""
        comparable = self._comparable(changing)
        for i in self._holding(changing, comparable):
            key = (i, self._pick[i](comparable))
            said = self._said.get(key)
            if said is None:
                one = self.rules[i]
                values = {**changing, **self._fixed}
                activation = self._env.Activation({name: values[name] for name in one.names})
                said = _fired(one, option, values, activation)
                if len(self._said) >= MOST_SAID:
                    self._said = {}
                self._said[key] = said
            yield self.rules[i], said

    def holding(self, changing: Mapping[str, Value]) -> list[int]:
        """Numbers of the rules that fire, in order. Raises RuleError naming one that fails."""
        return self._holding(changing, self._comparable(changing))

    def _holding(self, changing: Mapping[str, Value], comparable: Mapping[str, Any]) -> list[int]:
        return sorted(i for group in self._groups for i in group.holding(changing, comparable))

    def _comparable(self, changing: Mapping[str, Value]) -> dict[str, Any]:
        return {**changing, **{name: tuple(_texts(changing[name])) for name in self._lists}}


class _Group:
    """Rules that look at the same changing fields, with all their conditions in one expression:
    asking them together costs a fifth of asking them one by one."""

    def __init__(
        self,
        env: cel.Env,
        changing: Sequence[str],
        rules: Sequence[tuple[int, Checked]],
        fixed: Mapping[str, Value],
    ) -> None:
        self._env, self._rules = env, tuple(rules)
        self._pick = _picker(changing)
        self._changing = tuple(changing)
        self._fixed = {n: fixed[n] for _, one in rules for n in one.asks if n in fixed}
        self._held: dict[Hashable, tuple[int, ...]] = {}
        self._text = "[" + ", ".join(f"({one.rule.condition}\n)" for _, one in rules) + "]"

    def holding(
        self, changing: Mapping[str, Value], comparable: Mapping[str, Hashable]
    ) -> tuple[int, ...]:
        """Numbers of the rules whose condition holds. Raises RuleError naming one that fails."""
        key = self._pick(comparable)
        held = self._held.get(key)
        if held is None:
            held = self._ask({name: changing[name] for name in self._changing})
            if len(self._held) >= MOST_HELD:
                self._held = {}
            self._held[key] = held
        return held

    def _ask(self, changing: Mapping[str, Value]) -> tuple[int, ...]:
        activation = self._env.Activation({**self._fixed, **changing})
        held: object = None
        with contextlib.suppress(RuntimeError):  # too much for all together: one by one
            held = _compiled(self._text).eval(activation).plain_value()
        if not isinstance(held, list):  # one of them failed: ask one by one, which names it
            held = [truth(one, one.when, activation) for _, one in self._rules]
        return tuple(i for (i, _), holds in zip(self._rules, held, strict=True) if holds)


@lru_cache(maxsize=2048)
def _compiled(text: str) -> cel.Expression:
    """Options share most of their rules, so most of these are compiled once."""
    return environment().compile(text)


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Hashable]], Hashable]:
    return itemgetter(*names) if names else lambda _: ()


def _is_list(name: str, fixed: Mapping[str, Value]) -> bool:
    return name not in fixed and fields()[name] == "list"


def _texts(value: Value) -> Sequence[str]:
    assert isinstance(value, list)  # noqa: S101 - the field's type says so
    return value


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
    if isinstance(policy, PolicyText):
        return policy
    try:
        stat = policy.stat()
    except OSError as error:
        raise RuleError(
            f"cannot read the policy file {policy}: {error.strerror}; name a YAML file"
        ) from None
    return policy.resolve(), stat.st_mtime_ns, stat.st_size


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


def _fired(
    one: Checked, option: Option, values: Mapping[str, Value], activation: cel.Activation
) -> Fired:
    because = render(one.rule.sentence, values)
    return Fired(
        rule=one.rule.id,
        because=f"{because} (policy: {one.policy})" if one.policy else because,
        source=_source(one, option),
        points=one.rule.points,
        criterion=one.rule.criterion or "",
        relaxations=tuple(
            (path, _answer(path, plain_value(one, to, activation)))
            for path, to, when in one.relax
            if when is None or truth(one, when, activation)
        ),
        policy=one.policy,
    )


def _answer(path: str, value: object) -> Answer:
    kind = answer_type(path)
    if isinstance(value, float) and kind is not None and kind[2]:
        return int(value)
    assert value is None or isinstance(value, (bool, int, float, str, list))  # noqa: S101 - checked
    return value


def _source(one: Checked, option: Option) -> str:
    given = one.rule.source
    if given.startswith(FACT_SOURCE):
        return option.fact(given.removeprefix(FACT_SOURCE)).source
    if given in sources():
        return cite(given)
    return given or f"policy {one.policy} ({one.file})"
