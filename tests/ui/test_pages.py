"""Every page opens, says its name, and holds what it is for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from advisor.catalog.loader import comparison_table, load_options
from ui import tables

Open = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def _flips_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would change the answer has tests of its own."""
    monkeypatch.setattr("ui.components.details.what_changes_it", lambda *args: None)


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("advise", "Where should your model run?"),
        ("compare", "Compare scenarios"),
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
    assert app.title[0].value == "Method"
    terms = next(t.value for t in app.table if "Term" in t.value.columns)
    assert {"Managed", "p95", "Cold start", "Close call"} <= set(terms["Term"])
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


def test_facts_are_found_by_words_and_confidence_and_listed_with_sources(open_app: Open) -> None:
    app = open_app(page="options")
    app.segmented_control(key="fact_group").set_value("Everything").run()
    facts = len(app.dataframe[0].value.columns) - 1
    assert facts == len({f["fact"] for f in comparison_table()})
    app.segmented_control(key="fact_confidence").set_value(["estimate"]).run()
    app.segmented_control(key="fact_view").set_value("With sources").run()
    assert set(app.dataframe[0].value["Confidence"]) == {"estimate"}
    app.segmented_control(key="fact_confidence").set_value([]).run()
    app.text_input(key="fact_words").set_value("25 MB").run()
    app.text_input(key="fact_words").set_value("docs.aws.amazon.com").run()
    listed = app.dataframe[0].value
    assert all("docs.aws.amazon.com" in source for source in listed["Source"])
    assert all(str(address).startswith("https://docs.aws") for address in listed["Open"])
    app.text_input(key="fact_words").set_value("no such thing (").run()
    assert not app.exception
    assert "Widen them" in app.info[0].value


def test_a_spreadsheet_takes_no_cell_for_a_formula() -> None:
    frame = pd.DataFrame({"=x": ["=cmd|'/c calc'!A1", " @SUM(1)", "plain"], "n": [-1.5, 2, 3]})
    rows = list(csv.reader(io.StringIO(tables.csv(frame).decode())))
    assert rows[0] == ["'=x", "n"]
    assert [row[0] for row in rows[1:]] == ["'=cmd|'/c calc'!A1", "' @SUM(1)", "plain"]
    assert rows[1][1] == "-1.5"


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
