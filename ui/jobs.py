"""What the worker processes compute: the doors of the decision, called by name.

Everything here is imported by a worker, so nothing of it may know Streamlit.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from advisor.recommend import recommend
from advisor.requirements import Requirements
from advisor.rules import Policy
from advisor.standing import winner
from advisor.whatif import Changes, Growth, VolumeSweep, changes, growth, volume_sweep
from ui.workers import is_unwanted


def run(what: str, need_json: str, policies: tuple[Policy, ...], wanted: str) -> Any:
    """One what-if by name, on the prices in use."""
    need = Requirements.model_validate_json(need_json)
    return _JOBS[what](need, policies, is_unwanted(wanted))


def packed(need_json: str, policies: tuple[Policy, ...], edition: str, wanted: str) -> bytes:
    """The verdict for the requirements as JSON, as pickled bytes. Raises InputError."""
    found = recommend(Requirements.model_validate_json(need_json), policies=policies)
    return pickle.dumps(found, pickle.HIGHEST_PROTOCOL)


def _changes(need: Requirements, policies: tuple[Policy, ...], stop: Callable[[], bool]) -> Changes:
    # The page has the verdict; here it is enough to know who wins, at a tenth of the work.
    return changes(need, winner(need, policies=policies), policies=policies, cancelled=stop)


def _volume(
    need: Requirements, policies: tuple[Policy, ...], stop: Callable[[], bool]
) -> VolumeSweep:
    return volume_sweep(need, policies=policies, cancelled=stop)


def _growth(need: Requirements, policies: tuple[Policy, ...], stop: Callable[[], bool]) -> Growth:
    return growth(need, policies=policies, cancelled=stop)


_JOBS: dict[str, Callable[..., Any]] = {
    "changes": _changes,
    "volume": _volume,
    "growth": _growth,
}
