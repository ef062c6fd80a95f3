"""Tables behind the page, as plain data frames. Nothing in this file knows Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa

from advisor.prices.status import dated
from advisor.recommendation import (
    CostLine,
    Excluded,
    PurchaseChoice,
    Ranked,
    Recommendation,
)
from advisor.ruled_out import among_the_asked
from ui import format as fmt

CRITERIA_LABELS: Mapping[str, str] = {
    "cost": "Cost",
    "latency": "Latency",
    "control": "Control",
    "operations": "Operations",
    "launch": "Launch",
    "portability": "Portability",
    "elasticity": "Elasticity",
    "resilience": "Resilience",
    "rules": "Rules",
}


PURCHASE_LABELS: Mapping[str, str] = {
    "on-demand": "on demand",
    "1y": "for 1 year",
    "3y": "for 3 years",
    "spot": "on spot",
}

_SOON_H = 1 / 6


def ranking(answer: Recommendation, *, waits: bool) -> pa.Table:
    """One row for each option that fits, best first; numbers stay numbers, so it sorts.

    `waits`: somebody waits for it, so its speed is a response time. As what is sent to the browser:
    this table is drawn for each answer that changes, and pandas would take longer than the rest.
    """
    shown = answer.ranking
    return pa.table(
        {
            "Rank": list(range(1, len(shown) + 1)),
            "Option": [r.name for r in shown],
            "Kind": [r.kind for r in shown],
            "Cloud bill": [r.monthly_usd.expected for r in shown],
            "People": [r.people_monthly_usd for r in shown],
            "Total": [r.total_monthly_usd for r in shown],
            **(
                {"Latency": pa.array([r.p95_ms for r in shown], pa.float64())}
                if waits
                else {"Finish": pa.array(_finishes(answer), pa.float64())}
            ),
            "Score": [r.score for r in shown],
            "Best in draws": [r.best_in_draws * 100 for r in shown],
        }
    )


def in_seconds(answer: Recommendation) -> bool:
    """Whether everything that was asked is done so soon that hours would say little."""
    return max((r.finish_h or 0.0 for r in answer.ranking), default=0.0) < _SOON_H


def ranking_said(answer: Recommendation, *, waits: bool) -> pd.DataFrame:
    """The same in words, for those who cannot read a canvas; `waits`: somebody waits for it."""
    return pd.DataFrame(
        [
            {
                "Rank": place,
                "Option": f"{r.name} ({r.kind})",
                "Machine": fmt.machine(r),
                "Cloud bill": fmt.usd(r.monthly_usd.expected, at_least=r.at_least),
                "People": fmt.usd(r.people_monthly_usd),
                "Total": fmt.usd(r.total_monthly_usd, at_least=r.at_least),
                "Speed": fmt.milliseconds(r.p95_ms) if waits else fmt.finish(r.finish_h),
                "Score": f"{r.score:.2f}",
                "Best in draws": fmt.percent(r.best_in_draws),
            }
            for place, r in enumerate(answer.ranking, start=1)
        ]
    )


def contribution_numbers(answer: Recommendation) -> pd.DataFrame:
    """How much each criterion adds to each option's score, as numbers: it sorts."""
    return pd.DataFrame(
        [
            {"Option": r.name, "Score": r.score}
            | {CRITERIA_LABELS.get(k, fmt.name(k)): v for k, v in r.contributions.items()}
            for r in answer.ranking
        ]
    )


def contributions(answer: Recommendation) -> pd.DataFrame:
    """How much each criterion adds to each option's score."""
    return pd.DataFrame(
        [
            {
                "Option": ranked.name,
                **{
                    CRITERIA_LABELS.get(key, fmt.name(key)): f"{value:.3f}"
                    for key, value in ranked.contributions.items()
                },
                "Score": f"{ranked.score:.3f}",
            }
            for ranked in answer.ranking
        ]
    )


def cost_lines(ranked: Ranked) -> pd.DataFrame:
    """Quantity x unit x unit price = amount, with source and date; for people to read."""
    return pd.DataFrame(
        [
            {
                "Line": line.name,
                "Quantity": fmt.count(line.quantity),
                "Unit": line.unit,
                "Unit price": fmt.unit_price(line.unit_price_usd),
                "A month": amount(line),
                "Price from": f"{line.source} ({dated(line.as_of)})" if line.as_of else line.source,
            }
            for line in ranked.lines
        ]
    )


def purchase(choices: Sequence[PurchaseChoice]) -> pd.DataFrame:
    """One row for each way to buy: the bill, what it saves, from when on it pays, or why not."""
    return pd.DataFrame(
        [
            {
                "Bought": PURCHASE_LABELS[choice.choice],
                "Cloud bill a month": "–"
                if choice.monthly_usd is None
                else fmt.usd(choice.monthly_usd, at_least=choice.at_least),
                "Saves": fmt.percent(choice.saving_percent / 100, 1)
                if choice.saving_percent
                else "–",
                "Pays from": "–"
                if choice.break_even_months is None
                else f"{choice.break_even_months:.1f} months of use",
                "How": choice.because or choice.purchase or "",
            }
            for choice in choices
        ]
    )


def amount(line: CostLine) -> str:
    """The line's amount; a line without a price has none, rather than zero."""
    return "unknown" if line.unit_price_usd is None else fmt.usd(line.usd)


def cost_totals(ranked: Ranked) -> str:
    """One sentence: the cloud bill, people's time, both."""
    bill = fmt.usd(ranked.monthly_usd.expected, at_least=ranked.at_least)
    both = fmt.usd(ranked.total_monthly_usd, at_least=ranked.at_least)
    return (
        f"Cloud bill {bill} ({fmt.usd_range(ranked.monthly_usd)}), people's time "
        f"{fmt.usd(ranked.people_monthly_usd)}, together {both} a month."
    )


def ruled_out(answer: Recommendation) -> dict[str, list[Excluded]]:
    """Exclusions by option, in the order in which they were found, where the person allows to run."""
    out: dict[str, list[Excluded]] = {}
    for excluded in among_the_asked(answer):
        out.setdefault(excluded.option, []).append(excluded)
    return out


def week(ranked: Ranked) -> pd.DataFrame:
    """Replicas for each hour (rows, UTC) of each day (columns) of the week."""
    hours = ranked.sizing.hourly_replicas
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return pd.DataFrame(
        {day: [hours[d * 24 + h] for h in range(24)] for d, day in enumerate(days)},
        index=pd.Index([f"{h:02d}:00" for h in range(24)], name="UTC"),
    )


def holding(frame: pd.DataFrame, words: str) -> pd.Series:
    """The rows in which a cell holds the words, whatever their case."""
    hit = frame.apply(
        lambda column: column.astype(str).str.contains(words, case=False, regex=False)
    )
    found: pd.Series = hit.any(axis=1)
    return found


def csv(frame: pd.DataFrame) -> bytes:
    """CSV bytes in which no cell can act as a spreadsheet formula."""
    safe = frame.map(fmt.csv_safe)
    safe.columns = [str(fmt.csv_safe(str(column))) for column in safe.columns]
    return bytes(safe.to_csv(index=False).encode())


def _finishes(answer: Recommendation) -> list[float | None]:
    each = 3600 if in_seconds(answer) else 1
    return [None if r.finish_h is None else r.finish_h * each for r in answer.ranking]
