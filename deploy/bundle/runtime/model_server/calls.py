"""Requests in the queue, and the calls of the model that answer them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from .errors import RequestError
from .loaders import Model
from .values import Batch, Method, Output, joined


@dataclass
class Job:
    batch: Batch
    method: Method
    future: asyncio.Future[Output] = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """One call of the model for the next `count` batches: what came of it, and how long it took."""

    count: int
    rows: int
    output: Output | None
    error: RequestError | None
    seconds: float  # 0: no call was made, or nobody knows


def answer(model: Model, batches: list[Batch], method: Method) -> list[Answer]:
    """One call for all; if it fails, one for each: a bad request must not spoil the others."""
    whole = _call(model, batches, method)
    if whole.output is not None or len(batches) == 1:
        return [whole]
    return [_call(model, [batch], method) for batch in batches]


def no_answer(batches: list[Batch], wrong: RequestError) -> list[Answer]:
    """The same error for each."""
    return [Answer(1, batch.rows, None, wrong, 0.0) for batch in batches]


def stackable(first: Batch, other: Batch) -> bool:
    if first.kind == "columns":  # of several tensors, whose rows may differ in shape
        return all(c.shape[1:] == other.data[n].shape[1:] for n, c in first.data.items())
    if first.kind != "array":
        return True
    return bool(first.data.shape[1:] == other.data.shape[1:])


def as_request_error(error: BaseException) -> RequestError:
    if isinstance(error, RequestError):
        return error
    text = str(error).strip().splitlines()[0][:300] if str(error).strip() else ""
    # ValueError and its like are what libraries raise for rows they cannot use.
    # ONNX Runtime's words for it, of no common class.
    own = type(error).__name__ in ("InvalidArgument", "Fail")
    if own or isinstance(error, (ValueError, TypeError, KeyError, IndexError)):
        return RequestError(422, "model_input", f"the model cannot use these rows: {text}")
    return RequestError(500, "model", f"the model failed ({type(error).__name__}): {text}")


def _call(model: Model, batches: list[Batch], method: Method) -> Answer:
    """The model's answer, or what it raised."""
    batch = joined(batches)
    started = time.perf_counter()
    output: Output | None = None
    wrong: RequestError | None = None
    try:
        output = model.predict(batch, method)
    except Exception as error:  # noqa: BLE001 - a model may raise anything; it is the answer
        wrong = as_request_error(error)
    return Answer(len(batches), batch.rows, output, wrong, time.perf_counter() - started)
