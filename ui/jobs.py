"""What the worker processes compute: the doors of the decision, called by name.

Everything here is imported by a worker, so nothing of it may know Streamlit.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from advisor.prices import load_book
from advisor.recommend import recommend
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from advisor.rules import Policy, policy_stamps
from advisor.whatif import Growth, VolumeSweep, complete, growth, volume_sweep
from ui.workers import is_unwanted

_KEPT = 32


def run(what: str, need_json: str, policies: tuple[Policy, ...], edition: str, wanted: str) -> Any:
    """One what-if by name, on the same edition of the prices as the page."""
    if load_book().edition != edition:
        _answer.cache_clear()  # they were refreshed since the page asked
    need = Requirements.model_validate_json(need_json)
    return _JOBS[what](need, need_json, policies, is_unwanted(wanted))


def packed(need_json: str, policies: tuple[Policy, ...], edition: str, wanted: str) -> bytes:
    """The verdict for the requirements as JSON, as pickled bytes. Raises InputError."""
    found = recommend(Requirements.model_validate_json(need_json), policies=policies)
    return pickle.dumps(found, pickle.HIGHEST_PROTOCOL)


def _changes(
    need: Requirements, need_json: str, policies: tuple[Policy, ...], stop: Callable[[], bool]
) -> Recommendation:
    return complete(
        need,
        _answer(need_json, policies, load_book().edition, policy_stamps(policies)),
        policies=policies,
        cancelled=stop,
    )


def _volume(
    need: Requirements, need_json: str, policies: tuple[Policy, ...], stop: Callable[[], bool]
) -> VolumeSweep:
    return volume_sweep(need, policies=policies, cancelled=stop)


def _growth(
    need: Requirements, need_json: str, policies: tuple[Policy, ...], stop: Callable[[], bool]
) -> Growth:
    return growth(need, policies=policies, cancelled=stop)


@lru_cache(maxsize=_KEPT)
def _answer(
    need_json: str, policies: tuple[Policy, ...], edition: str, stamps: tuple[object, ...]
) -> Recommendation:
    return recommend(Requirements.model_validate_json(need_json), policies=policies)


_JOBS: dict[str, Callable[..., Any]] = {
    "changes": _changes,
    "volume": _volume,
    "growth": _growth,
}
