"""Listens at each viewer's connection: a page that waits is woken, and the newest words are known.

Streamlit interrupts a run only when the run looks. A run that looks ten times a second answers late
and costs the interpreter that all sessions share; here the connection itself rings. What somebody
typed just before a click reaches the server before the click does, but a run only after it: who
answers the click asks here. Knows Streamlit's messages, and nothing else of it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

KEY = "sec-websocket-key"  # of the opening request: drawn anew by the browser for each connection


@dataclass(frozen=True)
class _Connection:
    bell: threading.Event = field(default_factory=threading.Event)
    words: dict[str, str] = field(default_factory=dict)  # of each text box, by the widget's key


_connections: dict[str, _Connection] = {}


class Doorbell:
    """ASGI middleware: rings a connection's bell after each message that it brought."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        connection = _connections[key] = _Connection()

        async def heard() -> Message:
            connection.bell.set()  # the next message is asked for once the one before was acted upon
            message = await receive()
            connection.words.update(_words(message.get("bytes")))
            return message

        try:
            await self.app(scope, heard, send)
        finally:
            del _connections[key]
            connection.bell.set()


def bell(key: str | None) -> threading.Event | None:
    """What rings for the connection with this key; None for one that is not known (a test's)."""
    connection = _connections.get(key or "")
    return connection.bell if connection else None


def said(key: str | None, widget: str) -> str | None:
    """What stands in the text box with this key in the browser, as far as the connection brought it.

    None for a connection that is not known, or has not said anything about it.
    """
    connection = _connections.get(key or "")
    return connection.words.get(widget) if connection else None


def _words(data: bytes | None) -> dict[str, str]:
    """The text boxes of a message that asks for a run. The id of a widget ends with its key."""
    if not data:
        return {}
    try:
        asked = BackMsg.FromString(data).rerun_script
    except DecodeError:
        return {}  # Streamlit says what it thinks of it
    return {
        widget.id.split("-", 2)[-1]: widget.string_value
        for widget in asked.widget_states.widgets
        if widget.WhichOneof("value") in (None, "string_value")
    }


def _key(scope: Scope) -> str | None:
    if scope["type"] != "websocket":
        return None
    found = [value.decode("latin-1") for name, value in scope["headers"] if name == KEY.encode()]
    return found[0] if found and found[0] not in _connections else None
