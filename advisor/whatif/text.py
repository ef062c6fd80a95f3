"""What-ifs as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.prices.status import dated
from advisor.record import usd
from advisor.whatif.shapes import AgainstToday, Growth, SweptOption, VolumeSweep

NOTHING = "nothing fits"
MEASURED = {"bill": "by the bill", "total": "with people's time"}


def volume(sweep: VolumeSweep) -> str:
    """Total monthly cost by volume, one line for each volume, and where options change places."""
    shown = [o for o in sweep.options if any(o.fits)]
    width = max((len(o.option) for o in shown), default=0)
    head = f"Cost against volume (prices as of {dated(sweep.prices_as_of)}); cloud bill + people a month"
    out = [head, ""]
    for at, requests in enumerate(sweep.volumes):
        winner = next((o for o in shown if o.option == sweep.winners[at]), None)
        best = _cell(winner, at) if winner else NOTHING
        cheapest = _cheapest(shown, at)
        also = f"   cheapest: {cheapest.option}, {_cell(cheapest, at)}" if cheapest else ""
        out.append(f"  {requests:>15,.0f}  {sweep.winners[at] or '-':<{width}}  {best}{also}")
    out += ["", "The advice changes"]
    out += [
        f"  at {c.requests_per_month:,.0f} requests a month: {c.before or NOTHING} -> "
        f"{c.after or NOTHING}"
        for c in sweep.changes
    ] or ["  nowhere between these volumes"]
    out += ["", "Break-even"]
    out += [
        f"  {b.requests_per_month:>15,.0f} requests a month, {MEASURED[b.by]}: below it "
        f"{b.cheaper_below}, above it {b.cheaper_above} ({usd(b.usd)} there)"
        for b in sweep.break_even
    ] or ["  none between these volumes"]
    return "\n".join(out)


def growth(grown: Growth) -> str:
    """The advice at growth, each month in which it changes, and what staying put costs."""
    if grown.growth_percent_per_month == 0:
        return "Growth: none was answered (traffic.growth_percent_per_month); the advice stays."
    out = [f"Growth of {grown.growth_percent_per_month:g} % a month"]
    for month in grown.months:
        if month.month % 6 == 0 or any(c.month == month.month for c in grown.changes):
            stays = (
                usd(month.present_total_usd)
                if month.present_total_usd is not None
                else f"does not fit: {month.present_because or 'nothing does'}"
            )
            wins = usd(month.winner_total_usd) if month.winner_total_usd is not None else NOTHING
            out.append(
                f"  month {month.month:>3}  {month.requests_per_month:>16,.0f} requests  "
                f"{month.winner or '-'} {wins}; {grown.present or '-'} {stays}"
            )
    out += [
        f"  The advice changes in month {c.month}: {c.before or NOTHING} -> {c.after or NOTHING}"
        for c in grown.changes
    ] or ["  The advice stays the same in all of them."]
    if grown.present_usd is not None and grown.best_usd is not None:
        out.append(
            f"  Over these months: {usd(grown.present_usd)} on {grown.present}, "
            f"{usd(grown.best_usd)} when always on the winner (moves not counted)."
        )
    if grown.note:
        out.append(f"  {grown.note}")
    return "\n".join(out)


def today(against: AgainstToday | None) -> str:
    """What changes against today, or how to ask for it."""
    if against is None:
        return "Against today: give today.option and today.monthly_usd, what you run and pay now."
    out = [f"Against today: {against.name}"]
    if not against.fits:
        out.append(f"  not reckoned: {against.because}")
    if against.paid_monthly_usd is not None:
        out.append(f"  you pay {usd(against.paid_monthly_usd)} a month")
    if against.reckoned_monthly_usd is not None:
        least = "at least " if against.at_least else ""
        out.append(f"  we reckon {least}{usd(against.reckoned_monthly_usd)} a month")
    for said, value, unit in (
        ("cloud bill", against.saves_monthly_usd, "usd"),
        ("cloud bill and people", against.saves_total_usd, "usd"),
        ("people's time", against.saves_people_hours, "h a month"),
        ("response time", against.saves_p95_ms, "ms"),
    ):
        if value is not None:
            size = usd(abs(value)) if unit == "usd" else f"{abs(value):,.1f} {unit}"
            out.append(f"  {against.winner}: {said} {size} {'less' if value >= 0 else 'more'}")
    return "\n".join([*out, *(f"  {note}" for note in against.notes)])


def _cheapest(options: Sequence[SweptOption], at: int) -> SweptOption | None:
    priced = [(cost, o) for o in options if (cost := o.total_usd[at]) is not None]
    return min(priced, key=lambda pair: (pair[0], pair[1].option))[1] if priced else None


def _cell(option: SweptOption, at: int) -> str:
    bill, total = option.monthly_usd[at], option.total_usd[at]
    if bill is None or total is None:
        return NOTHING
    return f"{'>= ' if option.at_least[at] else ''}{usd(bill)} + {usd(total - bill)}"
