"""The words of a record and of the terminal: money, size, expected speed."""

from __future__ import annotations

import math

from advisor.catalog.loader import load_options
from advisor.certainty import certainty
from advisor.durations import duration
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Mode, Requirements


def usd(value: float) -> str:
    """Dollars for people: cents under $10, whole dollars above."""
    return f"${value:,.2f}" if abs(value) < 10 else f"${value:,.0f}"


def size_of(option: Ranked) -> str:
    """Machine and replicas for people: "2-4 x ml.c7i.large"."""
    low, high = option.replicas.min, option.replicas.max
    if option.sizing.hourly_replicas:
        count = f"{low}" if low == high else f"{low}–{high}"
        return f"{count} × {option.machine}"
    return f"{option.machine}, up to {high} at once"


def money_range(option: Ranked) -> str:
    """The cloud bill with its range: "$214 ($180 to $290)"; one figure where they are the same."""
    prefix = "at least " if option.at_least else ""
    low, expected, high = (
        usd(value)
        for value in (option.monthly_usd.low, option.monthly_usd.expected, option.monthly_usd.high)
    )
    said = expected if low == expected == high else f"{expected} ({low} to {high})"
    return prefix + said


def expected_response(need: Requirements, option: Ranked) -> str:
    """The expected response (or finish) time against its target, in words."""
    service = need.service
    if option.p95_ms is not None and service.p95_ms:
        return (
            f"p{service.percentile:g} response {option.p95_ms:,.0f} ms of the {service.p95_ms:,g} ms "
            "target"
        )
    finish_h, collected_h = option.finish_h or 0.0, option.sizing.collected_h
    by = f"{duration(finish_h)} of the {duration(service.deadline_h)} deadline"
    if need.traffic.mode is Mode.batch:
        return f"done after {by}"
    if collected_h:
        return (
            f"answered within {by}: requests are collected for {duration(collected_h)}, then a run "
            f"of up to {duration(finish_h - collected_h)} starts"
        )
    return f"answered within {by}"


def unit_price(price: float | None) -> str:
    """A unit price with all its digits; an unknown one is said to be unknown."""
    return "unknown" if price is None else f"${_digits(price, 10)}"


def quantity(amount: float) -> str:
    """An amount of something with six digits that count: 20,000,000; 0.0184."""
    return f"{amount:,.0f}" if abs(amount) >= 1e6 else _digits(amount, 6)


def _digits(number: float, count: int) -> str:
    """So many digits that count, and no power of ten: 0.0000002, 1,234.5."""
    if number == 0:
        return "0"
    behind = max(0, count - 1 - math.floor(math.log10(abs(number))))
    text = f"{number:,.{behind}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def answer_value(value: object) -> str:
    """An answer as a word: 5,100,000, yes, "aws, gcp"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(getattr(v, "value", v)) for v in value)
    return "not given" if value is None else str(getattr(value, "value", value))


def as_clause(sentence: str) -> str:
    """A sentence as it stands after "because"."""
    first = sentence.split()[0]
    named = {word for option in load_options().values() for word in option.name.split()} - {"Your"}
    keeps = first in named or first[1:2].isupper()
    return (sentence if keeps else sentence[0].lower() + sentence[1:]).rstrip(".")


def problem(need: Requirements) -> str:
    """What has to be decided, for whom and under which load: one paragraph."""
    model, traffic, service = need.model, need.traffic, need.service
    what = {
        Mode.realtime: "callers wait for each answer",
        Mode.asynchronous: "answers may come later",
        Mode.batch: "records are scored in batches",
    }[traffic.mode]
    time = (
        f"{model.service_time_ms:,g} ms a request"
        if model.service_time_ms is not None
        else f"service time of the class {model.model_class}"
    )
    pattern = traffic.pattern if isinstance(traffic.pattern, str) else "measured hourly"
    target = (
        f"{service.percentile:g} % of answers within {service.p95_ms:,g} ms"
        if traffic.mode is Mode.realtime
        else f"done within {duration(service.deadline_h)}"
    )
    gpu = ", on a GPU" if model.gpu else ""
    return (
        f"A trained model ({model.format.value}, {model.size_mb:,g} MB on disk, "
        f"{model.memory_mb:,g} MB in memory, {time}{gpu}) has to run in production. "
        f"It will see {traffic.requests_per_month:,.0f} requests a month ({pattern}); {what}: "
        f"{target}, {service.availability_percent:g} % available. "
        "Managed or self-hosted, on which service, how big, and at what cost?"
    )


def how_sure(answer: Recommendation) -> str:
    """How sure the first place is, and who comes second."""
    sure = certainty(answer)
    if len(answer.ranking) < 2:
        return f"{sure}."
    second = answer.ranking[1]
    return f"{sure}. The runner-up is {second.name} at {usd(second.total_monthly_usd)} a month."
