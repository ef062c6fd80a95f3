"""Replicas that the clock decides, as scheduled actions of Application Auto Scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
HOURS_IN_DAY = 24


def weekly(hourly_replicas: Sequence[int]) -> list[dict[str, Any]]:
    """Scheduled actions (CloudFormation's property) that hold each hour's replicas, in UTC.

    `hourly_replicas`: 168 counts, Monday 00:00 UTC first, as in `Sizing.hourly_replicas`. Each hour
    is named, not only those in which the count changes: whatever was set by hand, or by an update
    of the stack, is put right at the next full hour. Days that are alike share their actions, so
    there are at most 168 (a target may have 200: Application Auto Scaling quotas, 2026-11-22).
    Expressions: https://docs.aws.amazon.com/autoscaling/application/userguide/
    scheduled-scaling-using-cron-expressions.html. Raises ValueError for another number of hours.
    """
    if len(hourly_replicas) != len(DAYS) * HOURS_IN_DAY:
        raise ValueError(f"{len(hourly_replicas)} hours were given; a week has 168")
    days: dict[tuple[int, ...], list[int]] = {}
    for day in range(len(DAYS)):
        hours = tuple(hourly_replicas[day * HOURS_IN_DAY : (day + 1) * HOURS_IN_DAY])
        days.setdefault(hours, []).append(day)
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for hours, alike in days.items():
        for count in sorted(set(hours)):
            when = tuple(hour for hour, n in enumerate(hours) if n == count)
            groups.setdefault((count, when), []).extend(alike)
    return [
        {
            "ScheduledActionName": f"ready-{number:03d}",
            "Schedule": f"cron(0 {_ranges(when)} ? * {_ranges(sorted(on), DAYS)} *)",
            "ScalableTargetAction": {"MinCapacity": count, "MaxCapacity": count},
        }
        for number, ((count, when), on) in enumerate(groups.items())
    ]


def _ranges(numbers: Sequence[int], names: Sequence[str] = ()) -> str:
    """(1, 2, 3, 5) as "1-3,5", all as "*"; by name where there are names."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(numbers) == (len(names) or HOURS_IN_DAY):
        return "*"
    word = [str(n) for n in range(HOURS_IN_DAY)] if not names else list(names)
    return ",".join(
        word[run[0]] if len(run) == 1 else f"{word[run[0]]}-{word[run[-1]]}" for run in runs
    )
