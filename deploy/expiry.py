"""When a trial takes itself down: as a person writes it, as a tag, and the time that is left."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from advisor.errors import InputError

NEVER = "never"
LEAST, MOST = timedelta(minutes=15), timedelta(days=90)
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
WRITTEN = re.compile(r"^(\d{1,5}(?:\.\d{1,3})?)\s*([mhd])$")
TAG = "%Y-%m-%dT%H:%M:%SZ"


def lifetime(text: str) -> timedelta | None:
    """How long "45m", "4h" or "2d" is; None for "never". Raises InputError, naming the bounds."""
    if text.strip().lower() == NEVER:
        return None
    found = WRITTEN.match(text.strip().lower())
    given = float(found[1]) * UNITS[found[2]] if found else None
    if given is None or not LEAST <= given <= MOST:
        raise InputError(
            f"{text!r} is no time that a trial can last; write minutes, hours or days from 15m to "
            '90d, as in "4h", or "never"'
        )
    return given


def hour_of(lasts: timedelta, now: datetime | None = None) -> datetime:
    """When a trial that begins now is over: a full minute, UTC."""
    end = (now or datetime.now(UTC)) + lasts
    return end.replace(second=0, microsecond=0)


def tag(at: datetime | None) -> str:
    """The value of the tag mda:expires-on."""
    return at.astimezone(UTC).strftime(TAG) if at else NEVER


def from_tag(value: str) -> datetime | None:
    """The hour that a tag names; None for "never" and for what somebody else wrote there."""
    try:
        return datetime.strptime(value, TAG).replace(tzinfo=UTC)
    except ValueError:
        return None


def left(at: datetime, now: datetime | None = None) -> str:
    """The countdown in words: "expires in 3 h 12 min", "expired 2 d 4 h ago"."""
    seconds = round((at - (now or datetime.now(UTC))).total_seconds())
    minutes = abs(seconds) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        span = f"{days} d {hours} h"
    elif hours:
        span = f"{hours} h {minutes} min"
    else:
        span = f"{minutes} min"
    return f"expires in {span}" if seconds > 0 else f"expired {span} ago"
