"""Asking the rules of one option and phase, and remembering what they said.

What a rule says depends on nothing but the fields that it names, so it is remembered by their
values. Conditions that look at no field of the volume are remembered all together: a changed
volume asks only the few that do. Everything here is bounded, and safe with threads: entries are
only ever added whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import cast

from cel_expr_python import cel

from advisor.catalog.loader import cite, sources
from advisor.catalog.schema import Option
from advisor.memo import Same
from advisor.rule_check import Checked, environment, plain_value, truth
from advisor.rule_fields import PlanFacts, Value, answer_type
from advisor.rule_file import FACT_SOURCE
from advisor.rule_rows import ROWS_AT_ONCE, Cases, ask_rows
from advisor.rule_text import render
from advisor.rule_values import OF_VOLUME, Values, of_match, of_need, plan_values, values_of
from advisor.workload import Calm, Workload

MOST_HELD, MOST_SAID = 256, 256  # remembered: outcomes of conditions, sentences
Answer = float | int | bool | str | list[str] | None


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


class Seen:
    """The values of the fields that change: of the answers, their match with an option, a plan."""

    def __init__(self, option: Option, work: Workload, plan: Values | None = None) -> None:
        self._option, self._work, self._plan = option, work, plan
        self.calm = work.calm  # all answers but the volume
        self.need = of_need(work).comparable  # those of the answers alone

    def changed_since(self, before: Seen) -> set[str]:
        """The fields of answers and match that have another value than before, for the same option.
        Raises as `comparable`."""
        key, old, new = "changed since", before.need, self.need
        kept = self._work.kept.get(key)
        if kept is None or kept[0] is not old:  # the same for every option
            differ = {name for name, value in new.items() if value != old[name]}
            kept = self._work.kept[key] = (old, differ)
        matched = before.match.comparable
        if self.match.comparable is matched:
            return cast(set[str], kept[1])
        match = {name for name, value in self.match.comparable.items() if value != matched[name]}
        return kept[1] | match

    def and_plan(self, plan: Values) -> Seen:
        """With the values of a plan."""
        return Seen(self._option, self._work, plan)

    @cached_property
    def match(self) -> Values:
        """Those of the match. Raises InputError for a region that no cloud has."""
        return of_match(self._option, self._work)

    @cached_property
    def comparable(self) -> Mapping[str, Hashable]:
        """All of them, so that they can be compared. Raises InputError for a region that no cloud
        has, as `plain`."""
        plan = self._plan.comparable if self._plan else {}
        return {**self.need, **self.match.comparable, **plan}

    @cached_property
    def plain(self) -> Mapping[str, Value]:
        """All of them, as rules see them."""
        plan = self._plan.plain if self._plan else {}
        return {**of_need(self._work).plain, **self.match.plain, **plan}


def seen_by_rules(option: Option, work: Workload, plan: PlanFacts | None) -> Seen:
    """What rules see of an option for a workload."""
    key = ("seen by rules", Same(option))
    before: Seen | None = work.kept.get(key)
    if before is None:
        before = work.kept[key] = Seen(option, work)
    return before if plan is None else before.and_plan(values_of(plan_values(plan)))


class Asked:
    """The rules asked of an option in a phase."""

    def __init__(
        self,
        env: cel.Env,
        rules: Sequence[Checked],
        fixed: Mapping[str, Value],
        shared: dict[Hashable, Group],
    ) -> None:
        """`fixed`: fields of the option alone. Groups that ask the same are made once: `shared`."""
        self.rules = tuple(rules)
        self.prefers = [one.rule.kind == "prefer" for one in self.rules]
        self.excludes = [one.rule.kind not in ("warn", "prefer") for one in self.rules]
        self.most_points = sum(max(0.0, one.rule.points) for one in self.rules)
        self._env, self._fixed = env, fixed
        members: dict[tuple[str, ...], list[int]] = {}
        for i, one in enumerate(self.rules):
            names = tuple(sorted(one.asks - fixed.keys()))
            # Rules that look at a plan are asked anew for nearly every plan: all at once.
            members.setdefault(("plan",) if _of_plan(names) else names, []).append(i)
        groups = [(Group.shared(env, [self.rules[i] for i in at], fixed, shared), tuple(at))
                  for at in members.values()]  # fmt: skip
        self._calm = [(group, at) for group, at in groups if not group.moving]
        self._moving = [(group, at) for group, at in groups if group.moving]
        self._calm_held: dict[Calm, tuple[tuple[int, ...], bool]] = {}
        self._calm_last: tuple[Seen, list[tuple[int, ...]]] | None = None
        self._moving_most = sum(
            max(0.0, self.rules[i].rule.points) for _, at in self._moving for i in at
        )
        self._pick = [_picker(sorted(one.names - fixed.keys())) for one in self.rules]
        self._said: dict[Hashable, Fired] = {}
        self.unsaid = [Fired(one.rule.id, "", "", points=one.rule.points) for one in self.rules]

    def fired(self, option: Option, seen: Seen, said: bool) -> Iterator[tuple[Checked, Fired]]:
        """The rules that fire, in order; unless it is to be `said`, without warnings, and without
        sentences of what is preferred. Raises RuleError naming one that fails."""
        for i in self.holding(seen):
            one = self.rules[i]
            if said or one.rule.kind not in ("warn", "prefer"):
                yield one, self._fired(i, option, seen)
            elif one.rule.kind == "prefer":
                yield one, self.unsaid[i]

    def holding(self, seen: Seen) -> list[int]:
        """Numbers of the rules that fire, in order. Raises RuleError naming one that fails."""
        calm, _rules_out = self._of_calm(seen)
        moving = [i for group, at in self._moving for i in group.holding(seen, at)]
        return sorted((*calm, *moving))

    def holding_each(self, seen: Seen, cases: Cases) -> list[tuple[int, ...]]:
        """`holding` in each of the cases, which are those of `seen` but for the fields that differ.
        None of these may be asked by rules that do not look at the volume or at a plan. Raises
        RuleError naming one that fails."""
        calm = self._of_calm(seen)[0]
        more: dict[int, list[int]] = {}
        for group, at in self._moving:
            for case, found in enumerate(group.holding_each(seen, cases)):
                if found:
                    more.setdefault(case, []).extend(at[i] for i in found)
        return [
            tuple(sorted((*calm, *more[case]))) if case in more else calm
            for case in range(cases.count)
        ]

    def most_of_calm(self, seen: Seen) -> float | None:
        """The most points that rules may prefer the option by, told by those alone that do not look
        at the volume; None where one of them excludes it. Raises RuleError naming one that fails."""
        calm, out = self._of_calm(seen)
        if out:
            return None
        return self._moving_most + sum(self.rules[i].rule.points for i in calm if self.prefers[i])

    def rules_out(self, seen: Seen) -> bool:
        """Whether a rule that excludes fires whatever the volume is: told without asking the rest.
        Raises RuleError naming a rule that fails."""
        return self._of_calm(seen)[1]

    def _of_calm(self, seen: Seen) -> tuple[tuple[int, ...], bool]:
        """Numbers of the rules that fire whatever the volume is, and whether one of them excludes."""
        found = self._calm_held.get(seen.calm)
        if found is None:
            calm = tuple(i for held in self._each_calm(seen) for i in held)
            out = any(self.excludes[i] for i in calm)
            if len(self._calm_held) >= MOST_HELD:
                self._calm_held = {}
            found = self._calm_held[seen.calm] = (calm, out)
        return found

    def _each_calm(self, seen: Seen) -> list[tuple[int, ...]]:
        """Numbers of the rules that fire, of each of the groups. Only those that look at a field
        with another value than the last time are asked."""
        if self._calm_last is None:
            found = [group.holding(seen, at) for group, at in self._calm]
        else:
            last, before = self._calm_last
            changed = seen.changed_since(last)
            found = [
                held if group.names.isdisjoint(changed) else group.holding(seen, at)
                for (group, at), held in zip(self._calm, before, strict=True)
            ]
        self._calm_last = (seen, found)
        return found

    def _fired(self, i: int, option: Option, seen: Seen) -> Fired:
        key = (i, self._pick[i](seen.comparable))
        found = self._said.get(key)
        if found is None:
            one, values = self.rules[i], {**seen.plain, **self._fixed}
            activation = self._env.Activation({name: values[name] for name in one.names})
            found = _said(one, option, values, activation)
            if len(self._said) >= MOST_SAID:
                self._said = {}
            self._said[key] = found
        return found


class Group:
    """Rules that look at the same changing fields, with all their conditions in one expression:
    asking them together costs a fifth of asking them one by one."""

    def __init__(
        self, env: cel.Env, rules: Sequence[Checked], fixed: Mapping[str, Value], text: str
    ) -> None:
        self._env, self._rules, self._fixed, self._text = env, tuple(rules), fixed, text
        self._conditions = tuple(f"({one.rule.condition}\n)" for one in rules)
        self.changing = tuple(sorted({n for one in rules for n in one.asks} - fixed.keys()))
        self.names = frozenset(self.changing)
        self.moving = _of_plan(self.changing) or not OF_VOLUME.isdisjoint(self.changing)
        self._of_need = all(name.startswith(("need.", "assume.")) for name in self.changing)
        self._pick = _picker(self.changing)
        self._held: dict[Hashable, tuple[int, ...]] = {}

    @staticmethod
    def shared(
        env: cel.Env,
        rules: Sequence[Checked],
        fixed: Mapping[str, Value],
        groups: dict[Hashable, Group],
    ) -> Group:
        """The group of these rules among `groups`, where it is put when it is the first."""
        mine = {n: fixed[n] for one in rules for n in one.asks if n in fixed}
        text = "[" + ", ".join(f"({one.rule.condition}\n)" for one in rules) + "]"
        key = text, tuple((n, _hashable(value)) for n, value in sorted(mine.items()))
        found = groups.get(key)
        if found is None:
            found = groups[key] = Group(env, rules, mine, text)
        return found

    def holding(self, seen: Seen, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Those of `numbers`, one a rule, whose condition holds. Raises RuleError naming a rule
        that fails."""
        key = self._pick(seen.need if self._of_need else seen.comparable)
        held = self._held.get(key)
        if held is None:
            held = self._ask(seen.plain)
            if len(self._held) >= MOST_HELD:
                self._held = {}
            self._held[key] = held
        return tuple(numbers[i] for i in held) if held else ()

    def holding_each(self, seen: Seen, cases: Cases) -> list[tuple[int, ...]]:
        """Numbers of its rules that hold, in each of the cases."""
        found = cases.held.get(id(self)) if self._of_need else None
        if found is None:
            found = self._ask_each(seen, cases)
            if self._of_need:  # whatever the option, so it serves the next one
                cases.held[id(self)] = found
        return found

    def _ask_each(self, seen: Seen, cases: Cases) -> list[tuple[int, ...]]:
        lists = {name: cases.each[name] for name in self.changing if name in cases.each}
        if not lists:
            return [self.holding(seen, tuple(range(len(self._rules))))] * cases.count
        alike = {name: seen.plain[name] for name in self.changing if name not in lists}
        out: list[tuple[int, ...]] = []
        fixed = {**self._fixed, **alike}
        for held in ask_rows(self._conditions, fixed, lists, cases.count):
            if held is not None:
                out.extend(held)
                continue
            for case in range(len(out), min(len(out) + ROWS_AT_ONCE, cases.count)):
                single = {name: values[case] for name, values in lists.items()}
                out.append(self._ask({**alike, **single}))
        return out

    def _ask(self, values: Mapping[str, Value]) -> tuple[int, ...]:
        activation = self._env.Activation(
            {**self._fixed, **{name: values[name] for name in self.changing}}
        )
        held: object = None
        with contextlib.suppress(RuntimeError):  # too much for all together: one by one
            held = _compiled(self._text).eval(activation).plain_value()
        if not isinstance(held, list):  # one of them failed: ask one by one, which names it
            held = [truth(one, one.when, activation) for one in self._rules]
        return tuple(i for i, holds in enumerate(held) if holds)


def _of_plan(names: Sequence[str]) -> bool:
    return any(name.startswith("plan.") for name in names)


@lru_cache(maxsize=2048)
def _compiled(text: str) -> cel.Expression:
    """Options share most of their rules, so most of these are compiled once."""
    return environment().compile(text)


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Hashable]], Hashable]:
    return itemgetter(*names) if names else lambda _: ()


def _hashable(value: Value) -> Hashable:
    return tuple(value) if isinstance(value, list) else value


def _said(
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
