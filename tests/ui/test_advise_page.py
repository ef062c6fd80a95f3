"""The Advise page: what changes when an answer changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sample
from here import Here
from looking import look_into
from streamlit.testing.v1 import AppTest

from advisor.presets import presets
from advisor.requirements import Requirements, dumps, parse
from advisor.whatif import Changes
from ui import advice, jobs, state
from ui.answers import encode, flatten, to_requirements
from ui.components import later, questionnaire
from ui.questions import describe
from ui.steps import STEPS
from ui.workers import Job, WorkerDiedError, Workers

TABS = (
    "Ranked", "Cost", "Size and week", "Volume", "Growth", "What would change it",
    "Every number", "Ruled out",
)  # fmt: skip

Open = Callable[..., AppTest]
pytestmark = pytest.mark.usefixtures("flips_known")


def texts(app: AppTest) -> str:
    parts = [*app.markdown, *app.error, *app.warning, *app.info, *app.header, *app.subheader]
    tables = [" ".join(str(cell) for cell in t.value.to_numpy().ravel()) for t in app.table]
    return "\n".join([*(str(part.value) for part in parts), *tables])


def look_at(app: AppTest, *sections: str) -> AppTest:
    """Open the "more detail" of these sections."""
    app.session_state[questionnaire.MORE] = True
    for section in sections:
        app.session_state[f"more {section}"] = True
    return app.run()


def test_a_newcomer_sees_a_verdict_with_its_cost(open_app: Open) -> None:
    app = open_app()
    answer = advice.verdict(next(iter(presets().values())).requirements)
    assert [m.label for m in app.metric][:3] == [
        "Cloud bill a month",
        "People's time a month",
        "Total a month",
    ]
    assert app.metric[0].value.startswith("\\$")
    assert app.header[1].value == answer.ranking[0].name
    assert app.query_params == {}


@pytest.mark.parametrize("preset_id", list(presets()))
def test_each_example_gives_its_own_verdict(open_app: Open, preset_id: str) -> None:
    app = open_app()
    app.pills(key="preset").set_value(preset_id).run()
    assert not app.exception
    need = presets()[preset_id].requirements
    assert app.header[1].value == advice.verdict(need).ranking[0].name
    assert app.pills(key="preset").value == preset_id
    if preset_id != next(iter(presets())):
        assert dict(app.query_params) == encode(flatten(need))


def test_an_answer_changes_the_address_and_the_verdict(open_app: Open) -> None:
    app = open_app()
    before = app.metric[0].value
    app.number_input(key="traffic.requests_per_month").set_value(900_000_000.0).run()
    assert not app.exception
    assert app.metric[0].value != before
    assert app.query_params["traffic.requests_per_month"] == "900000000"
    assert app.pills(key="preset").value is None


def test_a_link_restores_answers(open_app: Open) -> None:
    need = presets()["custom-app"].requirements
    app = open_app(encode(flatten(need)))
    assert app.number_input(key="service.p95_ms").value == 500
    assert app.pills(key="preset").value == "custom-app"
    assert not [w for w in app.warning if "the link you" in w.value]


def test_a_link_that_cannot_be_used_says_so(open_app: Open) -> None:
    link = encode(flatten(presets()["chatbot"].requirements))
    app = open_app({**link, "model.format": "docx", "colour": "blue"})
    said = next(w.value for w in app.warning if "the link you" in w.value)
    assert "model.format is 'docx'" in said.replace("\\", "")
    assert "colour is not a question here" in said
    assert app.number_input(key="service.p95_ms").value == 1500


def test_contradictory_answers_are_said_and_kept(open_app: Open) -> None:
    app = look_at(open_app(), "control", "placement")
    app.segmented_control(key="control.hosting").set_value("managed")
    app.multiselect(key="placement.clouds").set_value(["kubernetes"])
    app.run()
    assert not app.exception
    said = "\n".join(e.value for e in app.error).replace("\\", "")
    assert "control.hosting is managed" in said
    assert app.multiselect(key="placement.clouds").value == ["kubernetes"]
    app.multiselect(key="placement.clouds").set_value(["aws"]).run()
    assert not app.error
    assert app.metric


def test_a_question_appears_when_it_makes_sense(open_app: Open) -> None:
    app = look_at(open_app(), "model", "service", "placement")
    paths = [n.key for n in app.number_input]
    assert "service.p95_ms" in paths
    assert not {"model.gpu_memory_gb", "service.deadline_h", "placement.node_vcpu"} & set(paths)
    app.toggle(key="model.gpu").set_value(True)
    app.multiselect(key="placement.clouds").set_value(["aws", "own-hardware"])
    app.run()
    assert {"model.gpu_memory_gb", "placement.node_vcpu"} <= {n.key for n in app.number_input}
    app.segmented_control(key="traffic.mode").set_value("batch")
    app.run()
    paths = [n.key for n in app.number_input]
    assert "service.p95_ms" not in paths
    assert "service.deadline_h" in paths


def test_nothing_fits_is_a_state_with_a_way_out(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = advice.verdict

    def verdict(need, policies=()):
        return sample.nothing_fits() if need.service.p95_ms < 60 else real(need)

    monkeypatch.setattr(advice, "verdict", verdict)
    ways = Changes(relaxations=sample.nothing_fits().relaxations)
    monkeypatch.setattr(jobs, "changes", lambda *_, **__: ways)
    app = open_app()
    app.number_input(key="service.p95_ms").set_value(1.0).run()
    assert not app.exception
    assert app.header[1].value == "No option meets these answers"
    assert "8 MB request" in texts(app).replace("\\", "")
    app.button(key="relax 0").click().run()
    assert app.number_input(key="service.p95_ms").value == 60
    assert app.metric


def test_answers_that_cannot_be_had_together_are_named_with_the_way_out(open_app: Open) -> None:
    app = open_app(
        encode(flatten(presets()["fraud-detection"].requirements))
        | {"control.hosting": "managed", "control.host_access": "true"}
    )
    assert not app.exception
    need = to_requirements(app.session_state[state.ANSWERS])
    (conflict, *_) = advice.verdict(need).conflicts
    said = next(e.value for e in app.error if "cannot be had together" in e.value)
    assert conflict.rules
    assert f"“{describe('control.hosting')}” is managed" in said.replace("\\", "")
    assert f"change “{describe('control.host_access')}”" in said.replace("\\", "")


def test_what_is_advised_on_is_what_the_questions_say_after_the_run(open_app: Open) -> None:
    """The verdict is drawn before the questions: both must be of the same answers."""
    advised: list[Requirements] = []
    app = open_app()
    real = advice.verdict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            advice, "verdict", lambda need, held=(): advised.append(need) or real(need, held)
        )
        app.number_input(key="model.size_mb").set_value(31.0)
        app.segmented_control(key="traffic.mode").set_value("async")
        app.run()
        assert advised[0].model.size_mb == 31
        app.segmented_control(key="traffic.mode").set_value("realtime").run()
        app.pills(key="preset").set_value("chatbot").run()
        assert advised[-1] == to_requirements(app.session_state[state.ANSWERS])
    assert [need.traffic.mode.value for need in advised[:2]] == ["async", "realtime"]
    assert not app.exception


def test_a_requirements_file_replaces_the_answers(open_app: Open) -> None:
    app = look_into(open_app(), "popover file")
    need = presets()["internal-tool"].requirements
    app.file_uploader(key="requirements_file").upload(
        "mine.yaml", dumps(need).encode(), "application/yaml"
    ).run()
    assert not app.exception
    assert app.session_state["popover file"] is False  # it would lie over the new verdict
    assert app.number_input(key="service.p95_ms").value == 8000
    assert app.pills(key="preset").value == "internal-tool"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"model: {format: docx}", "model.format"),
        (b"traffic: 5", "traffic is 5; write names and values below it (mode, "),
        (b"model: [", "is not valid YAML"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_bad_file_changes_nothing_and_says_why(open_app: Open, content: bytes, said: str) -> None:
    app = open_app()
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    look_into(app, "popover file")
    app.file_uploader(key="requirements_file").upload("bad.yaml", content, "text/yaml").run()
    assert not app.exception
    assert any(said in e.value.replace("\\", "") for e in app.error)
    assert app.number_input(key="service.p95_ms").value == 90


def test_old_prices_are_warned_about(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from ui.components import price_age

    assert price_age.sentence(90, "2026-01-01", 90) is None
    assert "91 days old" in str(price_age.sentence(91, "2026-01-01", 90))
    assert "on the page Prices" in str(price_age.sentence(91, "2026-01-01", 90))
    assert "no date" in str(price_age.sentence(None, "undated", 90))
    monkeypatch.setattr(advice, "verdict", lambda need, policies=(): sample.recommendation())
    app = open_app()
    assert any("days old" in w.value for w in app.warning)


def test_own_hours_are_taken_and_given_back(open_app: Open) -> None:
    app = look_at(open_app(), "team")
    app.selectbox(key="hours_option").set_value("ecs-fargate")
    app.run()
    app.number_input(key="hours_monthly").set_value(2.0)
    app.run()
    next(b for b in app.button if b.label == "Use these hours").click().run()
    assert not app.exception
    assert app.query_params["team.assumptions"] == "ecs-fargate:2:"
    app.button(key="drop ecs-fargate").click().run()
    assert "team.assumptions" not in app.query_params


def test_own_hours_typed_just_before_the_click_are_taken(open_app: Open) -> None:
    app = look_at(open_app(), "team")
    app.selectbox(key="hours_option").set_value("ecs-fargate").run()
    app.number_input(key="hours_monthly").set_value(2.0).run()
    app.number_input(key="hours_setup").set_value(5.0)
    next(b for b in app.button if b.label == "Use these hours").click().run()
    assert app.query_params["team.assumptions"] == "ecs-fargate:2:5"


def test_a_week_of_numbers_comes_with_a_file_and_can_be_left_and_taken_again(
    open_app: Open,
) -> None:
    base = presets()["fraud-detection"].requirements.model_dump(mode="json")
    base["traffic"]["pattern"] = [float(1 + hour % 24) for hour in range(168)]
    app = look_into(open_app(), "popover file")
    app.file_uploader(key="requirements_file").upload(
        "week.json", json.dumps(base).encode(), "application/json"
    ).run()
    assert not app.exception
    assert app.selectbox(key="traffic.pattern").value == state.OWN_WEEK
    app.selectbox(key="traffic.pattern").set_value("steady").run()
    assert "traffic.pattern" not in app.query_params
    app.selectbox(key="traffic.pattern").set_value(state.OWN_WEEK).run()
    assert len(app.query_params["traffic.pattern"].split(",")) == 168


def test_a_newcomer_is_led_step_by_step_with_the_same_answers(open_app: Open) -> None:
    app = open_app()
    app.segmented_control(key="form").set_value("Step by step").run()
    assert not app.exception
    assert [n.key for n in app.number_input if n.key.startswith("service.")] == []
    assert app.button(key="step_back").disabled
    app.number_input(key="model.service_time_ms").set_value(12.0).run()
    for _ in range(2):
        app.button(key="step_next").click().run()
    assert "Step 3 of 7" in app.get("progress")[0].proto.text
    app.number_input(key="service.p95_ms").set_value(90.0).run()
    app.button(key="step_back").click().run()
    assert app.number_input(key="traffic.requests_per_month").value == 2e7
    assert app.query_params["model.service_time_ms"] == "12"
    assert app.query_params["service.p95_ms"] == "90"
    assert app.metric
    app.segmented_control(key="form").set_value("All at once").run()
    assert app.number_input(key="model.service_time_ms").value == 12
    assert app.number_input(key="service.p95_ms").value == 90


def test_the_last_step_leads_back_to_the_first(open_app: Open) -> None:
    app = open_app()
    app.segmented_control(key="form").set_value("Step by step").run()
    for _ in STEPS[1:]:
        app.button(key="step_next").click().run()
        assert not app.exception
    assert "priorities.cost" in [s.key for s in app.slider]
    app.button(key="step_next").click().run()
    assert "model.size_mb" in [n.key for n in app.number_input]


@pytest.mark.parametrize("preset_id", ["fraud-detection", "internal-tool", "nightly-scoring"])
def test_each_tab_stands_for_machines_functions_and_jobs(open_app: Open, preset_id: str) -> None:
    app = open_app(encode(flatten(presets()[preset_id].requirements)))
    for tab in TABS:
        app.session_state["behind"] = tab
        app.run()
        assert not app.exception, tab
        assert not app.error, tab


def test_an_assumption_is_changed_where_its_number_is_opened_and_reset(open_app: Open) -> None:
    app = open_app()
    before = app.metric[1].value
    app.session_state["open people"] = True
    app.run()
    option = advice.verdict(presets()["fraud-detection"].requirements).ranking[0].option
    box = f"edit card people {option} monthly_hours"
    app.number_input(key=box).set_value(1.0).run()
    assert not app.exception
    assert app.query_params["team.assumptions"] == f"{option}:1:"
    assert app.metric[1].value != before
    app.session_state["open people"] = True
    app.run()
    assert ":blue-badge[changed]" in app.number_input(key=box).label
    app.number_input(key="edit card people team.hourly_usd").set_value(100.0).run()
    assert app.query_params["team.hourly_usd"] == "100"
    app.session_state["open people"] = True
    app.run()
    app.button(key=f"reset card people {option} monthly_hours").click().run()
    assert "team.assumptions" not in app.query_params
    app.session_state["open people"] = True
    app.run()
    app.button(key="reset card people team.hourly_usd").click().run()
    assert app.metric[1].value == before
    assert app.query_params.get("team.hourly_usd") is None


def test_growth_is_tried_with_one_click(open_app: Open) -> None:
    app = open_app()
    app.session_state["behind"] = "Growth"
    app.run()
    app.button(key="grow 5").click().run()
    assert not app.exception
    assert app.query_params["traffic.growth_percent_per_month"] == "5"


def test_a_busy_pool_is_said_and_the_verdict_stands(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "WORKERS", Workers(most=0))
    app = open_app()
    assert any("as many as this server takes" in w.value for w in app.warning)
    assert app.metric


def test_a_what_if_that_fails_is_said_and_the_verdict_stands(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(need, winner, **_):
        raise WorkerDiedError("the process that computed this was ended twice; change an answer")

    monkeypatch.setattr(jobs, "changes", gone)
    app = open_app()
    assert any("ended twice" in w.value for w in app.warning)
    assert app.metric


def test_a_close_call_names_both(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    close = sample.recommendation().model_copy(update={"close_call": True, "confidence": 0.52})
    monkeypatch.setattr(advice, "verdict", lambda need, policies=(): close)
    app = open_app()
    said = next(m.value for m in app.markdown if "Read both" in m.value)
    assert "Ecs fargate" in said
    assert "on points" in said
    assert "52 %" in said


def test_what_was_stopped_is_taken_up_again_when_asked(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[Job] = []

    class Slow(Here):
        """The first job ends only because it is stopped; a later one is done at once."""

        def submit(self, job, *args):
            if submitted:
                return super().submit(job, *args)
            submitted.append(Job(Path("no-such-folder/wanted")))
            threading.Timer(0.5, submitted[0].stop).start()
            return submitted[0]

    monkeypatch.setattr(advice, "WORKERS", Slow())
    monkeypatch.setattr(later, "_LONG_S", 0.0)
    app = open_app()
    assert any("Stopped: this was not computed" in m.value for m in app.markdown)
    assert app.metric
    app.button(key="go on changes").click().run()
    assert any("no single answer alters it" in m.value for m in app.markdown)
    need = presets()["fraud-detection"].requirements
    app.session_state["_stopped"] = {f"changes {need.model_dump_json()}"}
    app.run()
    assert any("Stopped: this was not computed" in m.value for m in app.markdown)
    assert not app.exception


def test_the_cost_tab_shows_what_a_commitment_would_save(open_app: Open) -> None:
    need = presets()["fraud-detection"].requirements
    app = open_app(encode(flatten(need)))
    app.session_state["behind"] = "Cost"
    app.run()
    assert not app.exception
    (shown,) = [t.value for t in app.table if "Bought" in t.value.columns]
    assert list(shown["Bought"]) == ["on demand", "for 1 year", "for 3 years", "on spot"]
    # Every way that has no price says why.
    unpriced = shown[shown["Cloud bill a month"] == "–"]
    assert all(unpriced["How"].str.len() > 0)


def test_nodes_of_ones_own_are_not_asked_to_commit(open_app: Open) -> None:
    data = presets()["fraud-detection"].requirements.model_dump(mode="json")
    data["placement"] = {"clouds": ["kubernetes"], "node_hourly_usd": 0.3}
    app = open_app(encode(flatten(parse(data))))
    app.session_state["behind"] = "Cost"
    app.run()
    assert not app.exception
    assert app.table
    assert not [t for t in app.table if "Bought" in t.value.columns]
    assert not any("Would you commit" in m.value for m in app.markdown)


def test_the_winner_stands_against_what_runs_today(open_app: Open) -> None:
    base = presets()["fraud-detection"].requirements.model_dump(mode="json")
    base["today"] = {"option": "eks", "monthly_usd": 5000}
    app = open_app(encode(flatten(parse(base))))
    shown = texts(app)
    assert "Against today" in shown
    winner = advice.verdict(parse(base)).ranking[0]
    assert f"{5000 - winner.monthly_usd.expected:,.0f} less" in shown.replace("\\", "")
