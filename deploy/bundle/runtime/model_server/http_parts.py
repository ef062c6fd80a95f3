"""Small pieces of HTTP: which headers count, how answers are written, common refusals."""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from . import npy
from .errors import RequestError
from .payload import Request
from .values import Output

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
ENCODE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

_PROCESS = os.urandom(6).hex()
_count = itertools.count(1)


def ids_of_a_new_process() -> None:
    """Begin anew after a fork, whose ids would be those of the other process."""
    global _PROCESS, _count
    _PROCESS, _count = os.urandom(6).hex(), itertools.count(1)


def own_id() -> str:
    """An id of this process and of nobody else: random, then counted."""
    return f"{_PROCESS}{next(_count):08x}"


async def disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def pick_headers(headers: list[tuple[bytes, bytes]]) -> tuple[str, bytes, str, str, str, str]:
    """(request id, authorization, content type, accept, content length, encoding), each once."""
    request_id = authorization = b""
    content_type = accept = length = encoding = ""
    for name, value in headers:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"content-length":
            length = value.decode("latin-1")
        elif name == b"accept":
            accept = value.decode("latin-1")
        elif name == b"content-encoding":
            encoding = value.decode("latin-1")
        elif name == b"x-request-id":
            request_id = value
        elif name == b"authorization":
            authorization = value
    if not request_id or len(request_id) > 128 or not request_id.isascii() or not (
        request_id.decode().isprintable()
    ):  # fmt: skip
        return own_id(), authorization, content_type, accept, length, encoding
    return request_id.decode(), authorization, content_type, accept, length, encoding


def encode(output: Output, request: Request, accept: str) -> tuple[bytes, bytes]:
    """(body, content type): JSON, or CSV, JSON lines or NPY where the client prefers them."""
    if not request.envelope and accept:
        if "text/csv" in accept:
            return output.as_csv(), b"text/csv; charset=utf-8"
        if "jsonlines" in accept or "ndjson" in accept:
            lines = [orjson.dumps(item, option=ENCODE) for item in output.as_json()]
            return b"\n".join(lines) + b"\n", b"application/jsonlines"
        if "application/x-npy" in accept:
            return npy.write(output), npy.TYPE
    found: Any = output.as_json()
    return orjson.dumps({"predictions": found} if request.envelope else found, option=ENCODE), JSON


def too_large(limit: int) -> RequestError:
    return RequestError(
        413, "too_large",
        f"the body is larger than {limit // 1_000_000} MB; send fewer rows, or raise MAX_BODY_MB",
        {"connection": "close"},
    )  # fmt: skip


def wrong_method(method: str, path: str, allowed: str) -> RequestError:
    return RequestError(
        405, "method", f"{method} is not taken at {path[:100]}; use {allowed}", {"allow": allowed}
    )
