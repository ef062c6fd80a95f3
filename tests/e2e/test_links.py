"""The address bar is the scenario."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from e2e_server import choose_example, latency_box, open_page, settle, verdict_text
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

pytestmark = pytest.mark.browser


def answer_within(page: Page, milliseconds: str) -> None:
    box = latency_box(page)
    box.fill(milliseconds)
    box.press("Enter")
    page.wait_for_url(re.compile(f"service.p95_ms={milliseconds}(&|$)"))


def test_a_shared_link_shows_the_same_in_another_browser(
    app: str, page: Page, chromium: Browser
) -> None:
    open_page(page, app)
    choose_example(page, "Custom app")
    answer_within(page, "350")
    address = page.evaluate("location.href")
    assert parse_qs(urlsplit(address).query)["service.p95_ms"] == ["350"]

    context = chromium.new_context(viewport={"width": 1360, "height": 900})
    other = context.new_page()
    open_page(other, address)
    assert verdict_text(other) == verdict_text(page)
    assert latency_box(other).input_value() == "350"
    assert other.evaluate("location.href") == address
    context.close()


@pytest.mark.parametrize("pause_ms", [0, 40, 120])
def test_answers_given_in_a_hurry_all_stay(app: str, page: Page, pause_ms: int) -> None:
    open_page(page, app)
    given = {
        "Answer within (ms)": "310",
        "Model file size (MB)": "55",
        "One request takes (ms)": "12",
    }
    for label, value in given.items():
        box = page.get_by_role("spinbutton", name=label)
        box.fill(value)
        box.press("Enter")
        page.wait_for_timeout(pause_ms)
    page.get_by_role("radio", name="Expert").click()
    page.wait_for_url(re.compile("devops_skill=expert"))
    settle(page)
    for label, value in given.items():
        expect(page.get_by_role("spinbutton", name=label)).to_have_value(value)
    query = parse_qs(urlsplit(page.evaluate("location.href")).query)
    assert query["service.p95_ms"] == ["310"]
    assert query["model.size_mb"] == ["55"]
    assert query["model.service_time_ms"] == ["12"]


def test_back_undoes_an_answer(app: str, page: Page) -> None:
    open_page(page, app)
    answer_within(page, "250")
    answer_within(page, "300")
    page.get_by_role("button", name=re.compile("Scenarios$")).click()
    page.get_by_role("button", name="Keep as a new scenario").click()
    page.wait_for_url(re.compile(r"scenario\.1="))
    page.keyboard.press("Escape")
    settle(page)
    page.go_back()  # the page before the scenario was kept, which is kept nevertheless
    expect(latency_box(page)).to_have_value("300")
    settle(page)
    page.go_back()
    expect(latency_box(page)).to_have_value("250")
    settle(page)
    page.go_forward()
    expect(latency_box(page)).to_have_value("300")


def test_answers_survive_a_look_at_another_page(app: str, page: Page) -> None:
    open_page(page, app)
    answer_within(page, "275")
    page.get_by_role("link", name="Prices").click()
    expect(page.get_by_role("heading", name="Prices", level=1)).to_be_visible()
    page.get_by_role("link", name="Advise").click()
    expect(latency_box(page)).to_have_value("275")
    page.wait_for_url(re.compile("service.p95_ms=275"))
    settle(page)
    prices = page.get_by_role("heading", name="Prices", level=1)
    page.go_back()
    expect(prices.or_(latency_box(page))).to_be_visible()
    settle(page)
    if not prices.is_visible():  # mostly the browser keeps the address that the link led to, bare
        page.wait_for_url(re.compile(r"/\?.*service.p95_ms=275"))
        expect(latency_box(page)).to_have_value("275")
        settle(page)
        page.go_back()
    expect(prices).to_be_visible()
    page.get_by_role("link", name="Advise").click()
    expect(latency_box(page)).to_have_value("275")


def test_a_link_written_by_hand_says_what_was_dropped(app: str, page: Page) -> None:
    open_page(page, f"{app}/?model.format=docx&latency=5&service.p95_ms=150")
    note = page.get_by_role("alert").first
    expect(note).to_contain_text("model.format is 'docx'")
    expect(note).to_contain_text("latency is not a question here")
    expect(latency_box(page)).to_have_value("150")


def test_an_answer_that_broke_with_its_connection_counts_without_another_click(
    app: str, page: Page
) -> None:
    """Nothing of it reached the server, so the browser has to ask again."""
    ways: list[WebSocketRoute] = []
    lost: list[str | bytes] = []
    breaks = False

    def connect(way: WebSocketRoute) -> None:
        server = way.connect_to_server()
        ways.append(way)
        if len(ways) == 1:  # the one that will break
            way.on_message(lambda said: lost.append(said) if breaks else server.send(said))

    page.route_web_socket(re.compile("_stcore/stream"), connect)
    open_page(page, app)
    settle(page)
    breaks = True
    box = latency_box(page)
    box.fill("310")
    box.press("Enter")
    for _ in range(500):
        if lost:
            break
        page.wait_for_timeout(20)
    assert lost
    ways[0].close()
    page.wait_for_url(re.compile("service.p95_ms=310(&|$)"))
    settle(page)
    expect(box).to_have_value("310")
    assert len(ways) == 2


@pytest.mark.slow
def test_a_connection_that_breaks_while_an_answer_is_worked_out_loses_nothing(
    app: str, page: Page
) -> None:
    """Cut at several moments; somebody goes on typing meanwhile."""
    ways: list[tuple[WebSocketRoute, WebSocketRoute]] = []
    page.route_web_socket(
        re.compile("_stcore/stream"), lambda way: ways.append((way, way.connect_to_server()))
    )
    open_page(page, app)
    settle(page)
    size = page.get_by_role("spinbutton", name="Model file size (MB)")
    for nth, pause_ms in enumerate((0, 60, 120, 200, 400)):
        within, megabytes = str(310 + nth), str(55 + nth)
        box = latency_box(page)
        box.fill(within)
        box.press("Enter")
        page.wait_for_timeout(pause_ms)
        viewer, server = ways[-1]
        server.close()
        viewer.close()
        size.fill(megabytes)
        size.press("Enter")
        page.wait_for_url(re.compile(f"size_mb={megabytes}&.*p95_ms={within}(&|$)"))
        settle(page)
        expect(latency_box(page)).to_have_value(within)
        expect(size).to_have_value(megabytes)
    assert len(ways) == 6
