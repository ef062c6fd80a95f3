"""The Measure page: a real model measured, its figures taken over, and what can go wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from advisor.errors import ArtifactError
from deploy import machine_speed
from deploy.measure import MeasureCancelledError
from ui import guard, measuring, state
from ui.components import measurement, model_file

Open = Callable[..., AppTest]
LIMIT_S = 120


@pytest.fixture(autouse=True)
def _nothing_measured_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is measured is timed for a shorter while: here the page is looked at."""
    measuring._all.clear()
    monkeypatch.setattr(measuring, "measure", partial(measuring.measure, seconds=1.0))


def chosen(open_app: Open) -> AppTest:
    app = open_app(page="measure")
    example = next(p.name for p in model_file.examples() if p.suffix == ".onnx")
    app.button(key=f"example {example}").click().run()
    assert not app.exception
    return app


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


def until(app: AppTest, ready: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < give_up_at
        time.sleep(0.2)
    app.run()
    assert not app.exception


def test_a_model_is_measured_and_its_figures_answer_the_questions(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = chosen(open_app)
    before = dict(app.session_state[state.ANSWERS])
    button(app, "Measure").click().run()
    now = next(reversed(measuring._all.values()))
    until(app, lambda: now.is_over)
    assert not app.error, [e.value for e in app.error]
    assert {"One request", "On an m5 vCPU", "Memory while serving", "Ready after"} <= {
        m.label for m in app.metric
    }
    button(app, "Use these figures for the advice").click().run()
    after = app.session_state[state.ANSWERS]
    assert now.found is not None
    assert after["model.memory_mb"] == pytest.approx(now.found.memory_mb, rel=0.01)
    assert after["model.service_time_ms"] != before["model.service_time_ms"]
    assert after["traffic.requests_per_month"] == before["traffic.requests_per_month"]
    # On another machine, which finds the same folder: it is said, and not passed for its own.
    measuring._all.clear()
    monkeypatch.setattr(machine_speed, "processor", lambda: "Some Other CPU 9")
    app = chosen(open_app)
    assert any(now.found.machine.cpu in i.value and "another machine" in i.value for i in app.info)
    assert "One request" not in {m.label for m in app.metric}


@pytest.mark.parametrize(
    "error",
    [ArtifactError("the model hangs; it was stopped"), MeasureCancelledError("it was stopped")],
)
def test_what_went_wrong_is_said(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(_model: Path, **_: object) -> None:
        raise error

    monkeypatch.setattr(measuring, "measure", fails)
    app = chosen(open_app)
    button(app, "Measure").click().run()
    now = next(reversed(measuring._all.values()))
    until(app, lambda: now.is_over)
    assert "it was stopped" in "\n".join(e.value for e in app.error)
    assert not [b for b in app.button if b.label.startswith("Use these figures")]


def test_who_stops_can_start_again_at_once_and_a_stop_is_no_error(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    begun: list[str] = []

    def slow(_model: Path, *, cancelled: Callable[[], bool], **_: object) -> None:
        begun.append("")
        while not cancelled():
            time.sleep(0.01)
        told.wait(LIMIT_S)  # what was stopped needs a while to end
        raise MeasureCancelledError("measuring was stopped; nothing is kept")

    monkeypatch.setattr(measuring, "measure", slow)
    app = chosen(open_app)
    button(app, "Measure").click().run()
    first = next(reversed(measuring._all.values()))
    button(app, "Stop").click().run()
    button(app, "Measure").click().run()
    second = next(reversed(measuring._all.values()))
    assert second is not first
    assert not second.stopped
    told.set()
    until(app, lambda: len(begun) == 2)
    button(app, "Stop").click().run()
    until(app, lambda: second.is_over)
    assert not app.error
    assert "measuring was stopped" in "\n".join(i.value for i in app.info)


def test_nobody_measures_where_others_reach_the_page(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "refusal", lambda: "Refused: somebody else could reach this.")
    app = open_app(page="measure")
    assert "Refused" in app.error[0].value
    assert not [b for b in app.button if b.label == "Measure"]


def test_what_nobody_expected_is_in_the_log_and_the_page_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(measuring, "measure", broken)
    now = measuring.Measuring("digest")
    measuring._run(now, tmp_path / "model.onnx", None, None)
    assert now.is_over
    assert "log says why" in str(now.error)
    assert "a fault of ours" in caplog.text
    assert "model.onnx" in caplog.text


def test_own_code_is_loaded_by_a_decision_that_goes_into_the_record(open_app: Open) -> None:
    """A class that a training script defined: refused, then decided on, measured, written down."""
    code = (
        b"from sklearn.base import BaseEstimator, RegressorMixin\n"
        b"class Step(RegressorMixin, BaseEstimator):\n"
        b"    n_features_in_ = 2\n"
        b"    def __sklearn_is_fitted__(self): return True\n"
        b"    def fit(self, rows, y=None): return self\n"
        b"    def predict(self, rows): return rows[:, 0]\n"
    )
    app = open_app(page="measure")
    model = b"ccopyreg\n_reconstructor\n(c__main__\nStep\ncbuiltins\nobject\nNtR."
    app.file_uploader(key="model_file").upload("own.pkl", model, None).run(timeout=LIMIT_S)
    assert "main\\_\\_.Step, which was defined in the training script" in app.error[0].value
    load = button(app, "Load it in confinement")
    assert load.disabled
    app.checkbox(key="own_code_sure").check().run()
    button(app, "Load it in confinement").click().run()
    assert "say in 10 to 500" in app.error[1].value
    app.file_uploader(key="own_code").upload("steps.py", code, None).run()
    app.text_input(key="own_code_by").input("Ada").run()
    app.text_area(key="own_code_reason").input("our own step, read by two").run()
    button(app, "Load it in confinement").click().run(timeout=LIMIT_S)
    assert not app.exception
    assert not app.error, [e.value for e in app.error]
    assert any("Ada accepted on" in m.value for m in app.markdown)
    assert any("**Accepted**" in m.value or ":orange[Accepted]" in m.value for m in app.markdown)
    artifact = app.session_state["_artifact"]
    assert artifact.accepted.names == [("__main__", "Step", "steps")]
    assert artifact.accepted.reason == "our own step, read by two"
    button(app, "Measure").click().run()
    now = measuring.of(artifact.digest)
    assert now is not None
    until(app, lambda: now.is_over)
    assert now.error is None
    assert now.found is not None
    assert now.found.accepted == artifact.accepted
    assert now.found.cold_start_s is None  # no server of it was started
    button(app, "Use these figures for the advice").click().run()
    assert app.session_state[measurement._MEASURED].accepted.by == "Ada"
