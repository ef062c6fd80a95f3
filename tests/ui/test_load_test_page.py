"""The load test at a deployment and the conversion at a model: started, followed, shown."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from streamlit.testing.v1 import AppTest

from advisor.errors import ArtifactError, DeployError
from deploy.conversion import Conversion, Gain, Money, Proof
from deploy.loadtest.found import Calibration, LoadTest, Point
from deploy.loadtest.predicted import Predicted
from ui import charts, guard
from ui.background import Background
from ui.components import conversion, load_test, model_file

LIMIT_S = 60


def measured(p95_ms: float = 95.0) -> LoadTest:
    point = Point(
        rate_per_s=12, sent_per_s=12, answered=100, refused=3, failed=1, not_sent=0,
        failures={"503": 1}, p50_ms=20, p95_ms=p95_ms, p99_ms=200, mean_ms=30,
        sender_late_ms=0.2, valid=True, stopped=False,
        predicted=Predicted(utilisation=0.5, p95_ms=100, low_ms=80, high_ms=130),
    )  # fmt: skip
    late = point.model_copy(update={"valid": False, "rate_per_s": 20, "sender_late_ms": 30.0})
    return LoadTest(
        endpoint="tiny", deployment="tiny", model_digest=None, tested_at=datetime.now(UTC),
        percentile=95, seconds=2, points=(point, late), curve=((6, 60), (12, 100)),
        calibration=Calibration(
            overhead_ms=0.5, service_ms=20, service_cv=0.1, busy_ratio=1.2, workers=2,
            workers_from="as the server says", batches=False, each_row_ms=None, calls=100,
        ),
        notes=("mind this",),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "refusal", lambda: None)
    load_test.tests.forget()
    conversion.conversions.forget()


def a_page() -> None:
    from types import SimpleNamespace

    from ui.components import load_test

    load_test._body(SimpleNamespace(name="tiny"))  # type: ignore[arg-type]


def opened() -> AppTest:
    app = AppTest.from_function(a_page, default_timeout=LIMIT_S).run()
    assert not app.exception
    return app


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


def until(ready: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_a_load_test_is_started_and_its_verdict_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def fake(name: str, **more: object) -> LoadTest:
        asked.update(more, name=name)
        return measured()

    monkeypatch.setattr(load_test, "load_test", fake)
    app = opened()
    app.text_input[0].set_value("40, 85%")
    button(app, "Load it").click().run()
    until(lambda: load_test.tests.of("tiny") is not None and load_test.tests.of("tiny").is_over)
    app.run()
    assert not app.exception
    assert (asked["name"], asked["utilisation"], asked["seconds"]) == ("tiny", [0.4, 0.85], 10.0)
    assert "Prediction held within 6 % up to 50% use." in app.success[0].value.replace("\\", "")
    table = app.dataframe[0].value
    assert table["Refused (429)"].tolist() == [3, 3]
    assert "does not count" in table["Remark"].tolist()[1]
    assert "mind this" in app.info[0].value


@pytest.mark.parametrize(
    ("use", "said"), [("fast", "the use is 'fast'"), ("500", "is not between 0 and 2")]
)
def test_a_wrong_use_is_said(use: str, said: str) -> None:
    app = opened()
    app.text_input[0].set_value(use)
    button(app, "Load it").click().run()
    assert said in app.error[0].value.replace("\\", "")
    assert load_test.tests.of("tiny") is None


def test_what_went_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_name: str, **_more: object) -> LoadTest:
        raise DeployError("the endpoint is gone")

    monkeypatch.setattr(load_test, "load_test", fails)
    app = opened()
    button(app, "Load it").click().run()
    until(lambda: load_test.tests.of("tiny").is_over)
    app.run()
    assert "the endpoint is gone" in app.error[0].value


def test_nobody_loads_where_others_reach_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "refusal", lambda: "Refused.")
    assert button(opened(), "Load it").disabled


def test_the_chart_has_the_line_the_interval_and_the_points() -> None:
    figure = charts.load_test(measured())
    assert [t.name for t in figure.data] == [
        "predicted p95", "interval of such a test", "measured p95", "does not count",
    ]  # fmt: skip
    assert list(figure.data[2].y) == [95.0]
    span = figure.data[1]
    assert (span.y[0] - span.error_y.arrayminus[0], span.y[0] + span.error_y.array[0]) == (80, 130)
    assert charts.load_test_said(measured()) == measured().verdict.sentence


def test_an_unexpected_end_is_logged_and_said(caplog: pytest.LogCaptureFixture) -> None:
    work: Background[int] = Background("trials")

    def breaks(_tell: object, _cancelled: object) -> int:
        raise ZeroDivisionError("odd")

    with caplog.at_level(logging.ERROR):
        now = work.start("a", breaks)
        until(lambda: now.is_over)
    assert now.error == "it ended unexpectedly; the app's log says why"
    assert "ZeroDivisionError: odd" in caplog.text
    assert work.start("b", lambda _t, _c: 3) is work.of("b")


def test_a_model_is_converted_and_the_file_offered(
    open_app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(_path: object, out: object, **more: object) -> Conversion:
        assert more["need"] is not None
        out.write_bytes(b"converted")  # type: ignore[attr-defined]
        return Conversion(
            source="a.joblib", source_digest="0" * 64, source_format="joblib", file=str(out),
            digest="1" * 64, size_mb=1,
            proof=Proof(rows=2000, rows_given=0, range_from="the splits of the trees",
                        kind="probability", worst=3e-7, typical=0, rows_beyond=0,
                        labels_differ=0, tolerance=1e-4),
            gain=Gain(one_before_ms=12, one_after_ms=0.02, batch_rows=64, batch_before_ms=16,
                      batch_after_ms=1.3),
            money=Money(option_before="a", option_after="a", before_usd=2, after_usd=1,
                        service_before_ms=12, service_after_ms=1, sentence="It saves $1 a month."),
        )  # fmt: skip

    monkeypatch.setattr(conversion, "convert", fake)
    app = open_app(page="measure")
    example = next(p.name for p in model_file.examples() if p.suffix == ".joblib")
    app.button(key=f"example {example}").click().run()
    app.button(key="convert").click().run()
    now = next(iter(conversion.conversions._all.values()))
    until(lambda: now.is_over)
    app.run()
    assert not app.exception
    assert "600 × as quick" in [m.value for m in app.metric]
    shown = "\n".join(m.value for m in app.markdown).replace("\\", "")
    assert "Both models agree on 2,000 random rows" in shown
    assert "It saves $1 a month." in shown
    said = app.session_state[conversion._SAID]  # goes into the decision record
    assert "was converted to ONNX here" in said
    assert said.endswith("It saves $1 a month.")


def test_a_conversion_that_fails_says_why(
    open_app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_given: object, **_more: object) -> Conversion:
        raise ArtifactError("there is no conversion for Birch")

    monkeypatch.setattr(conversion, "convert", fails)
    app = open_app(page="measure")
    example = next(p.name for p in model_file.examples() if p.suffix == ".joblib")
    app.button(key=f"example {example}").click().run()
    app.button(key="convert").click().run()
    now = next(iter(conversion.conversions._all.values()))
    until(lambda: now.is_over)
    app.run()
    assert "there is no conversion for Birch" in app.error[0].value
