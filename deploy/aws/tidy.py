"""Clearing up after a request, whatever came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from advisor.errors import AdvisorError, DeployError


@contextmanager
def afterwards(*work: Callable[[], object]) -> Iterator[None]:
    """Do each piece of work when the block has ended, also when it failed.

    What cannot be done then does not hide what went wrong before: the DeployError tells both.
    """
    try:
        yield
    except AdvisorError as error:
        left = _do(work)
        if left:
            raise DeployError(f"{error}; and afterwards: {'; '.join(left)}") from error
        raise
    except BaseException:
        _do(work)
        raise
    left = _do(work)
    if left:
        raise DeployError("; ".join(left))


def _do(work: tuple[Callable[[], object], ...]) -> list[str]:
    """What went wrong, a sentence each."""
    wrong = []
    for one in work:
        try:
            one()
        except AdvisorError as error:
            wrong.append(str(error))
    return wrong
