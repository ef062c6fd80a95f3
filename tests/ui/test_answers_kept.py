"""The Advise page: answers stay, whatever interrupts, goes back or breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from advisor.presets import presets
from ui import state, told
from ui.answers import flatten

Open = Callable[..., AppTest]

pytestmark = pytest.mark.usefixtures("flips_known")


def report_address(app: AppTest, given: dict[str, str]) -> None:
    """Let the browser say that this is its address."""
    app.query_params.clear()
    app.query_params.update(given)


def test_answers_survive_another_page(open_app: Open) -> None:
    app = open_app()
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    app.switch_page("views/prices.py").run()
    app.switch_page("views/advise.py").run()
    assert app.number_input(key="service.p95_ms").value == 90


def test_an_address_that_lags_behind_does_not_undo_an_answer(open_app: Open) -> None:
    """The browser reports the address it had when the click came, not the one being sent to it."""
    app = open_app()
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    before = dict(app.query_params)
    app.number_input(key="service.p95_ms").set_value(80.0).run()
    report_address(app, before)
    app.segmented_control(key="ranked_columns").set_value("What makes the score").run()
    assert app.number_input(key="service.p95_ms").value == 80
    assert app.query_params["service.p95_ms"] == "80"


def test_an_address_changed_by_other_means_is_taken_over(open_app: Open) -> None:
    app = open_app()
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    before = dict(app.query_params)
    app.number_input(key="service.p95_ms").set_value(80.0).run()
    report_address(app, before)
    app.run()
    assert app.number_input(key="service.p95_ms").value == 90


def test_back_undoes_an_answer_after_a_button_was_pressed(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button was down in the run before and is up again: that is nobody's click."""
    app = open_app()
    app.segmented_control(key="form").set_value("Step by step").run()
    app.number_input(key="model.service_time_ms").set_value(9.0).run()
    before = dict(app.query_params)
    app.number_input(key="model.service_time_ms").set_value(12.0).run()
    app.button(key="step_next").click().run()
    report_address(app, before)
    monkeypatch.setattr(state, "went_back", lambda: True)
    app.run()
    assert app.query_params["model.service_time_ms"] == "9"


def test_back_to_where_a_link_from_another_page_led_keeps_the_answers(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    app.query_params.clear()
    app.switch_page("views/method.py").run()
    app.switch_page("views/advise.py").run()
    assert app.query_params["service.p95_ms"] == "90"
    monkeypatch.setattr(state, "went_back", lambda: True)
    app.query_params.clear()  # the entry that the link made, before the answers were written
    app.run()
    assert app.number_input(key="service.p95_ms").value == 90
    assert app.query_params["service.p95_ms"] == "90"
    app.query_params.clear()  # further back: the page as it was first opened
    app.run()
    assert app.number_input(key="service.p95_ms").value == 100


def test_an_answer_that_interrupts_the_first_run_stays(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as first:
        first.setattr(state, "write_address", st.stop)  # as far as an interrupted run comes
        app = open_app()
    app.number_input(key="service.p95_ms").set_value(310.0).run()
    assert app.number_input(key="service.p95_ms").value == 310
    assert app.query_params["service.p95_ms"] == "310"


def test_what_an_interrupted_run_gave_the_widgets_is_given_again(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages are dropped: without them the browser would report empty boxes as the answers."""
    with monkeypatch.context() as first:
        first.setattr(state, "write_address", st.stop)
        app = open_app({"service.p95_ms": "170"})
    app.run()
    asked = app.number_input(key="service.p95_ms").proto
    assert asked.set_value
    assert asked.value == 170
    assert app.number_input(key="model.size_mb").proto.set_value
    app.run()
    assert not app.number_input(key="service.p95_ms").proto.set_value  # heard: nobody is typed over


def test_an_example_stays_chosen_though_a_click_reports_the_answers_before(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The click came before the example's values did: what it reports of them is old."""
    app = open_app()
    before = {box.key: box.value for box in app.number_input}
    chosen = flatten(presets()["chatbot"].requirements)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(state, "write_address", st.stop)
        app.pills(key="preset").set_value("chatbot").run()
    for box in app.number_input:
        if box.key in before:
            box.set_value(before[box.key])
    app.number_input(key="service.p95_ms").set_value(310.0)
    app.run()
    assert app.number_input(key="model.size_mb").value == chosen["model.size_mb"]
    assert app.number_input(key="service.p95_ms").value == 310  # answered since


@pytest.mark.parametrize("cut_short", [True, False])
def test_an_answer_after_which_the_example_is_reported_once_more_stays(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, cut_short: bool
) -> None:
    """Who answers on at once does so before the browser knows that no example is chosen any more:
    what it reports of the example is nobody's click."""
    app = open_app()
    example, number = app.pills(key="preset").value, app.text_input(key=told.HEARD).value
    app.number_input(key="service.p95_ms").set_value(310.0)
    with monkeypatch.context() as first:
        if cut_short:
            first.setattr(state, "write_address", st.stop)
        app.run()
    report_address(app, {})
    app.pills(key="preset").set_value(example)
    if not cut_short:
        app.text_input(key=told.HEARD).set_value(number)
    app.number_input(key="model.size_mb").set_value(55.0).run()
    assert app.pills(key="preset").value is None
    assert app.number_input(key="service.p95_ms").value == 310
    assert app.query_params["service.p95_ms"] == "310"
    assert app.query_params["model.size_mb"] == "55"
    app.pills(key="preset").set_value(example).run()  # now it is one
    assert app.number_input(key="service.p95_ms").value == 100


def test_an_example_stays_chosen_though_the_browser_was_slow_to_show_it(open_app: Open) -> None:
    app = open_app()
    app.run()
    before = {box.key: box.value for box in app.number_input}
    number = app.text_input(key=told.HEARD).value
    app.pills(key="preset").set_value("chatbot").run()
    for box in app.number_input:
        if box.key in before:
            box.set_value(before[box.key])
    app.text_input(key=told.HEARD).set_value(number)
    app.number_input(key="service.p95_ms").set_value(310.0).run()
    chosen = flatten(presets()["chatbot"].requirements)
    assert app.number_input(key="model.size_mb").value == chosen["model.size_mb"]
    assert app.number_input(key="service.p95_ms").value == 310
    number = app.text_input(key=told.HEARD).value
    app.number_input(key="model.size_mb").set_value(before["model.size_mb"]).run()
    assert app.number_input(key="model.size_mb").value == before["model.size_mb"]  # typed since
    assert app.text_input(key=told.HEARD).value == number  # there was nothing to tell


def test_a_figure_that_was_reset_stays_so_though_the_browser_reports_it_once_more(
    open_app: Open,
) -> None:
    app = open_app({"team.hourly_usd": "100"})
    app.session_state["open people"] = True
    app.run()
    box, number = "edit card people team.hourly_usd", app.text_input(key=told.HEARD).value
    app.button(key="reset card people team.hourly_usd").click().run()
    app.session_state["open people"] = True
    assert "team.hourly_usd" not in app.query_params
    app.number_input(key=box).set_value(100.0)
    app.text_input(key=told.HEARD).set_value(number)
    app.number_input(key="service.p95_ms").set_value(310.0).run()
    assert "team.hourly_usd" not in app.query_params
    assert app.query_params["service.p95_ms"] == "310"
    app.session_state["open people"] = True
    app.run()
    app.number_input(key=box).set_value(100.0).run()
    assert app.query_params["team.hourly_usd"] == "100"


def test_what_went_into_a_connection_that_broke_is_said_again(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser has neither the example's values nor the address: it reports those before."""
    monkeypatch.setattr(told, "_connection", lambda: "first")
    app = open_app()
    app.run()  # nothing new is said to the browser
    before = {box.key: box.value for box in app.number_input}
    address = dict(app.query_params)
    app.pills(key="preset").set_value("chatbot").run()
    chosen = flatten(presets()["chatbot"].requirements)
    monkeypatch.setattr(told, "_connection", lambda: "second")
    for box in app.number_input:
        if box.key in before:
            box.set_value(before[box.key])
    report_address(app, address)
    app.run()
    assert app.number_input(key="model.size_mb").value == chosen["model.size_mb"]
    assert app.number_input(key="model.size_mb").proto.set_value
    assert app.query_params["model.size_mb"] == f"{chosen['model.size_mb']:g}"
    app.run()
    assert not app.number_input(key="model.size_mb").proto.set_value


def test_an_answer_stays_though_the_connection_broke_before_its_address_came(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "_connection", lambda: "first")
    app = open_app()
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    before = dict(app.query_params)
    app.number_input(key="service.p95_ms").set_value(80.0).run()
    monkeypatch.setattr(told, "_connection", lambda: "second")
    report_address(app, before)
    app.run()
    assert app.number_input(key="service.p95_ms").value == 80
    assert app.query_params["service.p95_ms"] == "80"
