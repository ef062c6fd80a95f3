"""Where every figure of an answer comes from: formula, the numbers put in, source, date, certainty.

Pure: it reads an answer and its requirements and computes nothing that the answer does not hold,
but for the quotients that a formula shows. The wording stands in `explain.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from advisor.catalog.loader import option as catalog_option
from advisor.costs.people import MONTHS_OF_SET_UP
from advisor.prices.status import oldest
from advisor.ranking import CRITERIA, RULES, SCALES
from advisor.recommendation import CostLine, Ranked, Result
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode, Requirements
from advisor.sizing.fleet import overhead_ms
from advisor.workload import Workload, resolve

Certainty = Literal["your answer", "default", "assumed", "published", "computed", "unknown"]

TEXTS = Path(__file__).with_name("explain.yaml")
HOURS = "team.assumptions"  # the field that holds a team's own hours for each option


class Input(Result):
    """A number that a formula takes. `field` is the answer behind it, where there is one."""

    name: str
    value: float | str | None
    unit: str = ""
    certainty: Certainty
    source: str = ""
    as_of: str = ""
    field: str | None = None


class Figure(Result):
    """A figure, opened. `worked` is the formula with the numbers in it; empty where it is long."""

    id: str
    name: str
    value: float | None  # None: not known
    unit: str
    formula: str
    worked: str
    inputs: tuple[Input, ...]
    source: str
    as_of: str
    certainty: Certainty
    note: str = ""


def explain(need: Requirements, ranked: Ranked) -> tuple[Figure, ...]:
    """All figures of a ranked option, the money first. Raises InputError as `resolve` does."""
    work = resolve(need)
    return (
        *_money(need, ranked),
        *_speed(need, work, ranked),
        *_size(need, work, ranked),
        *_rank(need, ranked),
    )


def figure(need: Requirements, ranked: Ranked, figure_id: str) -> Figure:
    """One figure by its id. Raises KeyError for an id that this option does not have."""
    return next(f for f in explain(need, ranked) if f.id == figure_id)


def speed_id(need: Requirements, ranked: Ranked) -> str:
    """The id of the figure that says how fast the option is: a response time, or when it is done."""
    if need.traffic.mode is not Mode.realtime:
        return "finish"
    return "response_functions" if _is_functions(ranked) else "response"


def _money(need: Requirements, ranked: Ranked) -> Iterator[Figure]:
    lines = ranked.lines
    known = [line for line in lines if line.unit_price_usd is not None]
    as_of = oldest(line.as_of for line in known)
    bill = ranked.monthly_usd
    added = " + ".join(_usd(line.usd) for line in known)
    yield _figure(
        "bill", bill.expected, f"{added} = {_usd(bill.expected)}",
        [_line_input(line) for line in lines],
        as_of=as_of, certainty="computed",
        note="A unit price is not known, so the bill is at least this much."
        if ranked.at_least
        else "",
    )  # fmt: skip
    corners = SCALES["cost_range"]["assumed" if _assumed(need) else "measured"]
    words = {
        f"{end}_{name}": f"{corners[end][key]:g}"
        for end in ("low", "high")
        for name, key in (("service", "service_time"), ("volume", "volume"))
    }
    yield _figure("bill_low", bill.low, "", [], as_of=as_of, certainty="computed", words=words)
    yield _figure("bill_high", bill.high, "", [], as_of=as_of, certainty="computed", words=words)
    for number, line in enumerate(lines):
        yield _line(number, line)
    yield _people(need, ranked)
    yield _figure(
        "total", ranked.total_monthly_usd,
        f"{_usd(bill.expected)} + {_usd(ranked.people_monthly_usd)} = "
        f"{_usd(ranked.total_monthly_usd)}",
        [
            Input(name="Cloud bill", value=bill.expected, unit="USD/month", certainty="computed"),
            Input(name="People's time", value=ranked.people_monthly_usd, unit="USD/month",
                  certainty="assumed"),
        ],
        as_of=as_of, certainty="computed",
    )  # fmt: skip
    requests = need.traffic.requests_per_month
    each = bill.expected / requests * 1000
    yield _figure(
        "per_thousand", each,
        f"{_usd(bill.expected)} ÷ {_n(requests)} × 1,000 = {_usd(each)}",
        [_answer(need, "traffic.requests_per_month")], as_of=as_of, certainty="computed",
    )  # fmt: skip


def _people(need: Requirements, ranked: Ranked) -> Figure:
    time, option = ranked.people, catalog_option(ranked.option)
    own = need.team.assumptions.get(ranked.option)

    def hours(name: str, given: float | None, value: float, low: float, high: float) -> Input:
        spread = "" if given is not None else f" ({_n(low)} to {_n(high)})"
        return Input(
            name=name + spread,
            value=value,
            unit="h",
            certainty="assumed" if given is None else "your answer",
            source=option.people.rationale if given is None else "",
            as_of="" if given is not None else str(_people_checked()),
            field=HOURS,
        )

    monthly, setup = time.monthly_hours, time.setup_hours
    return _figure(
        "people", ranked.people_monthly_usd,
        f"({_n(monthly.expected)} h + {_n(setup.expected)} h ÷ {MONTHS_OF_SET_UP}) × "
        f"{_usd(time.hourly_usd)} = {_usd(ranked.people_monthly_usd)}",
        [
            hours("Hours a month to run it", own.monthly_hours if own else None,
                  monthly.expected, monthly.low, monthly.high),
            hours("Hours to set it up", own.setup_hours if own else None,
                  setup.expected, setup.low, setup.high),
            _answer(need, "team.hourly_usd"),
            _answer(need, "team.devops_skill"),
        ],
        as_of=str(_people_checked()), certainty="assumed",
    )  # fmt: skip


def _speed(need: Requirements, work: Workload, ranked: Ranked) -> Iterator[Figure]:
    size = ranked.sizing
    if need.traffic.mode is not Mode.realtime:
        yield _figure(
            "finish", ranked.finish_h, "",
            [_answer(need, "service.deadline_h"), _answer(need, "model.load_time_s"),
             _answer(need, "traffic.requests_per_month"), _time_on(ranked)],
            certainty="computed",
        )  # fmt: skip
        return
    option = catalog_option(ranked.option)
    outside = overhead_ms(option, work)
    common = [
        _time_on(ranked),
        _answer(need, "model.service_time_cv"),
        Input(name="Outside the model: front end, network, payload", value=outside, unit="ms",
              certainty="assumed", source=option.assumptions["overhead_ms"].rationale),
        _answer(need, "service.percentile"),
        _answer(need, "service.p95_ms"),
    ]  # fmt: skip
    if _is_functions(ranked):
        yield _figure(
            "response_functions", ranked.p95_ms, "",
            [*common, Input(name="Share of cold starts", value=size.cold_start_share, unit="ratio",
                            certainty="computed"), _answer(need, "model.load_time_s")],
            certainty="computed",
        )  # fmt: skip
        return
    yield _figure(
        "response", ranked.p95_ms, "",
        [*common,
         Input(name="Requests a second of one replica", value=_busiest(work, ranked),
               unit="requests/s", certainty="computed"),
         Input(name="Requests served at once by a replica", value=size.concurrency,
               certainty="computed"),
         Input(name="Utilisation", value=size.utilisation, unit="ratio", certainty="computed")],
        certainty="computed",
    )  # fmt: skip


def _size(need: Requirements, work: Workload, ranked: Ranked) -> Iterator[Figure]:
    size = ranked.sizing
    mean = work.mean_per_s
    yield _figure(
        "peak_rate", size.arrival_peak_per_s,
        f"{_n(need.traffic.requests_per_month)} ÷ ({HOURS_IN_MONTH} × 3,600) × "
        f"{_n(work.peak_to_mean)} = {_n(size.arrival_peak_per_s)}",
        [_answer(need, "traffic.requests_per_month"), _answer(need, "traffic.pattern"),
         _answer(need, "traffic.peak_requests_per_second"),
         Input(name="Mean over the month", value=mean, unit="requests/s", certainty="computed")],
        certainty="computed",
    )  # fmt: skip
    speed = work.service_time_ms / size.service_time_ms if size.service_time_ms else 0.0
    yield _figure(
        "service_time", size.service_time_ms,
        f"{_n(work.service_time_ms)} ms ÷ {_n(speed)} = {_n(size.service_time_ms)} ms",
        [_answer(need, "model.model_class" if _assumed(need) else "model.service_time_ms"),
         Input(name=f"Speed of {ranked.machine} at this load", value=speed, unit="× reference",
               certainty="computed"),
         _answer(need, "model.threads_per_request")],
        certainty="assumed" if _assumed(need) else "computed",
    )  # fmt: skip
    if not _is_functions(ranked) and need.traffic.mode is Mode.realtime:
        each = _busiest(work, ranked)
        yield _figure(
            "utilisation", size.utilisation,
            f"{_n(each)} × {_n(size.service_time_ms / 1000)} s ÷ {size.concurrency} = "
            f"{_n(size.utilisation)}",
            [_answer(need, "service.max_utilisation"),
             Input(name="Requests a second of one replica", value=each, unit="requests/s",
                   certainty="computed"), _time_on(ranked)],
            certainty="computed",
        )  # fmt: skip
        yield _figure(
            "replicas", float(ranked.replicas.max), "",
            [_answer(need, "service.max_utilisation"), _answer(need, "service.p95_ms"),
             _answer(need, "service.availability_percent"),
             Input(name="Requests a second in the busiest hour", value=size.arrival_peak_per_s,
                   unit="requests/s", certainty="computed")],
            certainty="computed",
        )  # fmt: skip
        week = sum(size.hourly_replicas)
        yield _figure(
            "replica_hours", size.replica_hours,
            f"{week:,} × {HOURS_IN_MONTH} ÷ {HOURS_IN_WEEK} = {_n(size.replica_hours)}",
            [_answer(need, "traffic.pattern")], certainty="computed",
        )  # fmt: skip
    elif _is_functions(ranked):
        yield _figure(
            "cold_starts", size.cold_start_share, "",
            [_answer(need, "traffic.pattern"), _answer(need, "traffic.requests_per_month")],
            certainty="computed",
        )  # fmt: skip


def _rank(need: Requirements, ranked: Ranked) -> Iterator[Figure]:
    weights = need.priorities.model_dump()
    whole = sum(weights.values())
    parts = [
        Input(
            name=f"{name.capitalize()}: {_n(weights[name])} ÷ {_n(whole)} × "
            f"{_n(ranked.utilities.get(name, 0.0))}",
            value=ranked.contributions.get(name, 0.0),
            unit="",
            certainty="computed",
            field=f"priorities.{name}",
        )
        for name in CRITERIA
    ]
    parts.append(
        Input(name="Rules that prefer it", value=ranked.contributions.get(RULES, 0.0),
              certainty="computed")
    )  # fmt: skip
    added = " + ".join(_n(float(p.value)) for p in parts if isinstance(p.value, float) and p.value)
    yield _figure("score", ranked.score, f"{added} = {_n(ranked.score)}", parts,
                  certainty="computed",
                  words={"point_weight": f"{SCALES['rules']['point_weight']:g}"})  # fmt: skip
    draws = SCALES["draws"]
    yield _figure(
        "best_in_draws", ranked.best_in_draws, "", [], certainty="computed",
        words={"draws": f"{draws['count']:,}",
               "response_spread": f"{draws['response_spread']:.0%}".rstrip("%"),
               "weight_spread": f"{draws['weight_spread']:.0%}".rstrip("%")},
    )  # fmt: skip


def _figure(
    figure_id: str,
    value: float | None,
    worked: str,
    inputs: list[Input],
    *,
    certainty: Certainty,
    as_of: str = "",
    words: dict[str, str] | None = None,
    note: str = "",
) -> Figure:
    text = _texts()[figure_id]
    filled = {k: str(v).format(**words) if words else str(v) for k, v in text.items()}
    return Figure(
        id=figure_id, name=filled["name"], value=value, unit=filled["unit"],
        formula=filled["formula"], worked=worked, inputs=tuple(inputs), source=filled["source"],
        as_of=as_of, certainty=certainty, note=note or filled.get("note", ""),
    )  # fmt: skip


def _line(number: int, line: CostLine) -> Figure:
    price = line.unit_price_usd
    known = price is not None
    return Figure(
        id=f"line-{number}", name=line.name, value=line.usd if known else None, unit="USD/month",
        formula=_texts()["line"]["formula"],
        worked=f"{_n(line.quantity)} {line.unit} × ${price:.10g} = {_usd(line.usd)}" if known else "",
        inputs=(
            Input(name="Quantity", value=line.quantity, unit=line.unit, certainty="computed"),
            Input(name="Unit price", value=price, unit=f"USD for each of {line.unit}",
                  certainty="published" if known else "unknown", source=line.source,
                  as_of=line.as_of),
        ),
        source=line.source, as_of=line.as_of, certainty="computed" if known else "unknown",
        note="" if known else "The price book does not hold this price; it is not counted as $0.",
    )  # fmt: skip


def _line_input(line: CostLine) -> Input:
    known = line.unit_price_usd is not None
    return Input(
        name=line.name, value=line.usd if known else None, unit="USD/month",
        certainty="published" if known else "unknown", source=line.source, as_of=line.as_of,
    )  # fmt: skip


def _time_on(ranked: Ranked) -> Input:
    return Input(name=f"One request on {ranked.machine}", value=ranked.sizing.service_time_ms,
                 unit="ms", certainty="computed")  # fmt: skip


def _answer(need: Requirements, field: str) -> Input:
    """An answer as an input; whether somebody gave it or it is the default."""
    section, name = field.split(".")
    group = getattr(need, section)
    info: Any = type(group).model_fields[name]
    value: Any = getattr(group, name)
    extra = info.json_schema_extra or {}
    same = not info.is_required() and value == info.get_default(call_default_factory=True)
    return Input(
        name=info.title or name,
        value=_plain(value),
        unit=str(extra.get("unit", "")),
        certainty="default" if same else "your answer",
        field=field,
    )


def _plain(value: Any) -> float | str | None:
    if value is None:
        return None
    if isinstance(value, tuple):
        return f"{len(value)} hourly numbers"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return str(getattr(value, "value", value))


def _is_functions(ranked: Ranked) -> bool:
    """Each request has an instance of its own: no queue, and no replicas that share the load."""
    return catalog_option(ranked.option).scaling == "per-request"


def _assumed(need: Requirements) -> bool:
    return need.model.service_time_ms is None


def _busiest(work: Workload, ranked: Ranked) -> float:
    """Requests a second of one replica in the hour in which it has most of them."""
    replicas = np.maximum(np.array(ranked.sizing.hourly_replicas, dtype=np.float64), 1.0)
    return float((work.rates / replicas).max())


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if abs(amount) >= 0.1 or amount == 0 else f"${amount:.3g}"


def _n(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


@cache
def _texts() -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))["figures"]
    return loaded


@cache
def _people_checked() -> str:
    data = yaml.safe_load(
        (Path(__file__).parent / "catalog" / "people.yaml").read_text(encoding="utf-8")
    )
    return str(data["checked"])
