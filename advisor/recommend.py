"""recommend(requirements) -> Recommendation: the one door into the decision.

Exclude by rules, size what is left, price it, apply the rules that need a plan, rank, doubt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

from advisor.catalog.loader import load_options
from advisor.conflicts import conflicts
from advisor.consider import Considered, consider, promise, regions_by_cloud
from advisor.errors import InputError
from advisor.plans import Plan
from advisor.prices import PriceBook, load_book
from advisor.prices.status import stale_note
from advisor.ranking import (
    contributions,
    is_close,
    score,
    stability,
    utilities,
)  # fmt: skip
from advisor.recommendation import (
    Excluded,
    Ranked,
    Reason,
    Recommendation,
    Replicas,
    Sizing,
    Unpriced,
)  # fmt: skip
from advisor.requirements import Requirements
from advisor.rules import Fired, Outcome, Policy, RuleSet, in_force, load_rules
from advisor.sizing.export_note import export_note
from advisor.sizing.purchase import ON_DEMAND
from advisor.workload import Workload, resolve


def recommend(
    need: Requirements,
    *,
    policies: Sequence[Policy] = (),
    options: Iterable[str] | None = None,
    book: PriceBook | None = None,
    doubt: bool = True,
) -> Recommendation:
    """The recommendation for the requirements.

    `policies` are a team's rule files (or texts) on top of ours; `options` restricts the option ids
    that are considered; without `doubt` no redraws are made, and confidence is 0 (the quick verdict).
    Flips and relaxations cost many recommendations: `advisor.whatif.complete` adds them.

    Deterministic: the same input gives the same answer. Raises InputError for a region or model
    class that does not exist, and RuleError for a bad policy file.
    """
    book = book or load_book()
    work = resolve(need)
    rules = load_rules(tuple(policies))
    regions, notes = regions_by_cloud(need, book)
    chosen = set(options) if options is not None else None
    considered = [
        consider(option, work, regions, rules, book)
        for option in load_options().values()
        if chosen is None or option.id in chosen
    ]
    plans = [c.plan for c in considered if c.plan is not None]
    shares = stability([p.measures for p in plans], work) if doubt else {}
    ranking = sorted(
        (_ranked(p, work, shares.get(p.option.id, 0.0)) for p in plans),
        key=lambda r: (-r.score, r.option),
    )
    winner = ranking[0] if ranking else None
    share = shares.get(winner.option, 0.0) if winner else 0.0
    return Recommendation(
        verdict=winner.kind if winner else "none",
        winner=winner.option if winner else None,
        close_call=bool(winner) and doubt and is_close([r.score for r in ranking], share),
        confidence=round(share, 4),
        ranking=tuple(ranking),
        excluded=tuple(
            Excluded(
                option=c.option.id, rule=f.rule, because=f.because, source=f.source, policy=f.policy
            )
            for c in considered
            for f in c.fired
        ),
        unpriced=tuple(
            Unpriced(option=c.option.id, because=c.unpriced) for c in considered if c.unpriced
        ),
        warnings=(*notes, *_warnings(need, work, book, ranking)),
        conflicts=() if plans else conflicts(need, considered, rules),
        prices_as_of=book.as_of,
        policies=tuple(dict.fromkeys(in_force(policies))),
        policy_names=rules.policies,
    )


class Standing:
    """Every option under some requirements, each looked at when it is first asked for; the bill's
    range is left at its expected value. What `recommend` says, without redraws and sentences."""

    def __init__(
        self, need: Requirements, rules: RuleSet, book: PriceBook, hint: str | None = None
    ) -> None:
        """`hint`: an option that may well win, to be looked at first. Raises as `recommend`."""
        self.work = resolve(need)
        self._rules, self._book, self._hint = rules, book, hint
        self._regions, _notes = regions_by_cloud(need, book)
        self._found: dict[str, Considered] = {}
        self._first: dict[str, Outcome] = {}

    @property
    def considered(self) -> tuple[Considered, ...]:
        """All options, in catalogue order."""
        return tuple(self.of(option_id) for option_id in load_options())

    def of(self, option_id: str) -> Considered:
        """One option. Raises KeyError when there is none of that id."""
        if option_id not in self._found:
            self._found[option_id] = consider(
                load_options()[option_id], self.work, self._regions, self._rules, self._book,
                ranges=False, first=self._before(option_id),
            )  # fmt: skip
        return self._found[option_id]

    @cached_property
    def winner(self) -> str | None:
        """The option that `recommend` ranks first.

        Options are looked at in the order of the best score that they could have; those that
        could not reach the best one found are left out, which changes nothing.
        """
        best: tuple[float, str] | None = None
        for most, option_id in self._by_promise():
            if best is not None and most < -best[0] - WHISKER:
                break
            plan = self.of(option_id).plan
            if plan is not None:
                mine = (-score(plan.measures, self.work), option_id)
                best = mine if best is None else min(best, mine)
        return best[1] if best else None

    def _before(self, option_id: str) -> Outcome:
        """What the rules say of the option before it is sized."""
        if option_id not in self._first:
            self._first[option_id] = self._rules.evaluate(
                load_options()[option_id], self.work, said=False
            )
        return self._first[option_id]

    def _by_promise(self) -> list[tuple[float, str]]:
        """(most that the score can be, option) of those that the answers do not rule out."""
        every = (promise(option, self.work, self._rules) for option in load_options().values())
        most = [
            (math.inf if best.option == self._hint else score(best, self.work), best.option)
            for best in every
            if best is not None
        ]
        return sorted(most, key=lambda pair: (-pair[0], pair[1]))


def standing(
    need: Requirements,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    hint: str | None = None,
) -> Standing:
    """The options under these requirements, see `Standing`. Raises InputError and RuleError."""
    return Standing(need, load_rules(tuple(policies)), book or load_book(), hint)


def winner(
    need: Requirements,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    hint: str | None = None,
) -> str | None:
    """The id of the option that `recommend` ranks first; what-ifs ask this many times over.

    `hint` is an option that may well win: others are then left out the sooner.
    """
    return standing(need, policies=policies, book=book, hint=hint).winner


# Scores this near are told apart by their ids, so neither is left out for the other.
WHISKER = 1e-9


def _ranked(plan: Plan, work: Workload, share: float) -> Ranked:
    option, sized = plan.option, plan.sized
    utility = utilities(plan.measures, work)
    parts = contributions(plan.measures, utility, work.need.priorities)
    return Ranked(
        option=option.id,
        name=option.name,
        kind=option.kind,
        cloud=option.cloud.value,
        score=sum(parts.values()),
        contributions=parts,
        utilities=utility,
        region=plan.region,
        machine=sized.machine,
        purchase=sized.bought.label if sized.bought else ON_DEMAND,
        replicas=Replicas(min=sized.replicas_min, max=sized.replicas_max),
        p95_ms=sized.p95_ms,
        finish_h=sized.finish_h,
        monthly_usd=plan.monthly_usd,
        at_least=plan.at_least,
        people_monthly_usd=plan.people.monthly_usd.expected,
        people=plan.people,
        total_monthly_usd=plan.monthly_usd.expected + plan.people.monthly_usd.expected,
        lines=plan.lines,
        reasons=tuple(_reason(f) for f in sorted(plan.preferred, key=lambda f: -f.points)),
        warnings=tuple(_reason(f) for f in plan.warnings),
        sizing=Sizing(
            model=sized.model,
            service_time_ms=sized.service_time_ms,
            concurrency=sized.servers,
            utilisation=sized.utilisation,
            arrival_peak_per_s=work.peak_per_s,
            replica_hours=sized.replica_hours,
            hourly_replicas=sized.hourly_replicas,
            cold_start_share=sized.cold_start_share,
            memory_mb=sized.memory_mb,
            vcpu=sized.vcpu,
            notes=sized.notes,
        ),
        best_in_draws=share,
        deploy_target=option.deploy.target,
        deploy_variant=option.deploy.variant,
    )


def _reason(fired: Fired) -> Reason:
    return Reason(
        rule=fired.rule,
        because=fired.because,
        source=fired.source,
        policy=fired.policy,
        points=fired.points,
    )


def _warnings(
    need: Requirements, work: Workload, book: PriceBook, ranking: Sequence[Ranked]
) -> list[str]:
    out = []
    if work.service_time_assumed:
        out.append(
            f"The service time of {work.service_time_ms:,.0f} ms is assumed from the model class "
            f"{need.model.model_class!r}, not measured; measure your own model."
        )
    exported = export_note(need)
    if exported:
        out.append(exported)
    stale = stale_note(line.as_of for line in ranking[0].lines) if ranking else ""
    if stale:
        out.append(f"In the bill of {ranking[0].name}, {stale}")
    if any(r.at_least for r in ranking):
        out.append('Some unit prices are unknown: those totals are "at least".')
    if need.today.option and need.today.option not in load_options():
        raise InputError(
            f"today.option is {need.today.option!r}, which is no option id; see "
            "python -m advisor options"
        )
    return out
