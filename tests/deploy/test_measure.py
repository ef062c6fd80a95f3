"""Measuring a model: real files, timed in the confined process, and the real server started."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import ArtifactError, InputError
from advisor.requirements import parse
from advisor.sizing.performance_data import cpu_scores
from deploy import machine_speed
from deploy.cli import main
from deploy.measure import MeasureCancelledError, known, measure
from deploy.measurement import Measurement, spread, text


@pytest.fixture(scope="module")
def measured(onnx_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADVISOR_HOME", str(tmp_path_factory.mktemp("home")))
        found = measure(onnx_model, seconds=1.0)
        assert known(found.digest) == found
        assert known("0" * 64) is None
    return found


def test_a_model_is_measured_whole(measured: Measurement, onnx_model: Path) -> None:
    assert measured.format == "onnx"
    assert measured.size_mb == pytest.approx(onnx_model.stat().st_size / 1e6)
    # A request is read and written besides being predicted.
    assert measured.request.p50_ms > measured.model_call.p50_ms > 0
    assert [b.rows for b in measured.batches] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert measured.batches[0].gain == pytest.approx(1.0)
    assert measured.best_batch is not None
    assert measured.best_batch.gain > 2  # one matrix product for all rows
    assert measured.cold_start_s is not None
    assert 0.1 < measured.cold_start_s < 60
    # One server, not the copies of it that a quick model gets on several processors.
    assert 20 < measured.memory_mb < 120
    # Reading and writing HTTP: some hundredths of a millisecond to some tenths, for any model.
    assert measured.http_ms is not None
    assert 0.01 < measured.http_ms < 2
    # The base image and what every server needs, more than the model.
    assert 150 < measured.image_mb < 1_000
    assert measured.notes == ()


def test_the_answers_fill_the_questionnaire(measured: Measurement) -> None:
    need = parse(
        {
            "model": {"format": "joblib", "size_mb": 9, "memory_mb": 9, "service_time_ms": 5},
            "traffic": {"mode": "realtime", "requests_per_month": 1000},
            "service": {"p95_ms": 80},
        }
    )
    filled = measured.into(need)
    assert filled.model.format.value == "onnx"
    assert measured.http_ms is not None
    assert filled.model.service_time_ms == pytest.approx(
        (measured.processor.mean_ms + measured.http_ms) * measured.machine.relative.expected,
        rel=0.01,
    )
    assert filled.model.memory_mb == pytest.approx(measured.memory_mb, rel=0.01)
    assert filled.service == need.service
    assert filled.traffic == need.traffic


def test_http_varies_nothing_and_is_no_part_of_the_model(measured: Measurement) -> None:
    timed = measured.processor.model_copy(update={"mean_ms": 0.2, "cv": 0.5})
    quick = measured.model_copy(update={"processor": timed, "http_ms": 0.05})
    assert (quick.served_ms, quick.service_cv) == pytest.approx((0.25, 0.4))
    unknown = quick.model_copy(update={"http_ms": None})
    assert (unknown.served_ms, unknown.service_cv) == pytest.approx((0.2, 0.5))


def test_a_request_that_a_worker_answers_takes_the_loops_time_besides_the_models(
    measured: Measurement,
) -> None:
    timed = measured.processor.model_copy(update={"mean_ms": 5.0})
    told = {"model_processor": timed, "loop_ms": 0.5, "http_ms": 0.1}
    handed = measured.model_copy(update=told)
    assert handed.served_ms == pytest.approx(5.5)
    assert "hands over" in text(handed)
    # One on the loop has none, and its reading and writing is told by empty requests.
    assert measured.loop_ms is None
    assert "hands over" not in text(measured)


def test_the_time_is_translated_with_its_doubt(measured: Measurement) -> None:
    time = measured.service_time_ms
    assert time.low < time.expected < time.high
    assert time.high / time.low >= 1.2**2 - 1e-9


def test_the_yardstick_on_the_machine_it_was_made_on_gives_its_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine_speed, "processor", lambda: "Some Processor")
    held = machine_speed.measuring().yardstick
    anchor = cpu_scores().families[held.cloud][held.family].alone
    same = machine_speed.machine_speed(held.seconds).relative
    assert same.expected == pytest.approx(anchor)
    twice = machine_speed.machine_speed({n: s / 2 for n, s in held.seconds.items()}).relative
    assert twice.expected == pytest.approx(2 * anchor)
    # One slow piece widens the doubt downwards.
    uneven = dict(held.seconds) | {"gather": held.seconds["gather"] * 3}
    assert machine_speed.machine_speed(uneven).relative.low == pytest.approx(anchor / 3)


def test_a_known_processor_needs_no_yardstick(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"
    monkeypatch.setattr(machine_speed, "processor", lambda: name)
    found = machine_speed.machine_speed({"gather": 1.0})
    assert found.relative.expected == cpu_scores().families["aws"]["m5"].alone == 1.0
    assert "AWS m5" in found.basis


@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=300))
def test_percentiles_are_those_of_numpy(times: list[float]) -> None:
    found = spread(times)
    assert found.p50_ms == pytest.approx(np.percentile(times, 50))
    assert found.p95_ms == pytest.approx(np.percentile(times, 95))
    assert found.p99_ms == pytest.approx(np.percentile(times, 99))
    assert found.cv >= 0


def test_one_interruption_in_a_hundred_calls_does_not_count() -> None:
    assert spread([1.0] * 99 + [500.0]).cv == 0


def test_a_sample_gives_the_rows(advisor_home: Path, onnx_model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("1,2,3,4\n5,6,7,8\n9,10,11,12\n")
    assert "rows.csv, 3 rows" in measure(onnx_model, sample=rows, seconds=0.5).rows_from


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.json", '{"instances": [[1, 2]]}', "row 0 has 2 features"),
        ("rows.json", "{", "the JSON is malformed"),
        ("rows.txt", "1,2,3,4", "is no .json, .csv"),
        ("rows.csv", "a,b,c,d\n", "CSV row 0"),
    ],
)
def test_a_wrong_sample_is_said(
    advisor_home: Path, onnx_model: Path, tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises((ArtifactError, InputError), match=said):
        measure(onnx_model, sample=path, seconds=0.5)


def test_a_missing_sample_is_said(advisor_home: Path, onnx_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        measure(onnx_model, sample=tmp_path / "nothing.csv", seconds=0.5)


def test_measuring_can_be_stopped(advisor_home: Path, onnx_model: Path) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(MeasureCancelledError):
        measure(onnx_model, seconds=30, cancelled=cancelled)
    assert not (advisor_home / "measurements").exists()


def test_the_terminal_measures_and_fills_in(
    advisor_home: Path, onnx_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need, out = tmp_path / "need.yaml", tmp_path / "filled.yaml"
    need.write_text(
        "model: {format: onnx, size_mb: 1, memory_mb: 1, service_time_ms: 9}\n"
        "traffic: {mode: realtime, requests_per_month: 5}\n"
    )
    code = main(
        ["measure", str(onnx_model), "--seconds", "0.5", "--format", "json",
         "--requirements", str(need), "--out", str(out)]
    )  # fmt: skip
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["service_time_ms"]["expected"] > 0
    assert "service_time_ms" in out.read_text()
    assert "service_time_ms: 9\n" not in out.read_text()


def test_the_terminal_refuses_what_makes_no_sense(
    onnx_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(onnx_model), "--seconds", "0"]) == 2
    assert main(["measure", str(onnx_model), "--out", "x.yaml"]) == 2
    assert main(["measure", str(onnx_model.with_name("nothing.onnx"))]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3


@pytest.mark.slow
def test_measuring_can_be_stopped_while_the_server_starts(
    advisor_home: Path, onnx_model: Path
) -> None:
    told: list[str] = []
    with pytest.raises(MeasureCancelledError):
        measure(
            onnx_model,
            seconds=0.5,
            progress=lambda what, _share: told.append(what),
            cancelled=lambda: "Starting the whole server" in told,
        )
    assert told[-1] == "Starting the whole server"
    assert not (advisor_home / "measurements").exists()
