"""What goes out is what went out before, in its order; only in fewer turns and writes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import NewSession
from streamlit.runtime import app_session
from streamlit.runtime.scriptrunner import RunDescriptor

from ui import sending
from ui.sending import MOST, Together, at_once, know_beginnings, settings_once

THEMES = ("theme", "theme.light", "theme.dark", "theme.sidebar", "theme.light.sidebar")
SETTINGS = Path(__file__).parents[2] / ".streamlit" / "config.toml"


def _session() -> NewSession:
    """As Streamlit fills it at the start of a run."""
    said = NewSession()
    places = (said.custom_theme, said.custom_theme.light, said.custom_theme.dark)
    for place, section in zip(places, THEMES, strict=False):
        app_session._populate_theme_msg(place, section)
    app_session._populate_theme_msg(said.custom_theme.sidebar, "theme.sidebar")
    app_session._populate_config_msg(said.config)
    return said


def test_theme_and_settings_are_sent_as_streamlit_would(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_populate_theme_msg", "_populate_config_msg"):
        made = getattr(app_session, name)
        monkeypatch.setattr(app_session, name, getattr(made, "fill", made))  # Streamlit's own
    config.get_config_options(force_reparse=True)
    expected = _session()
    assert expected.custom_theme.light.primary_color, "the theme of this repository was read"
    settings_once()
    settings_once()  # a second start in one process changes nothing
    for _ in range(3):
        found = _session()
        assert found == expected
        assert found.SerializeToString() == expected.SerializeToString()
    asked: list[str] = []
    monkeypatch.setattr(config, "get_options_for_section", lambda name: asked.append(name) or {})
    assert _session() == expected
    assert asked == []  # nothing is read again


def _drawn(said: str) -> ForwardMsg:
    message = ForwardMsg()
    message.delta.new_element.text.body = said
    return message


def _moved(query: str) -> ForwardMsg:
    message = ForwardMsg()
    message.page_info_changed.query_string = query
    return message


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A run of the page: what it says is in `sent`."""
    sent: list[ForwardMsg] = []
    context = SimpleNamespace(_enqueue=sent.append, sent=sent)
    monkeypatch.setattr(sending, "get_script_run_ctx", lambda **_: context)
    return context


def test_a_part_is_handed_over_in_one_go_and_in_its_order(run: SimpleNamespace) -> None:
    first, second, third, fourth = (_drawn(said) for said in ("one", "two", "three", "four"))
    with at_once():
        run._enqueue(first)
        run._enqueue(second)
        assert run.sent == []
    run._enqueue(third)
    assert run.sent == [first, second, third]

    def fails() -> None:
        with at_once():
            run._enqueue(fourth)
            raise ValueError("a page that fails")

    with pytest.raises(ValueError, match="a page that fails"):
        fails()
    assert run.sent == [first, second, third, fourth]  # what was drawn before is shown all the same


def test_a_new_address_goes_out_before_the_run_it_begins_drops_what_is_left(
    run: SimpleNamespace,
) -> None:
    first, address, last = _drawn("one"), _moved("option=ec2&to=ec2"), _drawn("two")
    with at_once():
        run._enqueue(first)
        run._enqueue(address)
        assert run.sent == [first, address]
        run._enqueue(last)
        assert run.sent == [first, address]
    assert run.sent == [first, address, last]


def _through(messages: list[dict[str, Any]], send: Any, pause_s: float = 0.0) -> None:
    """An app that says these over a websocket, and stays for a moment."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
            await asyncio.sleep(pause_s)
        await asyncio.sleep(0.05)

    asyncio.run(Together(app)({"type": "websocket"}, None, send))  # type: ignore[arg-type]


def _says(message: ForwardMsg) -> dict[str, Any]:
    return {"type": "websocket.send", "bytes": message.SerializeToString()}


def _run_begins() -> dict[str, Any]:
    message = ForwardMsg()
    message.new_session.name = "a run"
    return _says(message)


def _sends(count: int) -> list[dict[str, Any]]:
    return [_run_begins(), *(_says(_drawn(str(n))) for n in range(1, count))]


def test_all_is_sent_in_its_order_however_slow_the_reader_is() -> None:
    messages = [{"type": "websocket.accept"}, *_sends(MOST * 3), {"type": "websocket.close"}]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if len(sent) % 100 == 7:
            await asyncio.sleep(0.003)  # its buffer is full
        sent.append(message)

    _through(messages, send)
    assert sent == messages


def test_the_rest_of_a_run_does_not_follow_on_a_new_connection() -> None:
    """Without its beginning the browser would take the questions for gone, and what they held."""
    ends, running = ForwardMsg(), ForwardMsg()
    ends.script_finished = ForwardMsg.FINISHED_SUCCESSFULLY
    running.session_status_changed.run_on_save = True
    by_reference = ForwardMsg(ref_hash="of a large one")
    rest = [_says(_drawn("the rest")), _says(by_reference), _says(ends)]
    whole = [_says(running), _run_begins(), *rest]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    _through([{"type": "websocket.accept"}, *rest, *whole], send)
    assert sent == [{"type": "websocket.accept"}, *whole]


def test_nor_does_a_run_that_began_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit has stopped it, but keeps what it said: its beginning and its end, with no page."""
    identify = app_session._set_run_identity
    monkeypatch.setattr(app_session, "_set_run_identity", getattr(identify, "identify", identify))
    know_beginnings()
    know_beginnings()

    def run_of(run_id: str) -> list[dict[str, Any]]:
        first, last = ForwardMsg(), ForwardMsg()
        first.new_session.name = "a run"
        last.script_finished = ForwardMsg.FINISHED_SUCCESSFULLY
        for message in (first, last):
            app_session._set_run_identity(message, RunDescriptor(run_id))
            assert message.metadata.run.script_run_id == run_id
        return [_says(first), _says(_drawn("of it")), _says(last)]

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked = run_of("asked for here")
        for message in (*stopped, *asked):
            await send(message)
        await asyncio.sleep(0.05)

    stopped, asked = run_of("stopped"), list[dict[str, Any]]()
    asyncio.run(Together(app)({"type": "websocket"}, None, send))  # type: ignore[arg-type]
    assert sent == asked


def test_what_comes_within_a_moment_goes_out_in_one_turn_of_the_loop() -> None:
    turns: list[int] = []
    turn = 0

    async def send(message: Any) -> None:
        turns.append(turn)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal turn
        for message in _sends(5):
            await send(message)
            turn += 1
            await asyncio.sleep(0)
        turn = 99
        await asyncio.sleep(0.05)

    asyncio.run(Together(app)({"type": "websocket"}, None, send))  # type: ignore[arg-type]
    assert turns == [99] * 5


def test_that_the_viewer_has_gone_is_said_to_whoever_sends_next() -> None:
    async def send(message: Any) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        _through(_sends(3), send, pause_s=0.02)
