"""The door into the decision, with its answers kept: the same question is computed once.

The verdict is computed at once. What takes longer (what would change it, sweeps) is computed by
worker processes while the page is used, and is given up when nobody waits for it any more.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Literal

from advisor.errors import InputError
from advisor.prices import load_book
from advisor.purchase import purchase_choices
from advisor.recommend import recommend
from advisor.recommendation import PurchaseChoice, Recommendation
from advisor.requirements import Requirements
from advisor.rules import Policy, policy_stamps
from advisor.whatif import LoadCurve, load_curve, with_changes
from ui import jobs
from ui.crowd import Crowd
from ui.workers import Job, Workers

What = Literal["changes", "volume", "growth"]
Policies = Sequence[Policy]
Stamp = tuple[object, ...]

_KEPT = 64  # what-ifs
_VERDICTS = 512
WORKERS = Workers()
CROWD = Crowd(Workers(workers=1, niceness=0))


@dataclass
class _Asked:
    """One question to the workers, and who waits for its answer."""

    job: Job
    waiting: set[str] = field(default_factory=set)


_asked: OrderedDict[tuple[Any, ...], _Asked] = OrderedDict()
_packs: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
_lock, _packing, _deciding = threading.Lock(), threading.Lock(), threading.Lock()


def verdict(need: Requirements, policies: Policies = ()) -> Recommendation:
    """The recommendation without flips and relaxations; fast. Raises InputError."""
    return _verdict(need.model_dump_json(), tuple(policies), *_stamp(policies))


def whole(need: Requirements, policies: Policies = ()) -> Recommendation:
    """The recommendation with what would change it. Blocks: it asks for many verdicts."""
    found = start("changes", need, policies).result()
    return with_changes(verdict(need, policies), found)


def load(need: Requirements, option: str, policies: Policies = ()) -> LoadCurve:
    """Response time against load of a ranked option; fast. Raises InputError."""
    return _load(need.model_dump_json(), option, tuple(policies), *_stamp(policies))


def purchase(
    need: Requirements, option: str, policies: Policies = ()
) -> tuple[PurchaseChoice, ...]:
    """A ranked option's bill bought in each way: on demand, committed, as spot. Quick."""
    return _purchase(need.model_dump_json(), option, tuple(policies), *_stamp(policies))


def start(what: What, need: Requirements, policies: Policies = (), *, who: str = "") -> Future[Any]:
    """Compute a what-if aside; the same question is asked once. Raises BusyError.

    `who` waits for it: see `keep_only`. The future raises what the what-if raised.
    """
    key = (what, need.model_dump_json(), tuple(policies), _stamp(policies))
    with _lock:
        asked = _asked.get(key)
        if asked is None or asked.job.future.cancelled() or _failed(asked.job.future):
            asked = _Asked(WORKERS.submit(jobs.run, what, key[1], key[2]))
            _asked[key] = asked
        _asked.move_to_end(key)
        asked.waiting.add(who)
        while len(_asked) > _KEPT:
            _asked.popitem(last=False)[1].job.stop()
        return asked.job.future


def known(
    what: What, need: Requirements, policies: Policies = (), *, who: str = ""
) -> Future[Any] | None:
    """A what-if that was asked for before and did not fail; `who` waits for it from now on."""
    key = (what, need.model_dump_json(), tuple(policies), _stamp(policies))
    with _lock:
        asked = _asked.get(key)
        if asked is None or asked.job.future.cancelled() or _failed(asked.job.future):
            return None
        asked.waiting.add(who)
        return asked.job.future


def keep_only(who: str, futures: Sequence[Future[Any]]) -> None:
    """`who` waits for these alone: what nobody waits for any more is stopped."""
    with _lock:
        for key, asked in list(_asked.items()):
            if asked.job.future.done() or asked.job.future in futures:
                continue
            asked.waiting.discard(who)
            if not asked.waiting:
                asked.job.stop()
                del _asked[key]


def shutdown() -> None:
    """End the processes; a later question starts new ones."""
    WORKERS.shutdown()
    CROWD.shutdown()


def forget() -> None:
    """Drop everything that is kept (after a refresh of the prices, between tests)."""
    with _lock:
        for asked in _asked.values():
            asked.job.stop()
        _asked.clear()
    with _packing:
        _packs.clear()
    _load.cache_clear()
    _purchase.cache_clear()


def _failed(future: Future[Any]) -> bool:
    return future.done() and future.exception() is not None


def _stamp(policies: Policies) -> tuple[str, Stamp]:
    """What an answer depends on beside the question: the prices, today (for their age), and what
    stands in the policies."""
    return load_book().edition, (date.today().isoformat(), *policy_stamps(policies))


def _verdict(need: str, policies: tuple[Policy, ...], edition: str, stamp: Stamp) -> Recommendation:
    held: Recommendation = pickle.loads(_packed((need, policies, edition, stamp)))  # noqa: S301 - ours
    return held


def _packed(key: tuple[str, tuple[Policy, ...], str, Stamp]) -> bytes:
    """A verdict, packed: so it takes a seventh of the memory, and a millisecond to unpack.

    One is computed at a time: side by side all of them would come later, and none sooner.
    """
    with _packing:
        if key in _packs:
            _packs.move_to_end(key)
            return _packs[key]
    with _deciding:
        pack = _packs.get(key)
        if pack is not None:
            return pack
        question = key[:3]
        pack = CROWD.verdict(*question)
        if pack is None:
            began = time.thread_time()
            found = recommend(Requirements.model_validate_json(key[0]), policies=key[1])
            pack = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
            CROWD.took(time.thread_time() - began, *question)
        with _packing:
            _packs[key] = pack
            while len(_packs) > _VERDICTS:
                _packs.popitem(last=False)
    return pack


@lru_cache(maxsize=64)
def _load(
    need: str, option: str, policies: tuple[Policy, ...], edition: str, stamp: Stamp
) -> LoadCurve:
    parsed = Requirements.model_validate_json(need)
    ranked = _verdict(need, policies, edition, stamp).option(option)
    if ranked is None:
        raise InputError(f"{option} does not fit these answers, so there is no load to show")
    return load_curve(parsed, ranked)


@lru_cache(maxsize=64)
def _purchase(
    need: str, option: str, policies: tuple[Policy, ...], edition: str, stamp: Stamp
) -> tuple[PurchaseChoice, ...]:
    return purchase_choices(Requirements.model_validate_json(need), option, policies=policies)
