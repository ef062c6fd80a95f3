"""What a run of the page costs to send: fewer turns, fewer writes, nothing made twice.

A changed answer is a hundred messages. Streamlit hands each to the event loop by itself, which takes
the interpreter from the page and gives it back; sends each in a turn of the loop and a write of its
own; and reads the theme out of some two hundred options for every run. Order and content of what is
sent stay as they were, but for a run that a broken connection cut off. What is replaced here are
parts of Streamlit that have no door of their own: requirements.txt holds its minor version, and the
tests compare what goes out with what went out before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.message import Message as Proto
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import app_session
from streamlit.runtime.scriptrunner import get_script_run_ctx

HOLD_S = 0.002
MOST = 256  # messages held at once: more are handed on before the next is taken
_OF_A_RUN = ("delta", "ref_hash", "script_finished")
_MOST_RUNS = 10_000  # whose beginning is known
_SETTINGS = ("_populate_theme_msg", "_populate_config_msg")

_began: dict[str, float] = {}  # when, by the run's id


@contextmanager
def at_once() -> Iterator[None]:
    """Hand a part of the page to the event loop in one go, when all of it is drawn.

    A new address does not wait: who goes to another page begins a run there, and that run drops what
    the one before has not sent yet.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        yield
        return
    hand_over, held = context._enqueue, list[ForwardMsg]()

    def hold(message: ForwardMsg) -> None:
        held.append(message)
        if message.WhichOneof("type") == "page_info_changed":
            release()

    def release() -> None:
        for message in held:
            hand_over(message)
        held.clear()

    context._enqueue = hold
    try:
        yield
    finally:
        context._enqueue = hand_over
        release()


def settings_once() -> None:
    """Let Streamlit write its theme and settings into a message once: neither changes while it runs."""
    for name in _SETTINGS:
        make = getattr(app_session, name)
        if not isinstance(make, _Once):
            setattr(app_session, name, _Once(make))


def know_beginnings() -> None:
    """Note from now on when each run begins: what began before a connection does not belong on it."""
    identify = app_session._set_run_identity
    if not isinstance(identify, _Noting):
        app_session._set_run_identity = _Noting(identify)


class _Noting:
    """The function that marks the first and the last message of a run; notes when it marks the first."""

    def __init__(self, identify: Callable[[ForwardMsg, Any], None]) -> None:
        self.identify = identify

    def __call__(self, msg: ForwardMsg, run_descriptor: Any) -> None:
        _began.setdefault(run_descriptor.script_run_id, time.monotonic())
        if len(_began) > _MOST_RUNS:
            del _began[next(iter(_began))]
        self.identify(msg, run_descriptor)


class _Once:
    """A function that fills a message, and fills the next ones with what it said the first time."""

    def __init__(self, fill: Callable[..., None]) -> None:
        self.fill = fill
        self._said: dict[tuple[Any, ...], Proto] = {}

    def __call__(self, message: Proto, *args: Any) -> None:
        said = self._said.get(args)
        if said is None:
            said = self._said[args] = type(message)()
            self.fill(said, *args)
        if said.ByteSize():  # merging nothing would still say that there is something
            message.MergeFrom(said)


class Together:
    """ASGI middleware: what a websocket is sent within a moment goes out in one write, in its order."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        line = _Line(send)
        try:
            await self.app(scope, receive, line.send)
        finally:
            line.end()


class _Line:
    """One connection's messages that are on their way out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._way_out: asyncio.Task[None] | None = None
        self._opened = time.monotonic()
        self._run_began = False  # on this connection
        self._failed: OSError | RuntimeError | None = None
        self._in_order = asyncio.Lock()

    async def send(self, message: Message) -> None:
        """Hand a message on soon. Raises what handing on an earlier one raised."""
        if self._failed is not None:
            raise self._failed
        if not self._run_began and self._is_cut_off(message):
            return
        self._held.append(message)
        if message["type"] != "websocket.send" or len(self._held) > MOST:
            await self._out()  # opening, closing, or a reader that is far behind
        elif self._way_out is None or self._way_out.done():
            self._way_out = asyncio.create_task(self._soon(), name="messages together")

    def _is_cut_off(self, message: Message) -> bool:
        """Whether this is of a run that a connection which broke was to get: all of it, or the rest.

        Streamlit stops such a run. The browser would take what it does not get for gone, the questions
        with their answers, too. It asks for a whole run by itself.
        """
        data = message.get("bytes")
        said = ForwardMsg.FromString(data) if data else None
        kind = said.WhichOneof("type") if said else None
        if said and kind == "new_session":
            began = _began.get(said.metadata.run.script_run_id, self._opened)
            self._run_began = began >= self._opened
            return not self._run_began
        return kind in _OF_A_RUN

    def end(self) -> None:
        """The connection is over: nothing is handed on any more."""
        if self._way_out is not None:
            self._way_out.cancel()

    async def _soon(self) -> None:
        await asyncio.sleep(HOLD_S)
        try:
            await self._out()
        except (OSError, RuntimeError) as error:  # the viewer has gone
            self._failed = error  # said to whoever sends next

    async def _out(self) -> None:
        async with self._in_order:
            while self._held:
                held, self._held = self._held, []
                for message in held:
                    await self._send(message)
