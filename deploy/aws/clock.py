"""Counts for each hour of a week as the few changes that a scheduler carries out, in UTC."""

from __future__ import annotations

from collections.abc import Sequence

DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
HOURS = 24
BLOCKS_H = (1, 2, 3, 4, 6, 8, 12, 24)  # each a part of a day


def week_changes(hourly: Sequence[int], most: int) -> tuple[list[tuple[str, int]], tuple[int, ...]]:
    """(changes, counts): at most `most` cron expressions with the count from then on, and the 168
    counts that they amount to, Monday 00:00 UTC first.

    Changes at the same hour to the same count on days that follow each other are one expression.
    Where that is still too many, blocks of hours get the highest count in them: more than asked,
    never less. Needs room for 21 changes, three a day. Raises ValueError for less room or another week.
    """
    if len(hourly) != HOURS * len(DAYS) or most < 3 * len(DAYS):
        raise ValueError(f"{len(hourly)} hours in {most} changes: give 168 hours and room for 21")
    for block in BLOCKS_H:
        counts = tuple(max(_block(hourly, i, block)) for i in range(len(hourly)))
        changes = _changes(counts)
        if len(changes) <= most:
            return changes, counts
    raise AssertionError("a change a day fits")


def _block(hourly: Sequence[int], index: int, block: int) -> Sequence[int]:
    start = index - index % block
    return hourly[start : start + block]


def _changes(counts: Sequence[int]) -> list[tuple[str, int]]:
    days: dict[tuple[int, int], list[int]] = {}
    for i, count in enumerate(counts):
        if count != counts[i - 1]:  # Monday's first hour follows Sunday's last
            day = (i // HOURS + 1) % len(DAYS)  # a scheduler's week begins on Sunday
            days.setdefault((i % HOURS, count), []).append(day)
    return [
        (f"cron(0 {hour} ? * {span} *)", count)
        for (hour, count), found in sorted(days.items())
        for span in _spans(sorted(found))
    ]


def _spans(days: list[int]) -> list[str]:
    """Days that follow each other as one: "MON-FRI". No commas: a list parameter holds these."""
    spans: list[list[int]] = []
    for day in days:
        if spans and spans[-1][-1] == day - 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    return ["-".join(dict.fromkeys((DAYS[s[0]], DAYS[s[-1]]))) for s in spans]
