"""Remembering what was computed, by the answers that were read to compute it.

A function of a workload is run once on a `Watched` workload, which notes every answer that is read.
Asked again, the result is found by the values of just those answers: a changed volume computes anew
only what looks at the volume. Nobody lists what depends on what, so nothing can be forgotten: a
function that comes to read another answer is remembered by it from then on.

Kept results must not hold the workload they came from, and depend on nothing else that changes. A
memo of prices belongs to its price book (`memo_of`), so a refreshed book starts with none.

Memos are bounded (full ones start again), and safe with threads: entries are only ever added whole,
and two threads may at worst compute the same thing twice.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from operator import itemgetter
from typing import Any, Generic, TypeVar, cast

from advisor.errors import UnknownPriceError
from advisor.requirements import Requirements, Section
from advisor.traffic import Rates
from advisor.workload import Path, Workload

T = TypeVar("T")

MOST = 4096  # results in a memo
MOST_SHAPES = 24  # sets of answers that were read, for one key

_MISSING = object()


class Memo(Generic[T]):
    """Results of one function of a key and a workload."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.size = 0  # results that are kept
        self._shapes: dict[Hashable, list[_Shape]] = {}

    def get(self, key: Hashable, work: Workload, compute: Callable[[Workload], T]) -> T:
        """`compute(work)`, or what it gave when the answers that it reads had the same values.

        An UnknownPriceError is remembered and raised again; no other error is.
        """
        if _forgets.get():
            return compute(work)
        answers = work.answers
        for shape in self._shapes.get(key, ()):
            found = shape.results.get(shape.pick(answers), _MISSING)
            if found is not _MISSING:
                _tell(work, shape.paths)
                return cast(T, _given(found))
        watched = Watched(work)
        result: Any
        try:
            result = compute(watched)
        except UnknownPriceError as error:
            result = _Raised(error.args)
        self._keep(key, frozenset(watched.reads), answers, result)
        _tell(work, frozenset(watched.reads))
        return cast(T, _given(result))

    def _keep(
        self, key: Hashable, paths: frozenset[Path], answers: Mapping[Path, Hashable], result: Any
    ) -> None:
        shapes = self._shapes.get(key, [])
        if self.size >= self._most or len(shapes) >= MOST_SHAPES:
            self._shapes, self.size, shapes = {}, 0, []
        shape = next((s for s in shapes if s.paths == paths), None)
        if shape is None:
            shape = _Shape(paths)
            self._shapes[key] = [*shapes, shape]
        shape.results[shape.pick(answers)] = result
        self.size += 1


@contextmanager
def forgetting() -> Iterator[None]:
    """Within it memos compute everything anew and keep nothing: the plain way, to check against."""
    token = _forgets.set(True)
    try:
        yield
    finally:
        _forgets.reset(token)


_forgets: ContextVar[bool] = ContextVar("forgets", default=False)


class Same:
    """A part of a key that stands for a thing itself, not for its contents."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.thing is self.thing


class Watched(Workload):
    """A workload that notes which answers are read; otherwise the workload itself."""

    def __init__(self, work: Workload) -> None:
        work = work._work if isinstance(work, Watched) else work
        object.__setattr__(self, "_work", work)
        object.__setattr__(self, "reads", set())
        object.__setattr__(self, "need", _WatchedNeed(work.need, self.reads))

    reads: set[Path]
    _work: Workload

    @property
    def answers(self) -> Mapping[Path, Hashable]:
        return self._work.answers

    @property
    def rates(self) -> Rates:
        self.reads.update(_RATES)
        return self._work.rates

    @property
    def service_time_ms(self) -> float:
        self.reads.update(_SERVICE_TIME)
        return self._work.service_time_ms

    @property
    def service_time_assumed(self) -> bool:
        self.reads.update(_SERVICE_TIME)
        return self._work.service_time_assumed

    @property
    def max_processing_s(self) -> float:
        self.reads.update(_LONGEST)
        return self._work.max_processing_s


_RATES: frozenset[Path] = frozenset(
    ("traffic", name) for name in ("requests_per_month", "pattern", "peak_requests_per_second")
)
_SERVICE_TIME: frozenset[Path] = frozenset({("model", "service_time_ms"), ("model", "model_class")})
_LONGEST: frozenset[Path] = _SERVICE_TIME | {("service", "max_processing_s")}


def memo_of(owner: object, name: str, most: int = MOST) -> Memo[Any]:
    """The memo of that name which lives as long as its owner, a price book or a rule set."""
    with_owner = _OWNED.get(owner)
    if with_owner is None:
        with_owner = _OWNED.setdefault(owner, {})
    found = with_owner.get(name)
    return found if found is not None else with_owner.setdefault(name, Memo(most))


_OWNED: weakref.WeakKeyDictionary[object, dict[str, Memo[Any]]] = weakref.WeakKeyDictionary()


class _Shape:
    """The results of runs that read the same answers."""

    def __init__(self, paths: frozenset[Path]) -> None:
        self.paths = paths
        self.pick: Callable[[Mapping[Path, Hashable]], Hashable] = (
            itemgetter(*sorted(paths)) if paths else lambda _: ()
        )
        self.results: dict[Hashable, Any] = {}


class _Raised:
    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args


class _WatchedNeed:
    """The requirements, whose sections note what is read of them."""

    def __init__(self, need: Requirements, reads: set[Path]) -> None:
        self._need, self._reads = need, reads
        self._sections: dict[str, _WatchedSection] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in _SECTIONS:
            # A method of the whole (model_dump, ==) may look at anything.
            for each in _SECTIONS:
                self._reads.update(_paths(each, getattr(self._need, each)))
            return getattr(self._need, name)
        section = self._sections.get(name)
        if section is None:
            section = _WatchedSection(name, getattr(self._need, name), self._reads)
            self._sections[name] = section
        return section


class _WatchedSection:
    def __init__(self, name: str, section: Any, reads: set[Path]) -> None:
        self._name, self._section, self._reads = name, section, reads

    def __getattr__(self, field: str) -> Any:
        if field in _fields(type(self._section)):
            self._reads.add((self._name, field))
        else:
            self._reads.update(_paths(self._name, self._section))
        return getattr(self._section, field)


def _paths(name: str, section: Section) -> list[Path]:
    return [(name, field) for field in _fields(type(section))]


_SECTIONS = frozenset(Requirements.model_fields)
_FIELDS: dict[type[Section], frozenset[str]] = {}


def _fields(kind: type[Section]) -> frozenset[str]:
    found = _FIELDS.get(kind)
    if found is None:
        found = _FIELDS[kind] = frozenset((*kind.model_fields, "model_fields_set"))
    return found


def _tell(work: Workload, paths: frozenset[Path]) -> None:
    """What an inner function read, the outer one that is being watched has read too."""
    if isinstance(work, Watched):
        work.reads.update(paths)


def _given(found: Any) -> Any:
    if isinstance(found, _Raised):
        raise UnknownPriceError(*found.args)
    return found
