"""The Compare page, and scenarios on the Advise page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from looking import look_into
from streamlit.testing.v1 import AppTest

from advisor import record, scenario
from advisor.presets import presets
from advisor.requirements import dumps
from advisor.scenario import Scenario
from ui import advice, told
from ui import format as fmt
from ui.answers import flatten
from ui.scenarios import Kept, to_link

Open = Callable[..., AppTest]
FRAUD = presets()["fraud-detection"]
CHAT = presets()["chatbot"]


@pytest.fixture(autouse=True)
def _flips_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would change the answer has tests of its own."""
    monkeypatch.setattr("ui.components.details.what_changes_it", lambda *args: None)


def kept_names(app: AppTest) -> list[str]:
    return [box.value for box in app.text_input if box.label.startswith("Name of scenario")]


def link(*names: str) -> dict[str, str]:
    needs = [p.requirements for p in presets().values()]
    return to_link([Kept(n, flatten(needs[i % len(needs)])) for i, n in enumerate(names)])


def test_stale_prices_are_said_where_scenarios_are_compared(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fmt, "age_days", lambda *_: 91)
    app = open_app(link("A", "B"), page="compare")
    assert not app.exception
    assert "The prices are 91 days old" in "\n".join(w.value for w in app.warning)


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if label in b.label).click().run()
    assert not app.exception
    return app


def cells(app: AppTest, table: int) -> str:
    return " ".join(str(cell) for cell in app.table[table].value.to_numpy().ravel())


def test_nothing_kept_is_a_state_with_a_way_on(open_app: Open) -> None:
    app = open_app(page="compare")
    assert app.header[0].value == "No scenario is kept yet"
    press(app, "Compare my answers with an example")
    assert kept_names(app) == [FRAUD.name, list(presets().values())[1].name]
    assert set(dict(app.query_params)) == {"scenario.1", "scenario.2"}
    assert "≠" in cells(app, 0)
    assert "▼" in cells(app, 0)


def test_a_link_brings_scenarios_and_their_differences(open_app: Open) -> None:
    app = open_app(link("Now", "Next year"), page="compare")
    assert kept_names(app) == ["Now", "Next year"]
    assert list(app.table[0].value.columns[1:]) == ["Now", "Next year"]
    assert all("≠" in str(label) for label in app.table[1].value.iloc[:, 0])
    before = len(app.table[1].value)
    app.toggle(key="all_answers").set_value(True).run()
    assert len(app.table[1].value) > before


def test_an_example_that_the_browser_reports_once_more_is_added_once(open_app: Open) -> None:
    app = open_app(link("Now"), page="compare")
    number = app.text_input(key=told.HEARD).value
    app.selectbox(key="scenario_example").set_value("chatbot").run()
    assert kept_names(app) == ["Now", CHAT.name]
    assert app.selectbox(key="scenario_example").value is None
    app.selectbox(key="scenario_example").set_value("chatbot")  # not emptied yet
    app.text_input(key=told.HEARD).set_value(number)
    press(app, "Duplicate")
    assert kept_names(app) == ["Now", CHAT.name, "Now (2)"]
    app.selectbox(key="scenario_example").set_value("chatbot").run()
    assert kept_names(app)[-1] == f"{CHAT.name} (2)"


def test_a_scenario_is_renamed_copied_opened_and_deleted(open_app: Open) -> None:
    app = open_app(link("Now", "Later"), page="compare")
    app.text_input(key="rename Now").set_value("<b>Today</b> =1+1").run()
    assert kept_names(app) == ["<b>Today</b> =1+1", "Later"]
    app.button(key="copy Later").click().run()
    assert kept_names(app) == ["<b>Today</b> =1+1", "Later", "Later (2)"]
    app.button(key="delete Later").click().run()
    assert kept_names(app) == ["<b>Today</b> =1+1", "Later (2)"]
    assert "scenario.3" not in app.query_params
    app.button(key="show Later (2)").click().run()
    assert app.title[0].value == "Where should your model run?"
    assert not app.exception


def test_back_brings_a_deleted_scenario_back(open_app: Open) -> None:
    app = open_app(link("Now", "Later"), page="compare")
    before = dict(app.query_params)
    app.button(key="delete Later").click().run()
    assert kept_names(app) == ["Now"]
    app.query_params.clear()
    app.query_params.update(before)
    app.run()
    assert kept_names(app) == ["Now", "Later"]


def test_an_address_that_lags_behind_does_not_bring_it_back(open_app: Open) -> None:
    app = open_app(link("Now", "Later", "Third"), page="compare")
    before = dict(app.query_params)
    app.button(key="delete Third").click().run()
    app.query_params.clear()
    app.query_params.update(before)
    app.toggle(key="all_answers").set_value(True).run()
    assert kept_names(app) == ["Now", "Later"]


def test_of_more_than_four_those_are_compared_that_are_chosen(open_app: Open) -> None:
    app = open_app(link("A", "B", "C", "D", "E"), page="compare")
    assert list(app.table[0].value.columns[1:]) == ["A", "B", "C", "D"]
    app.multiselect(key="compared").set_value(["A", "E"]).run()
    assert list(app.table[0].value.columns[1:]) == ["A", "E"]
    app.button(key="delete E").click().run()
    assert not app.exception
    assert list(app.table[0].value.columns[1:]) == ["A", "B", "C", "D"]


def test_scenarios_that_cannot_be_advised_on_keep_their_column(open_app: Open) -> None:
    bad = {
        **flatten(FRAUD.requirements),
        "control.hosting": "managed",
        "placement.clouds": ["kubernetes"],
        "placement.regions": [],
    }
    app = open_app(to_link([Kept("Bad", bad), Kept("Good", flatten(CHAT.requirements))]), "compare")
    assert list(app.table[0].value.columns[1:]) == ["Bad", "Good"]
    assert any("Cannot be advised on" in m.value for m in app.markdown)


def test_files_become_scenarios_and_bad_ones_are_said(open_app: Open) -> None:
    app = open_app(page="compare")
    need = CHAT.requirements
    answer = advice.verdict(need)
    files = [
        ("own.yaml", scenario.dumps(Scenario(need, "Größe 🎉", "noted")).encode()),
        ("plain.yaml", dumps(FRAUD.requirements).encode()),
        ("record.json", record.as_json(need, answer, name="From a record").encode()),
        ("laughs.yaml", b"a: &a [x]\nb: [*a, *a]"),
        ("binary.yaml", b"\xff\xfe\x00"),
        ("wrong.yaml", b"model: {format: 7}\ntraffic: []"),
    ]
    box = app.file_uploader(key="scenario_files")
    for name, content in files:
        box = box.upload(name, content, "application/yaml")
    box.run()
    assert not app.exception
    assert kept_names(app) == ["Größe 🎉", "plain", "From a record"]
    said = next(w.value for w in app.warning if "Not taken over" in w.value).replace("\\", "")
    for name, why in (("laughs", "an alias"), ("binary", "UTF-8"), ("wrong", "model.format")):
        assert any(name in line and why in line for line in said.splitlines())


def test_answers_are_kept_changed_and_saved_from_the_advise_page(open_app: Open) -> None:
    app = look_into(open_app(), "popover scenarios")
    app.text_input(key="scenario_name").set_value("Ours").run()
    press(app, "Keep as a new scenario")
    assert "scenario.1" in app.query_params
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    assert app.query_params["service.p95_ms"] == "90"
    assert "scenario.1" in app.query_params
    press(app, "Save the changes to Ours")
    assert "service.p95_ms=90" in app.query_params["scenario.1"]
    app.number_input(key="service.p95_ms").set_value(80.0).run()
    app.button(key="open Ours").click().run()
    assert app.number_input(key="service.p95_ms").value == 90
    app.switch_page("views/compare.py").run()
    assert kept_names(app) == ["Ours"]
    assert not app.exception


def test_a_refresh_finds_the_scenarios_again_on_any_page(open_app: Open) -> None:
    app = open_app({**link("Now"), "service.p95_ms": "70"})
    assert app.number_input(key="service.p95_ms").value == 70
    look_into(app, "popover scenarios")
    assert any(b.label == "Open Now" for b in app.button)
    assert not [w for w in app.warning if "scenario" in w.value]


def test_two_tabs_that_work_on_one_scenario_lose_neither_work(open_app: Open) -> None:
    one, other = open_app(link("Shared"), page="compare"), open_app(link("Shared"), page="compare")
    one.text_input(key="rename Shared").set_value("Mine").run()
    other.button(key="copy Shared").click().run()
    one.run()
    assert kept_names(one) == ["Mine"]
    assert kept_names(other) == ["Shared", "Shared (2)"]
    both = {**dict(one.query_params), "scenario.2": other.query_params["scenario.1"]}
    assert kept_names(open_app(both, page="compare")) == ["Mine", "Shared"]


def test_a_click_straight_after_renaming_finds_the_scenario(open_app: Open) -> None:
    app = open_app(page="compare")
    press(app, "Compare my answers with an example")
    first = kept_names(app)[0]
    app.text_input(key=f"rename {first}").set_value("Ours")
    app.button(key=f"copy {first}").click().run()
    assert not app.exception
    assert [name for name in kept_names(app) if name.startswith("Ours")] == ["Ours", "Ours (2)"]
    app.text_input(key="rename Ours").set_value("Theirs")
    app.button(key="delete Ours").click().run()
    assert not app.exception
    assert "Theirs" not in kept_names(app)
