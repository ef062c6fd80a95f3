"""The door into the decision, with its answers kept: the same question is computed once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

from advisor.recommend import recommend
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from advisor.whatif import complete

_KEPT = 128

_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="what-if")
_futures: OrderedDict[str, Future[Recommendation]] = OrderedDict()
_lock = threading.Lock()


def verdict(need: Requirements) -> Recommendation:
    """The recommendation without flips and relaxations; fast. Raises InputError."""
    return _verdict(need.model_dump_json())


def whole(need: Requirements) -> Recommendation:
    """The recommendation with what would change it. Blocks: it asks for many verdicts."""
    return start_whole(need).result()


def start_whole(need: Requirements) -> Future[Recommendation]:
    """The same, computed aside while the page is used."""
    key = need.model_dump_json()
    with _lock:
        future = _futures.get(key)
        if future is None or future.cancelled():
            future = _worker.submit(_whole, key)
            _futures[key] = future
            while len(_futures) > _KEPT:
                _futures.popitem(last=False)[1].cancel()
        return future


def give_up(need_json: str) -> None:
    """Nobody waits for these answers any more: drop them unless they are being computed."""
    with _lock:
        future = _futures.get(need_json)
        if future is not None and future.cancel():
            del _futures[need_json]


@lru_cache(maxsize=256)
def _verdict(need: str) -> Recommendation:
    return recommend(Requirements.model_validate_json(need))


def _whole(need: str) -> Recommendation:
    parsed = Requirements.model_validate_json(need)
    return complete(parsed, _verdict(need))
