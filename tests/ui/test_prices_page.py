"""The prices page: where prices come from, stale ones marked, and a real refresh from it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample
from streamlit.testing.v1 import AppTest

sys.path.append(str(Path(__file__).parents[1] / "advisor" / "prices"))
import vendor_lists as lists
from small_book import put_on_shelf, small_book
from vendor_server import Answer, Vendor, serving

from advisor.explain import Input
from advisor.prices import PriceBook, load_book
from ui import guard, tables
from ui.components import figures
from ui.price_refresh import REFRESHER, Refresher

PAGE = Path(__file__).parents[2] / "ui" / "views" / "prices.py"
LIMIT_S = 60


def opened() -> AppTest:
    """The page alone: what the first page computes does not matter here."""
    app = AppTest.from_file(str(PAGE), default_timeout=LIMIT_S).run()
    assert not app.exception
    return app


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_book(tmp_path_factory.mktemp("seed") / "seed")


@pytest.fixture
def vendor(seed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """Azure on loopback; the home of this test has the small book on its shelf."""
    monkeypatch.delenv("ADVISOR_PRICES")
    put_on_shelf(seed, Path(os.environ["ADVISOR_HOME"]) / "prices")
    monkeypatch.setattr(guard, "refusal", lambda: None)
    monkeypatch.setattr(REFRESHER, "_progress", None)
    with serving(lists.azure(PriceBook(seed), ["eastus"])) as azure:
        monkeypatch.setenv("ADVISOR_PRICES_AZURE_URL", azure.url)
        yield azure
    REFRESHER.cancel()
    ended(REFRESHER)


def ended(refresher: Refresher) -> None:
    until = time.monotonic() + LIMIT_S
    while (found := refresher.progress()) and found.is_active:
        assert time.monotonic() < until, found
        time.sleep(0.05)


def start(app: AppTest) -> None:
    app.segmented_control(key="refresh_provider").set_value("azure").run()
    app.button(key="refresh_prices").click().run()
    assert not app.exception


def test_a_refresh_from_the_page(vendor: Vendor) -> None:
    app = opened()
    before = load_book()
    start(app)
    ended(REFRESHER)
    app.run()
    assert not app.exception
    assert "refreshed" in app.success[0].value
    new = load_book()
    assert new.edition != before.edition
    today = new.machine("azure-vm", "eastus", "Standard_D4s_v3").as_of
    assert new.rate("azure.nat_hour", "eastus").as_of == today
    providers = app.table[0].value
    assert today in providers.to_string()


@pytest.mark.slow
def test_a_failed_refresh_says_why_and_what_is_used(vendor: Vendor) -> None:
    for item in vendor.items:
        if "Standard Private Endpoint" in item["meterName"]:
            item["retailPrice"] *= 10
    app = opened()
    start(app)
    ended(REFRESHER)
    app.run()
    said = app.error[0].value
    assert "prices from the snapshot of 20" in said
    assert "refresh failed because" in said
    assert "azure.private\\_endpoint\\_hour" in said.replace("\\\\", "\\")
    # What was refused can be accepted by a person.
    app.checkbox(key="refresh_accept").check().run()
    app.button(key="refresh_prices").click().run()
    ended(REFRESHER)
    assert load_book().rate("azure.private_endpoint_hour", "eastus").unit_price_usd == 0.1


def test_a_refresh_can_be_cancelled_from_the_page(vendor: Vendor) -> None:
    def slow(_asked: object) -> Answer:
        time.sleep(1)
        return Answer(b"", 503, {"Retry-After": "30"})

    vendor.routes["/api/retail/prices"] = slow
    before = load_book().edition
    app = opened()
    start(app)
    app.button(key="cancel_refresh").click().run()
    ended(REFRESHER)
    app.run()
    assert "the refresh was cancelled; the prices from the snapshot of 20" in app.info[0].value
    assert load_book().edition == before


def test_nobody_else_may_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "refusal", lambda: "Deploying is refused: no sign-in.")
    app = opened()
    assert any("Refreshing prices is refused" in i.value for i in app.info)
    assert not [b for b in app.button if b.key == "refresh_prices"]


def test_stale_prices_are_marked_among_the_figures() -> None:
    price = Input(
        name="Unit price", value=0.1, unit="USD for each of hour", certainty="published",
        source="a list of 2020-01-01", as_of="2020-01-01",
    )  # fmt: skip
    assert "2020-01-01: STALE" in figures._sure(price)
    hours = price.model_copy(update={"unit": "hours"})
    assert "STALE" not in figures._sure(hours)


def test_stale_prices_are_marked_in_the_tables() -> None:
    line = sample.line("Machines", 10.0).model_copy(update={"as_of": "2020-01-01"})
    ranked = sample.ranked("ec2", "self-hosted", 10.0, lines=(line,))
    assert "2020-01-01: STALE" in tables.cost_lines(ranked)["Price from"][0]
    rates = opened().dataframe[0].value
    assert rates["As of"].str.contains("STALE, undated").any()
