"""The decision record in MADR's form (adr.github.io/madr), complete enough to be committed as is.

Every text that a person typed is escaped before it meets Markdown.
"""

from __future__ import annotations

import re
from datetime import date

from advisor.recommendation import Excluded, Ranked, Reason, Recommendation
from advisor.requirements import Mode, Requirements, dumps

REVIEW_AFTER_DAYS = 180


def markdown(
    need: Requirements,
    answer: Recommendation,
    *,
    title: str = "How to run the model in production",
    on: date | None = None,
    deciders: str = "",
) -> str:
    """The record as Markdown. `on` is the date of the decision (today when left out)."""
    on = on or date.today()
    parts = [
        f"---\nstatus: proposed\ndate: {on.isoformat()}\n"
        f"decision-makers: {_yaml(deciders) or 'to be named'}\n---\n",
        f"# {escape(title)}\n",
        _context(need),
        _drivers(need),
        _considered(answer),
        _outcome(need, answer),
        _consequences(answer),
        _confirmation(need, answer),
        _pros_and_cons(answer),
        _ruled_out(answer),
        _more(need, answer),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def escape(text: str) -> str:
    """Text from a person, safe inside Markdown: no markup, no HTML, one line."""
    flat = re.sub(r"\s+", " ", text).strip()
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", flat)


def usd(value: float) -> str:
    """Dollars for people: cents under $10, whole dollars above."""
    return f"${value:,.2f}" if abs(value) < 10 else f"${value:,.0f}"


def _context(need: Requirements) -> str:
    model, traffic, service = need.model, need.traffic, need.service
    what = {
        Mode.realtime: "callers wait for each answer",
        Mode.asynchronous: "answers may come later",
        Mode.batch: "records are scored in batches",
    }[traffic.mode]
    time = (
        f"{model.service_time_ms:g} ms a request"
        if model.service_time_ms is not None
        else f"service time of the class {escape(str(model.model_class))}"
    )
    pattern = traffic.pattern if isinstance(traffic.pattern, str) else "measured hourly"
    target = (
        f"{service.percentile:g} % of answers within {service.p95_ms:g} ms"
        if traffic.mode is Mode.realtime
        else f"done within {service.deadline_h:g} h"
    )
    return (
        "## Context and Problem Statement\n\n"
        f"A trained model ({model.format.value}, {model.size_mb:g} MB on disk, "
        f"{model.memory_mb:g} MB in memory, {time}) has to run in production. "
        f"It will see {traffic.requests_per_month:,.0f} requests a month ({pattern}); {what}: "
        f"{target}, {service.availability_percent:g} % available. "
        "Managed or self-hosted, on which service, how big, and at what cost?\n"
    )


def _drivers(need: Requirements) -> str:
    weights = need.priorities.model_dump()
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    lines = [f"* {name}: weight {weight:g} of 5" for name, weight in ordered if weight]
    lines.append(f"* DevOps skill in the team: {need.team.devops_skill.value}")
    lines.append(f"* control asked for: {need.control.level.value}")
    if need.budget.monthly_usd is not None:
        lines.append(f"* budget: {usd(need.budget.monthly_usd)} a month for the cloud bill")
    if need.control.private_network:
        lines.append("* reachable from the private network only")
    if need.control.data_residency:
        lines.append(f"* data stays in {escape(need.control.data_residency)}")
    return "## Decision Drivers\n\n" + "\n".join(lines) + "\n"


def _considered(answer: Recommendation) -> str:
    lines = [
        f"* {r.name} ({r.kind}): {usd(r.total_monthly_usd)} a month in all" for r in answer.ranking
    ]
    ruled_out = {e.option for e in answer.excluded}
    if ruled_out:
        lines.append(f"* ruled out: {', '.join(sorted(ruled_out))} (reasons below)")
    lines += [f"* without a price: {u.option} ({u.because})" for u in answer.unpriced]
    return "## Considered Options\n\n" + "\n".join(lines) + "\n"


def _outcome(need: Requirements, answer: Recommendation) -> str:
    head = "## Decision Outcome\n\n"
    if not answer.ranking:
        lines = [f"* {r.because}" for r in answer.relaxations]
        clashes = "".join(f"* {escape(c.because)}\n" for c in answer.conflicts)
        return (
            head + "No option fits the requirements.\n\n"
            + (f"These cannot be had together:\n\n{clashes}\n" if clashes else "")
            + "The smallest changes that would help:\n\n"
            + ("\n".join(lines) or "* none was found: the requirements contradict each other")
            + "\n"
        )  # fmt: skip
    best = answer.ranking[0]
    sure = (
        "It is a close call"
        if answer.close_call
        else f"It was best in {answer.confidence:.0%} of redraws of the uncertain inputs"
    )
    runner = (
        f"; the runner-up is {answer.ranking[1].name} at "
        f"{usd(answer.ranking[1].total_monthly_usd)} a month"
        if len(answer.ranking) > 1
        else ""
    )
    because = "; ".join(_because(r) for r in best.reasons[:3]) or _strongest(best)
    return (
        f'{head}Chosen option: "{best.name}" ({best.kind}), because {because}.\n\n'
        f"* size: {size_of(best)} in {best.region}\n"
        f"* cloud bill: {money_range(best)} a month\n"
        f"* people's time: {usd(best.people_monthly_usd)} a month (an assumption: "
        f"{best.people.monthly_hours.expected:.1f} h a month and "
        f"{best.people.setup_hours.expected:.0f} h set-up over the first year at "
        f"{usd(best.people.hourly_usd)} an hour)\n"
        f"* {expected_response(need, best)}\n\n"
        f"{sure}{runner}.\n"
    )


def _strongest(best: Ranked) -> str:
    criteria = {k: v for k, v in best.contributions.items() if k != "rules"}
    top = sorted(criteria, key=lambda name: -criteria[name])[:3]
    return f"it scores highest on {', '.join(top)} under the stated priorities"


def size_of(option: Ranked) -> str:
    """Machine and replicas for people: "2-4 x ml.c7i.large"."""
    low, high = option.replicas.min, option.replicas.max
    if option.sizing.hourly_replicas:
        count = f"{low}" if low == high else f"{low}–{high}"
        return f"{count} × {option.machine}"
    return f"{option.machine}, up to {high} at once"


def money_range(option: Ranked) -> str:
    """The cloud bill with its range: "$214 ($180 to $290)"."""
    prefix = "at least " if option.at_least else ""
    monthly = option.monthly_usd
    return f"{prefix}{usd(monthly.expected)} ({usd(monthly.low)} to {usd(monthly.high)})"


def expected_response(need: Requirements, option: Ranked) -> str:
    """The expected response (or finish) time against its target, in words."""
    service = need.service
    if option.p95_ms is not None and service.p95_ms:
        return (
            f"p{service.percentile:g} response {option.p95_ms:,.0f} ms of the {service.p95_ms:g} ms "
            "target"
        )
    return f"done after {option.finish_h or 0:.2g} h of the {service.deadline_h:g} h deadline"


def _consequences(answer: Recommendation) -> str:
    if not answer.ranking:
        return ""
    best = answer.ranking[0]
    good = [f"* Good, because {_because(r)}" for r in best.reasons]
    bad = [f"* Bad, because {_because(w)}" for w in best.warnings]
    return "### Consequences\n\n" + "\n".join(good + bad or ["* none that the rules name"]) + "\n"


def _confirmation(need: Requirements, answer: Recommendation) -> str:
    if not answer.ranking:
        return ""
    best = answer.ranking[0]
    target = expected_response(need, best)
    flips = [
        f"* {f.field} at {_value(f.to)} instead of {_value(f.from_)}: then {f.winner or 'nothing'}"
        for f in answer.flips
    ]
    changes = "\n".join(flips) or "* no single answer within a wide range changes it"
    return (
        "### Confirmation\n\n"
        f"A load test of the deployed endpoint at {best.sizing.arrival_peak_per_s:,.3g} requests a "
        f"second has to show: {target}. The first full month's bill has to lie between "
        f"{usd(best.monthly_usd.low)} and {usd(best.monthly_usd.high)}.\n\n"
        "Look at this decision again when one of these comes true:\n\n"
        f"{changes}\n"
        f"* prices of {answer.prices_as_of} are older than {REVIEW_AFTER_DAYS} days\n"
    )


def _pros_and_cons(answer: Recommendation) -> str:
    if not answer.ranking:
        return ""
    blocks = ["## Pros and Cons of the Options\n"]
    for r in answer.ranking:
        blocks.append(
            f"### {r.name}\n\n{r.kind}, {size_of(r)}, {r.region}; cloud bill {money_range(r)}, "
            f"people's time {usd(r.people_monthly_usd)}, score {r.score:.2f}.\n"
        )
        points = [f"* Good, because {_because(x)}" for x in r.reasons]
        points += [f"* Bad, because {_because(x)}" for x in r.warnings]
        blocks.append("\n".join(points) + "\n" if points else "")
        blocks.append(_bill_table(r))
    return "\n".join(blocks)


def _bill_table(option: Ranked) -> str:
    rows = [
        "| Line | Quantity | Unit | Unit price | Month | Price of |",
        "|---|---:|---|---:|---:|---|",
    ]
    for line in option.lines:
        price = "unknown" if line.unit_price_usd is None else f"${line.unit_price_usd:.10g}"
        month = "unknown" if line.unit_price_usd is None else usd(line.usd)
        rows.append(
            f"| {escape(line.name)} | {line.quantity:,.6g} | {escape(line.unit)} | {price} | "
            f"{month} | {escape(line.as_of)} |"
        )
    return "\n".join(rows) + "\n"


def _ruled_out(answer: Recommendation) -> str:
    if not answer.excluded:
        return ""
    lines = [f"* {e.option}: {_because(e)} (rule {e.rule}; {_source(e)})" for e in answer.excluded]
    return "## Ruled Out\n\n" + "\n".join(lines) + "\n"


def _more(need: Requirements, answer: Recommendation) -> str:
    warnings = "\n".join(f"* {escape(w)}" for w in answer.warnings)
    policies = ", ".join(escape(p) for p in answer.policies)
    return (
        "## More Information\n\n"
        + (f"{warnings}\n\n" if warnings else "")
        + (f"Team policies applied: {policies}.\n\n" if policies else "")
        + f"Prices as of {answer.prices_as_of}. The requirements, as the advisor reads them back:\n\n"
        + "```yaml\n"
        + dumps(need).replace("```", "'''")
        + "```\n"
    )


def _because(said: Reason | Excluded) -> str:
    """The sentence of a rule; a policy's was typed by a person."""
    return escape(said.because) if said.policy else said.because


def _source(said: Excluded) -> str:
    return escape(said.source) if said.policy else said.source


def _value(value: object) -> str:
    return f"{value:,g}" if isinstance(value, float) else escape(str(value))


def _yaml(text: str) -> str:
    return re.sub(r"[^\w ,.@'-]", "", re.sub(r"\s+", " ", text)).strip()
