"""Every page opens, says its name, and holds what it is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from advisor.catalog.loader import load_options

Open = Callable[..., AppTest]


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("advise", "Where should your model run?"),
        ("options", "Options"),
        ("deployments", "Deployments"),
        ("prices", "Prices"),
        ("deploy", "this machine"),
    ],
)
def test_every_page_opens(open_app: Open, page: str, heading: str) -> None:
    app = open_app(page=page)
    assert heading in app.title[0].value
    assert not app.error


def test_method_is_the_document(open_app: Open) -> None:
    app = open_app(page="method")
    assert not app.error
    assert sum(len(m.value) for m in app.markdown) > 2000


def test_options_can_be_filtered_and_say_when_none_is_left(open_app: Open) -> None:
    app = open_app(page="options")
    assert len(app.dataframe[0].value) == len(load_options())
    app.segmented_control(key="kinds").set_value(["managed"]).run()
    managed = [o for o in load_options().values() if o.kind == "managed"]
    assert len(app.dataframe[0].value) == len(managed)
    app.segmented_control(key="clouds").set_value(["kubernetes"]).run()
    assert not app.exception
    assert "Widen the filter" in app.info[0].value


def test_prices_can_be_searched(open_app: Open) -> None:
    app = open_app(page="prices")
    app.text_input[0].set_value("fargate").run()
    assert all("fargate" in sku for sku in app.dataframe[0].value["Priced"])
    app.text_input[0].set_value("no such thing (").run()
    assert not app.exception
    assert "No unit price matches" in app.info[0].value


def test_nothing_deployed_yet_is_a_designed_state(open_app: Open) -> None:
    app = open_app(page="deployments")
    assert app.header[0].value == "Nothing is deployed from here"
