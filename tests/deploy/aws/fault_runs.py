"""Work under faults: an answer at one site, and work that is begun again after each interruption."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from fault_rows import Row, keep
from fault_wire import Act, Answer, KilledError, Site
from faults_support import Case, left

from advisor.errors import AdvisorError

MOST_STARTS = 120  # of one verb that is interrupted at each of its calls


def at(where: Site | str, answer: Answer) -> Act:
    """The answer at one site, or at every site of a call."""
    return lambda site: answer if where in (site, site[0]) else None


def stays(case: Case) -> list[str]:
    """What is there, without files of questions and containers that come and go with them."""
    return [what for what in left(case.emulator) if not what.startswith(("object", "running"))]


def interrupted(
    case: Case, fault: str, verb: str, work: Callable[[], object],
    answer: Callable[[Site], Answer | str], *, lasting: bool = False, only: tuple[str, ...] = (),
    afterwards: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Do the work again and again, until no call (of these) is left that it was not interrupted
    at; `afterwards` is called with what was told each time."""
    done: set[Site] = set()
    for start in count():
        assert start < MOST_STARTS, done
        struck: list[Site] = []

        def act(site: Site, struck: list[Site] = struck) -> Answer | str | None:
            if struck:
                return answer(site) if lasting else None
            if site in done or (only and site[0] not in only):
                return None
            struck.append(site)
            return answer(site)

        said = ""
        try:
            case.wire.during(work, act)
        except KilledError:
            pass
        except AdvisorError as error:
            said = str(error)
        if not struck:
            assert not said, said
            return
        done.add(struck[0])
        if afterwards is not None:
            afterwards(said)
        keep(Row(case.option, fault, verb, struck[0][0], "resumed", said))
