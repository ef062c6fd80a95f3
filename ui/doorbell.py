"""Wakes a page that waits as soon as its viewer says something. Knows no Streamlit.

Streamlit interrupts a run only when the run looks. A run that looks ten times a second answers late
and costs the interpreter that all sessions share; here the connection itself rings.
"""

from __future__ import annotations

import threading

from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY = "sec-websocket-key"  # of the opening request: drawn anew by the browser for each connection
_bells: dict[str, threading.Event] = {}


class Doorbell:
    """ASGI middleware: rings a connection's bell after each message that it brought."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        bell = _bells[key] = threading.Event()

        async def heard() -> Message:
            bell.set()  # the next message is asked for once the one before was acted upon
            return await receive()

        try:
            await self.app(scope, heard, send)
        finally:
            del _bells[key]
            bell.set()


def bell(key: str | None) -> threading.Event | None:
    """What rings for the connection with this key; None for one that is not known (a test's)."""
    return _bells.get(key or "")


def _key(scope: Scope) -> str | None:
    if scope["type"] != "websocket":
        return None
    found = [value.decode("latin-1") for name, value in scope["headers"] if name == KEY.encode()]
    return found[0] if found and found[0] not in _bells else None
