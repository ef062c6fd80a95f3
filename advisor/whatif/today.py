"""Against today: what runs now beside the winner, in money, hours and latency."""

from __future__ import annotations

from advisor.catalog.loader import option as catalogue_option
from advisor.costs.people import people_time
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from advisor.whatif.shapes import AgainstToday
from advisor.workload import resolve


def against_today(need: Requirements, answer: Recommendation) -> AgainstToday | None:
    """What changes with the winner; None when nothing was said about today.

    Money is compared with what is paid (`today.monthly_usd`) where that was given, else with what
    the advisor reckons today's option to cost. An option that is ruled out or has no price is not
    reckoned, and `because` says why. Raises InputError for an option that does not exist.
    """
    today = need.today
    if today.option is None and today.monthly_usd is None:
        return None
    best = answer.ranking[0] if answer.ranking else None
    now = answer.option(today.option) if today.option else None
    option = catalogue_option(today.option) if today.option else None
    people = people_time(option, resolve(need)) if option else None
    reckoned = now.monthly_usd.expected if now else None
    bill = today.monthly_usd if today.monthly_usd is not None else reckoned
    hours = people.monthly_hours.expected if people else None
    people_usd = people.monthly_usd.expected if people else None
    best_hours = best.people.monthly_hours.expected if best else None
    return AgainstToday(
        option=today.option,
        name=option.name if option else "what you run today",
        fits=now is not None,
        because="" if now else _why_not(today.option, answer),
        paid_monthly_usd=today.monthly_usd,
        reckoned_monthly_usd=reckoned,
        at_least=bool(now and now.at_least),
        people_monthly_usd=people_usd,
        people_hours=hours,
        p95_ms=now.p95_ms if now else None,
        winner=answer.winner,
        winner_monthly_usd=best.monthly_usd.expected if best else None,
        winner_people_hours=best_hours,
        winner_p95_ms=best.p95_ms if best else None,
        saves_monthly_usd=_less(bill, best.monthly_usd.expected if best else None),
        saves_total_usd=_less(
            bill + people_usd if bill is not None and people_usd is not None else None,
            best.total_monthly_usd if best else None,
        ),
        saves_people_hours=_less(hours, best_hours),
        saves_p95_ms=_less(now.p95_ms if now else None, best.p95_ms if best else None),
        notes=tuple(_notes(need, answer, reckoned, bool(now and now.at_least))),
    )


def _why_not(option_id: str | None, answer: Recommendation) -> str:
    if option_id is None:
        return "today.option was not given: effort and latency cannot be compared"
    said = [e.because for e in answer.excluded if e.option == option_id]
    said += [u.because for u in answer.unpriced if u.option == option_id]
    return "; ".join(said) or "was not considered"


def _notes(
    need: Requirements, answer: Recommendation, reckoned: float | None, at_least: bool
) -> list[str]:
    out = []
    today = need.today
    if today.option is not None and today.option == answer.winner:
        out.append("What runs today is what the advisor would choose; the plan may still differ.")
    if today.monthly_usd is None and reckoned is not None:
        out.append("today.monthly_usd was not given: money is compared with the reckoned bill.")
    if at_least:
        out.append('A unit price of today\'s option is unknown: its reckoned bill is "at least".')
    if answer.ranking and answer.ranking[0].at_least:
        out.append('A unit price of the winner is unknown: its bill is "at least".')
    if not answer.ranking:
        out.append("Nothing fits these answers, so there is no winner to compare with.")
    return out


def _less(today: float | None, then: float | None) -> float | None:
    return None if today is None or then is None else today - then
