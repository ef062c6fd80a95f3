"""What an import found, as lines for people."""

from __future__ import annotations

from advisor.rule_text import plain
from advisor.workload_import.summary import ImportedTraffic


def summary(found: ImportedTraffic) -> str:
    """The figures first, then what was assumed."""
    return "\n".join(
        [f"Traffic measured by {found.source}", *(f"  {a}: {b}" for a, b in facts(found)), "",
         *(f"Note: {note}" for note in found.notes)]
    )  # fmt: skip


def facts(found: ImportedTraffic) -> list[tuple[str, str]]:
    """Pairs of what and how much."""
    out = [
        ("requests a month", plain(float(f"{found.requests_per_month:.6g}"))),
        ("measured", f"{found.requests:,.0f} requests in {found.rows:,} rows"),
        (
            "from",
            f"{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC, "
            f"{found.weeks:.3g} weeks of hours with a measurement",
        ),
        ("busiest hour of the week", f"{max(found.pattern) / 3600:.4g} requests a second"),
    ]
    if found.peak_requests_per_second is not None:
        out.append(("peak", f"{found.peak_requests_per_second:.4g} requests a second"))
    if found.spread_percent is not None:
        out.append(
            (
                "spread between weeks",
                f"{found.spread_percent:.3g} % of their mean, over {len(found.weekly_requests)} "
                "whole weeks",
            )
        )
    if found.growth is not None:
        g = found.growth
        out.append(
            ("trend", f"{g.percent_per_month:+.1f} % a month ({g.low:+.1f} to {g.high:+.1f} %)")
        )
    out.append(("growth taken over", f"{found.growth_percent_per_month:.3g} % a month"))
    if found.hours_missing:
        out.append(
            ("hours missing", f"{found.hours_missing:,}, the longest gap {found.longest_gap_h:,} h")
        )
    if found.duplicates:
        out.append(("rows for a time already counted", f"{found.duplicates:,}"))
    if found.rows_left_out:
        out.append(("rows left out", f"{found.rows_left_out:,}"))
    if found.model_latency_ms is not None:
        out.append(("mean latency of the model", f"{found.model_latency_ms:.4g} ms"))
    return out
