"""Requests in the queue, and the calls of the model that answer them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from .errors import RequestError
from .values import Batch, Method, Output


@dataclass
class Job:
    batch: Batch
    method: Method
    future: asyncio.Future[Output] = field(repr=False)


@dataclass(frozen=True)
class Call:
    """One call of the model for some jobs: what came of it, and how long it took."""

    jobs: list[Job]
    rows: int
    output: Output | None
    error: BaseException | None
    seconds: float


def stackable(first: Batch, other: Batch) -> bool:
    if first.kind != "array":
        return True
    return bool(first.data.shape[1:] == other.data.shape[1:])


def as_request_error(error: BaseException | None) -> RequestError:
    if isinstance(error, RequestError):
        return error
    text = str(error).strip().splitlines()[0][:300] if str(error).strip() else ""
    # ValueError and its like are what libraries raise for rows they cannot use.
    if isinstance(error, (ValueError, TypeError, KeyError, IndexError)):
        return RequestError(422, "model_input", f"the model cannot use these rows: {text}")
    return RequestError(500, "model", f"the model failed ({type(error).__name__}): {text}")
