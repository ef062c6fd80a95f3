"""uvicorn's protocol in plain Python, for where httptools is not installed, with slow clients
watched as on the short road."""

from __future__ import annotations

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .watch import ANSWER, BODY, HEAD, IDLE, Watched


class PlainProtocol(Watched, H11Protocol):
    """One connection. Made by uvicorn, whose application is an `App`."""

    def data_received(self, data: bytes) -> None:
        if self.at == IDLE:
            self.since = self.loop.time()
        super().data_received(data)
        self._see()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.since = self.loop.time()
        self._see()

    def _see(self) -> None:
        theirs: Any = self.conn.their_state
        if theirs is h11.IDLE:
            self.at = HEAD if self.conn.trailing_data[0] else IDLE
        else:
            self.at = BODY if theirs is h11.SEND_BODY else ANSWER
