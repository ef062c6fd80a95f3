"""Team policies and measured traffic on the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from here import Here
from looking import look_into
from streamlit.testing.v1 import AppTest

from advisor.recommend import recommend
from advisor.rules import PolicyText
from advisor.whatif import Changes
from advisor.workload_import.csv_file import ReadOptions
from ui import advice, jobs, state, traffic_job
from ui.answers import starting_answers, to_requirements
from ui.components.team_policies import said_of
from ui.workers import Workers

Open = Callable[..., AppTest]
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
NO_AWS = (
    b"name: No *servers*\nrules:\n"
    b"- {id: no-managed, kind: forbid, kinds: [managed], because: we host it ourselves}\n"
)


@pytest.fixture(autouse=True)
def _workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "changes", lambda *_, **__: Changes())
    monkeypatch.setattr(advice, "WORKERS", Here())
    advice.forget()


def texts(app: AppTest) -> str:
    return "\n".join(str(part.value) for part in (*app.markdown, *app.error, *app.warning))


def hourly(weeks: int = 2) -> bytes:
    rows = [
        f"{(MONDAY + timedelta(hours=i)):%Y-%m-%dT%H:%M:%SZ},{1000 + 100 * (i % 24)}"
        for i in range(weeks * 168)
    ]
    return ("time,requests\n" + "\n".join(rows)).encode()


def upload(app: AppTest, key: str, name: str, content: bytes, kind: str) -> AppTest:
    look_into(app, "policies" if key == "policy_file" else "popover traffic")
    app.file_uploader(key=key).upload(name, content, kind).run()
    assert not app.exception
    return app


def test_a_policy_holds_for_its_session_alone_and_says_its_effect(open_app: Open) -> None:
    app, other = open_app(), open_app()
    upload(app, "policy_file", "house.yaml", NO_AWS, "application/yaml")
    said = texts(app)
    need = to_requirements(starting_answers())
    policy = PolicyText("house.yaml", NO_AWS.decode())
    told = said_of("No *servers*", recommend(need, policies=[policy], doubt=False))
    assert told.startswith("rules out ")
    assert told in said
    assert r"No \*servers\*" in said
    assert "servers" not in texts(other.run())
    assert advice.verdict(need, (policy,)).verdict == "self-hosted"
    look_into(app, "policies")
    app.button(key="drop policy house.yaml").click().run()
    assert told not in texts(app)
    assert app.session_state[state.POLICIES] == ()


def test_what_came_into_force_or_went_is_seen_as_the_policies_stay_open(open_app: Open) -> None:
    app = open_app()
    upload(app, "policy_file", "house.yaml", NO_AWS, "application/yaml")
    assert app.session_state["policies"] is True
    assert r"Yours: **No \*servers\*** (house.yaml)" in texts(app)
    app.button(key="drop policy house.yaml").click().run()
    assert app.session_state["policies"] is True


def test_what_a_policy_warns_of_the_winner_stands_above_the_verdict(open_app: Open) -> None:
    warns = b"name: Board\nrules:\n- {id: ask, kind: warn, because: ask *us* first}\n"
    app = open_app()
    assert "ask" not in texts(app)
    upload(app, "policy_file", "board.yaml", warns, "application/yaml")
    assert ":orange[:material/warning: ask *us* first (policy: Board)]" in texts(app).replace(
        "\\", ""
    )


def test_a_bad_policy_is_said_and_nothing_changes(open_app: Open) -> None:
    app = open_app()
    upload(app, "policy_file", "bad.yaml", b"rules:\n- {id: a, kind: forbit, because: x}\n",
           "application/yaml")  # fmt: skip
    assert "did you mean forbid?" in texts(app)
    assert state.POLICIES not in app.session_state
    app.text_area(key="policy_text").set_value(NO_AWS.decode()).run()
    app.button(key="policy_put").click().run()
    assert not app.exception
    assert "The policy was not put in force" not in texts(app)
    assert [p.name for p in app.session_state[state.POLICIES]] == ["as written here"]


def test_the_server_s_own_policy_is_shown_as_in_force(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "board.yaml"
    path.write_bytes(NO_AWS)
    monkeypatch.setenv("ADVISOR_POLICIES", str(path))
    advice.CROWD.shutdown()  # its process was started without this setting, by the tests before
    said = texts(look_into(open_app(), "policies"))
    assert r"set by whoever runs this server: **No \*servers\***" in said
    assert "rules out" in said


def test_measured_traffic_is_shown_and_answers_the_questions_with_one_click(
    open_app: Open,
) -> None:
    app = upload(open_app(), "traffic_file", "week.csv", hourly(), "text/csv")
    said = texts(app)
    assert "Measured by week.csv" in said
    assert "2 weeks" in said
    app.button(key="use_traffic").click().run()
    assert not app.exception
    held = app.session_state[state.ANSWERS]
    assert held["traffic.requests_per_month"] == pytest.approx(2150 * 730)
    assert held["traffic.pattern"] == [1000.0 + 100 * (i % 24) for i in range(168)]
    assert "Measured by week.csv" not in texts(app)
    assert to_requirements(held).traffic.requests_per_month == pytest.approx(2150 * 730)


def test_the_open_popover_shows_what_came_of_the_file_and_closes_once_it_is_taken(
    open_app: Open,
) -> None:
    app = upload(open_app(), "traffic_file", "bad.csv", b"time,count\n", "text/csv")
    shown = app.main.get("popover")
    popover = next(p for p in shown if "From measured traffic" in str(p.proto))
    assert any("The file was not taken over" in e.value for e in popover.error)
    app.file_uploader(key="traffic_file").upload("week.csv", hourly(), "text/csv").run()
    app.button(key="use_traffic").click().run()
    assert app.session_state["popover traffic"] is False


def test_a_file_that_is_no_traffic_is_said_and_the_answers_are_kept(open_app: Open) -> None:
    app = open_app()
    before = dict(app.session_state[state.ANSWERS])
    upload(app, "traffic_file", "bad.csv", b"time,count\n2026-01-05T00:00:00Z,-4\n", "text/csv")
    said = texts(app)
    assert "The file was not taken over; your answers are as they were." in said
    assert "bad.csv, line 2: the count is -4" in said.replace("\\", "")
    assert dict(app.session_state[state.ANSWERS]) == before


def test_the_page_asks_how_counts_are_written_where_the_file_does_not_tell(open_app: Open) -> None:
    rows = "\n".join(
        f"{(MONDAY + timedelta(hours=i)):%d.%m.%Y %H:%M};1.2{i % 24:02}" for i in range(168)
    )
    app = upload(
        open_app(), "traffic_file", "woche.csv", f"Zeit;Anzahl\n{rows}".encode(), "text/csv"
    )
    said = texts(app).replace("\\", "")
    assert "whether the count '1.200' means 1200 or 1.2 cannot be told" in said
    app.selectbox(key="traffic_decimal").set_value("comma").run()
    assert not app.exception
    assert "A count written '1.200' is read as 1200." in texts(app).replace("\\", "")
    app.button(key="use_traffic").click().run()
    held = app.session_state[state.ANSWERS]
    assert held["traffic.requests_per_month"] == pytest.approx(1211.5 * 730)


def test_a_large_file_is_read_in_a_process_of_its_own_and_can_be_given_up(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [f"{int(MONDAY.timestamp()) + i // 2}" for i in range(600_000)]
    path.write_text("\n".join(lines))
    workers = Workers(1)
    try:
        job = workers.submit(
            traffic_job.read, str(path), "log", ReadOptions(), str(tmp_path / "percent")
        )
        verdicts = 0
        while not job.future.done():
            advice.verdict(to_requirements(starting_answers()))
            verdicts += 1
            time.sleep(0.02)
        assert job.future.result(60).rows == 600_000
        assert verdicts > 3  # this process went on meanwhile
        assert 0 < int((tmp_path / "percent").read_text()) <= 100
    finally:
        workers.shutdown()
