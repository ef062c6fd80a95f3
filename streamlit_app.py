"""The front door: `streamlit run streamlit_app.py`.

The ASGI app: start and stop of the deployment engine, /healthz, security headers, the bell that wakes
a waiting page, and messages sent together. Nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy import runs
from ui import advice, sending, warm
from ui.doorbell import Doorbell

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=(), payment=()",
    # Styles and scripts of the page itself are inline in parts; nothing may come from elsewhere.
    b"content-security-policy": b"default-src 'self'; script-src 'self' 'unsafe-inline' "
    b"'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    b"font-src 'self' data:; connect-src 'self' ws: wss: data: blob:; worker-src 'self' blob:; "
    b"frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'",
}

# Each of the hundred messages of an answer lets go of the interpreter while it is sent, and waits
# so long to have it back where another session computes.
SWITCH_S = 0.001


class SecurityHeaders:
    """Adds the headers to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", [])}
                extra = [(k, v) for k, v in HEADERS.items() if k not in present]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, Any] | None]:
    sys.setswitchinterval(SWITCH_S)
    sending.settings_once()
    sending.know_beginnings()
    runs.launch()
    warm.start()
    try:
        yield None
    finally:
        advice.shutdown()
        runs.shutdown()


async def healthz(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


app = st.App(
    Path(__file__).parent / "ui" / "main.py",
    lifespan=lifespan,
    routes=[Route("/healthz", healthz)],
    middleware=[Middleware(SecurityHeaders), Middleware(Doorbell), Middleware(sending.Together)],
    secrets={"advisor": {}},  # with no secrets at all, asking for one blanks the page
)
