"""The connection rings when its viewer says something, and when it ends."""

from __future__ import annotations

import asyncio
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg

from ui import doorbell
from ui.doorbell import Doorbell

WEBSOCKET = {"type": "websocket", "headers": [(b"host", b"here"), (b"sec-websocket-key", b"abc==")]}


def test_a_bell_rings_after_each_message_was_acted_upon() -> None:
    seen: list[tuple[str, bool]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bell = doorbell.bell("abc==")
        assert bell is not None
        for _ in range(2):
            message = await receive()
            bell.clear()
            await asyncio.sleep(0)  # acting upon it
            seen.append((message["type"], bell.is_set()))
        await receive()
        seen.append(("asked for the next", bell.is_set()))
        bell.clear()
        app.bell = bell  # type: ignore[attr-defined]

    messages = iter({"type": name} for name in ("one", "two", "three"))

    async def receive() -> Any:
        return next(messages)

    asyncio.run(Doorbell(app)(WEBSOCKET, receive, None))  # type: ignore[arg-type]
    assert seen == [("one", False), ("two", False), ("asked for the next", True)]
    assert app.bell.is_set()  # type: ignore[attr-defined]  # the end wakes too
    assert doorbell.bell("abc==") is None


def test_the_newest_words_in_a_text_box_are_known_before_any_run() -> None:
    heard: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(4):
            await receive()
            heard.append(doorbell.said("abc==", "decision-makers"))

    def asking(**words: str | None) -> dict[str, Any]:
        message = BackMsg()
        for key, value in words.items():
            widget = message.rerun_script.widget_states.widgets.add()
            widget.id = f"$$ID-0123-{key.replace('_', '-')}"
            if value is not None:
                widget.string_value = value
        return {"type": "websocket.receive", "bytes": message.SerializeToString()}

    messages = iter(
        (
            {"type": "websocket.connect"},
            asking(decision_makers="Ada, שלום", other="x"),
            {"type": "websocket.receive", "bytes": b"\xff not a message"},
            asking(decision_makers=None),
        )
    )

    async def receive() -> Any:
        return next(messages)

    asyncio.run(Doorbell(app)(WEBSOCKET, receive, None))  # type: ignore[arg-type]
    assert heard == [None, "Ada, שלום", "Ada, שלום", ""]
    assert doorbell.said("abc==", "decision-makers") is None  # the connection ended


def test_what_is_no_websocket_or_has_no_key_passes_untouched() -> None:
    handed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handed.append(receive)

    async def receive() -> Any:
        return None

    for scope in ({"type": "http", "headers": []}, {"type": "websocket", "headers": []}):
        asyncio.run(Doorbell(app)(scope, receive, None))  # type: ignore[arg-type]
    assert handed == [receive, receive]
    assert doorbell.bell(None) is None
