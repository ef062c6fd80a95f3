"""Answers changed one at a time: the questions that every what-if asks."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

from advisor.by_identity import ByIdentity
from advisor.errors import WhatIfCancelledError
from advisor.requirements import Requirements, parse

MOST_REQUESTS, LEAST_REQUESTS = 1e12, 1e-6  # a month; the bounds of the answer
MOST_PER_S = 1e7  # and of a peak rate

Cancelled = Callable[[], bool] | None
M = TypeVar("M", bound=BaseModel)


def with_answer(need: Requirements, field: str, value: Any) -> Requirements:
    """The requirements with one answer changed. Raises RequirementsError when it is refused."""
    section, name = field.split(".")
    return _with_answers(need, section, {name: plain(value)})


def at_volume(need: Requirements, requests_per_month: float) -> Requirements:
    """The requirements at another volume. A peak rate that was given keeps its proportion, so the
    week keeps its shape. Raises RequirementsError beyond the bounds of an answer."""
    answers: dict[str, Any] = {"requests_per_month": requests_per_month}
    peak = need.traffic.peak_requests_per_second
    if peak is not None:
        factor = requests_per_month / need.traffic.requests_per_month
        answers["peak_requests_per_second"] = peak * factor
    given, _data = _GIVEN.get(need, _given)
    peak = answers.get("peak_requests_per_second")
    if 0 < requests_per_month <= MOST_REQUESTS and (peak is None or 0 < peak <= MOST_PER_S):
        # Within its bounds an answer needs no further look, and this is asked hundreds of times.
        traffic = _put(given.traffic, answers)
        return _put(given, {"traffic": traffic})
    return _with_answers(need, "traffic", answers)


def go_on(cancelled: Cancelled) -> None:
    """Raises WhatIfCancelledError when nobody waits for the answer any more."""
    if cancelled is not None and cancelled():
        raise WhatIfCancelledError("the what-if was cancelled; ask again for its answer")


def value_of(need: Requirements, field: str) -> Any:
    """The answer at a dotted path."""
    section, name = field.split(".")
    return getattr(getattr(need, section), name)


def plain(value: Any) -> Any:
    """The answer as YAML or JSON carries it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def rounded(value: float, up: bool) -> float:
    """Three significant digits, rounded away from what it has to clear."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    steps = math.ceil(value / unit - 1e-9) if up else math.floor(value / unit + 1e-9)
    return float(f"{steps * unit:.6g}")


# Requirements with every answer given, and their sections as plain data.
_GIVEN: ByIdentity[Requirements, tuple[Requirements, dict[str, dict[str, Any]]]] = ByIdentity(64)


def _put(model: M, answers: dict[str, Any]) -> M:
    """`model_copy`, in half the time: all fields are there, and nothing beside them."""
    return type(model).model_construct(
        model.model_fields_set | answers.keys(), **(model.__dict__ | answers)
    )


def _given(need: Requirements) -> tuple[Requirements, dict[str, dict[str, Any]]]:
    data = need.model_dump(mode="json")
    return parse(data), data


def _with_answers(need: Requirements, section: str, answers: dict[str, Any]) -> Requirements:
    """Other sections are not read again: they stay the same objects."""
    given, data = _GIVEN.get(need, _given)
    changed: dict[str, Any] = dict(given)
    changed[section] = data[section] | answers
    return parse(changed)
