"""Numbers and names, written for people. Nothing in this file knows Streamlit."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any

from advisor.durations import duration
from advisor.recommendation import Range, Ranked, Replicas
from advisor.requirements import Mode
from advisor.rule_text import spoken

STALE_AFTER_DAYS = 90

_DURATIONS = (
    (1, 1e-3, "ms"),
    (120, 1, "s"),
    (7200, 60, "min"),
    (172_800, 3600, "h"),
    (math.inf, 86_400, "days"),
)

_TYPED = re.compile(r"`(\w[\w ./=-]*)`")  # a command in a sentence
_TITLED = re.compile(r"^(.+?),? (https://[^\s)]+)( .*|)$")

# The last four are the wide forms that East Asian keyboards type; spreadsheets take them, too.
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")

_ONE = {
    "hours": "hour", "weeks": "week", "replicas": "replica", "models": "model",
    "threads": "thread", "requests": "request", "instances": "instance", "calls": "call",
}  # fmt: skip

_NAMES = {
    "self-hosted": "Self-hosted",
    "async": "Async",
    "realtime": "Real-time",
    "curl": "curl",
    "codebuild": "in the account (CodeBuild)",
    "docker": "on this machine, by Docker",
    "podman": "on this machine, by Podman",
    "buildah": "on this machine, by Buildah",
}


def name(value: str) -> str:
    """A value of the requirements as a label: "own-hardware" -> "Own hardware"."""
    if value in _NAMES:
        return _NAMES[value]
    said = spoken(value)
    text = value.replace("-", " ").replace("_", " ") if said == value else said
    return text[:1].upper() + text[1:]


def usd(amount: float | None, *, at_least: bool = False) -> str:
    """A monthly amount: cents below ten dollars, whole dollars above; "unknown" for None."""
    if amount is None:
        return "unknown"
    prefix = "at least " if at_least else ""
    if amount == 0:
        return f"{prefix}$0"
    if 0 < amount < 0.005:
        return "under $0.01"
    if abs(amount) < 10:
        return f"{prefix}${amount:,.2f}"
    return f"{prefix}${amount:,.0f}"


def usd_range(amounts: Range) -> str:
    """ "$180–290", or one figure where low and high are the same on the page."""
    low, high = usd(amounts.low), usd(amounts.high)
    return low if low == high else f"{low}–{high.removeprefix('$')}"


def unit_price(price: float | None) -> str:
    """A unit price with the digits that matter, never rounded to zero."""
    if price is None:
        return "unit price unknown"
    if price == 0:
        return "$0"
    digits = max(2, 3 - math.floor(math.log10(abs(price))))
    text = f"{price:,.{min(digits, 12)}f}"
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents.rstrip('0').ljust(2, '0')}"


def count(number: float) -> str:
    """A quantity: 20 million, 1.2 thousand is 1,200; small ones with two digits."""
    size = abs(number)
    for limit, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if size >= limit:
            return f"{number / limit:.3g} {word}"
    if size >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.4g}"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 1:
        return f"{value:.2g} ms"
    if value < 1000:
        return f"{value:.0f} ms"
    return duration_s(value / 1000)


def duration_s(seconds: float) -> str:
    """Seconds in the unit people would use."""
    size, word = next((size, word) for limit, size, word in _DURATIONS if seconds < limit)
    value = seconds / size
    return f"{value:.0f} {word}" if value >= 10 else f"{value:.1f} {word}".replace(".0 ", " ")


def finish(hours: float | None) -> str:
    """When the answer or the run is there, rounded up as the reasons and the record say it."""
    return "–" if hours is None else duration(hours)


def finish_label(mode: Mode) -> str:
    return "Finished after" if mode is Mode.batch else "Answered within"


def percent(share: float, digits: int = 0) -> str:
    """A share of one as a percentage; never "100 %" for less than all."""
    value = share * 100
    if digits == 0 and 99.5 <= value < 100:
        return "over 99 %"
    return f"{value:.{digits}f} %"


def hours(amounts: Range) -> str:
    """ "6 h (4–9)" a month of people's time."""
    if amounts.low == amounts.high:
        return f"{_hour(amounts.expected)} h"
    return f"{_hour(amounts.expected)} h ({_hour(amounts.low)}–{_hour(amounts.high)})"


def _hour(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")


def replicas(number: Replicas) -> str:
    if number.max == 0:
        return "no fixed replicas"
    return str(number.max) if number.min == number.max else f"{number.min}–{number.max}"


def machine(ranked: Ranked) -> str:
    """ "2–4 × ml.c7i.large · us-east-1", the one line that says how big and where."""
    size = ranked.machine
    if ranked.sizing.hourly_replicas or ranked.replicas.max > 1:
        size = f"{replicas(ranked.replicas)} × {size}"
    parts = [size, ranked.region]
    if ranked.purchase != "on-demand":
        parts.append(ranked.purchase)
    return " · ".join(part for part in parts if part)


def quantity(value: float | None, unit_name: str) -> str:
    """A figure with its unit, as people write it: $214, 61 ms, 62 %, 23.2 requests/s."""
    if value is None:
        return "unknown"
    if unit_name.startswith("USD"):
        said = usd(value) if abs(value) >= 0.1 or value == 0 else unit_price(value)
        return said + unit_name.removeprefix("USD").replace("/month", " a month")
    if unit_name == "ms":
        return milliseconds(value)
    if unit_name == "ratio":
        return percent(value, 1) if value < 0.995 or value > 1 else percent(value)
    return f"{count(value)} {of_one(unit_name) if value == 1 else unit_name}".rstrip()


def of_one(unit_name: str) -> str:
    """A unit behind a one: "replicas" is "replica", "requests at once" is "request at once"."""
    words = unit_name.split(" ")  # the first may be empty: " weeks" stands behind a number
    return " ".join(_ONE.get(word, word) for word in words)


def age_days(as_of: str, today: date | None = None) -> int | None:
    """Whole days since an ISO date; None when there is no readable date."""
    try:
        day = date.fromisoformat(as_of[:10])
    except ValueError:
        return None
    return ((today or datetime.now(UTC).date()) - day).days


def ago(when: datetime, now: datetime | None = None) -> str:
    """ "2 min ago"."""
    seconds = max(0.0, ((now or datetime.now(UTC)) - when).total_seconds())
    if seconds < 10:
        return "just now"
    for limit, size, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {word} ago"
    return f"{seconds / 86_400:.0f} days ago"


def plain(value: Any) -> str:
    """An answer as text on the page: true -> yes, none -> "not given"."""
    if value is None or value == "":
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return count(float(value))
    if isinstance(value, (list, tuple)):
        return "168 hourly numbers" if len(value) == 168 else ", ".join(plain(v) for v in value)
    return name(str(value))


def escape(text: str) -> str:
    """Text for st.markdown: nothing in it is taken as formatting, a dollar sign least of all."""
    out = []
    for char in text:
        if char in "\\`*_[]<>$#~|:":
            out.append("\\")
        out.append(char)
    return "".join(out)


def sentence(text: str) -> str:
    """As `escape`, but what stands between backticks is shown as something to type."""
    parts = _TYPED.split(text)
    return "".join(f"`{part}`" if i % 2 else escape(part) for i, part in enumerate(parts))


def linked(source: str) -> str:
    """A source for st.markdown: escaped, its title linked to the address it names."""
    found = _TITLED.match(source)
    if found:
        title, address, rest = found.groups()
        return f"[{escape(title)}]({address}){escape(rest)}"
    words = [
        f"<{word.rstrip(',;')}>" if word.startswith("https://") else escape(word)
        for word in source.split()
    ]
    return " ".join(words)


def address(source: str) -> str | None:
    """The address that a source names, if it names one."""
    return next(
        (word.rstrip(",;)") for word in source.split() if word.startswith("https://")), None
    )


def csv_safe(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.lstrip(" \ufeff")[:1] in _FORMULA_STARTS:
        return "'" + value
    return value
