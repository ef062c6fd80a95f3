"""recommend(requirements) -> Recommendation: the one door into the decision.

Exclude by rules, size what is left, price it, apply the rules that need a plan, rank, doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from advisor.catalog.loader import load_options
from advisor.conflicts import conflicts
from advisor.consider import consider, regions_by_cloud
from advisor.errors import InputError
from advisor.plans import Plan
from advisor.prices import PriceBook, load_book
from advisor.prices.status import stale_note
from advisor.ranking import contributions, is_close, stability, utilities
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
from advisor.rules import Fired, Policy, in_force, load_rules
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
            collected_h=sized.collected_h,
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
