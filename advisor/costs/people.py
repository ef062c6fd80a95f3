"""People's time: assumed hours of running and setting up, by option and skill, as money.

No independent study gives these hours; they are ranges in `catalog/people.yaml`, and the team's
own figures (`team.assumptions`) replace them. Set-up is spread over the first year. A missing
skill costs more where the hosts are one's own.
"""

from __future__ import annotations

from advisor.catalog.loader import people
from advisor.catalog.schema import Estimate, Option
from advisor.memo import Same
from advisor.recommendation import PeopleTime, Range
from advisor.workload import Workload

MONTHS_OF_SET_UP = 12
MOST_KEPT = 1024  # options times teams that are remembered


def people_time(option: Option, work: Workload) -> PeopleTime:
    """Hours and money a month of running the option with this team."""
    place = work.need.placement
    key = (Same(option), Same(work.need.team), place.existing_cluster)
    found = _KEPT.get(key)
    if found is None:
        if len(_KEPT) >= MOST_KEPT:
            _KEPT.clear()
        found = _KEPT[key] = _people_time(option, work)
    return found


_KEPT: dict[tuple[Same, Same, bool], PeopleTime] = {}


def _people_time(option: Option, work: Workload) -> PeopleTime:
    team = work.need.team
    monthly, setup = people().hours(option, team.devops_skill, work.need.placement.existing_cluster)
    own = team.assumptions.get(option.id)
    if own is not None and own.monthly_hours is not None:
        monthly = _exactly(own.monthly_hours)
    if own is not None and own.setup_hours is not None:
        setup = _exactly(own.setup_hours)
    return PeopleTime(
        monthly_hours=_range(monthly),
        setup_hours=_range(setup),
        hourly_usd=team.hourly_usd,
        monthly_usd=Range(
            low=(monthly.low + setup.low / MONTHS_OF_SET_UP) * team.hourly_usd,
            expected=(monthly.expected + setup.expected / MONTHS_OF_SET_UP) * team.hourly_usd,
            high=(monthly.high + setup.high / MONTHS_OF_SET_UP) * team.hourly_usd,
        ),
        changed_by_user=own is not None,
    )


def _exactly(hours: float) -> Estimate:
    return Estimate(low=hours, expected=hours, high=hours)


def _range(estimate: Estimate) -> Range:
    return Range(low=estimate.low, expected=estimate.expected, high=estimate.high)
