"""Conversion to ONNX: real models of each library, proven against the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from advisor.errors import ArtifactError, InputError
from advisor.recommend import recommend
from advisor.requirements import parse
from deploy import convert as converting
from deploy.artifact import inspect
from deploy.cli import main
from deploy.conversion import Proof, money, proof_sentence
from deploy.convert import ConversionRefusedError, convert, refuse_unproven

ROWS = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
LABELS = (ROWS.sum(axis=1) > 0).astype(int)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    held = converting.converting().model_copy(update={"seconds": 0.05, "rows": 500})
    monkeypatch.setattr(converting, "converting", lambda: held)


def forest(path: Path) -> Path:
    import joblib
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = np.array(["no", "yes"])[LABELS]
    model = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0))
    joblib.dump(model.fit(ROWS, names), path / "forest.joblib")
    return path / "forest.joblib"


def xgboost_model(path: Path) -> Path:
    import xgboost

    booster = xgboost.train(
        {"objective": "binary:logistic"}, xgboost.DMatrix(ROWS, label=LABELS), 10
    )
    booster.save_model(path / "model.ubj")
    return path / "model.ubj"


def lightgbm_model(path: Path) -> Path:
    import lightgbm

    booster = lightgbm.train(
        {"objective": "regression", "verbose": -1, "min_data_in_leaf": 2},
        lightgbm.Dataset(ROWS, label=ROWS.sum(axis=1)), 10,
    )  # fmt: skip
    booster.save_model(path / "model.lgb.txt")
    return path / "model.lgb.txt"


def table_model(path: Path) -> Path:
    """Columns by name, one of them text."""
    import joblib
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pd.DataFrame({"age": ROWS[:, 0], "income": ROWS[:, 1]})
    table["city"] = np.where(ROWS[:, 2] > 0, "Rome", "Oslo")
    parts = ColumnTransformer(
        [("numbers", StandardScaler(), ["age", "income"]),
         ("words", OneHotEncoder(handle_unknown="ignore"), ["city"])]
    )  # fmt: skip
    model = make_pipeline(parts, LogisticRegression()).fit(table, LABELS)
    joblib.dump(model, path / "table.joblib")
    return path / "table.joblib"


@pytest.mark.parametrize(
    "make",
    [
        forest,
        pytest.param(xgboost_model, marks=pytest.mark.slow),
        pytest.param(lightgbm_model, marks=pytest.mark.slow),
        pytest.param(table_model, marks=pytest.mark.slow),
    ],
)
def test_a_converted_model_answers_like_the_original(make, tmp_path: Path) -> None:
    import onnxruntime

    found = convert(make(tmp_path), tmp_path / "out.onnx")
    assert found.proof.rows == 500
    assert found.proof.labels_differ == 0
    assert 0 <= found.proof.worst < 1e-4
    assert found.gain.one_before_ms > 0
    assert found.gain.one > 1.5
    looked = inspect(tmp_path / "out.onnx")
    assert looked.digest == found.digest
    assert looked.format == "onnx"
    if make is forest:
        import joblib

        model = joblib.load(tmp_path / "forest.joblib")
        session = onnxruntime.InferenceSession(str(tmp_path / "out.onnx"))
        labels, scores = session.run(None, {"X": ROWS})
        assert labels.tolist() == model.predict(ROWS).tolist()
        assert scores == pytest.approx(model.predict_proba(ROWS), abs=1e-5)
        assert looked.signature is not None
        assert looked.signature.classes == ["no", "yes"]
        assert found.gain.one > 5


@pytest.mark.slow
def test_the_sample_is_compared_too_and_the_command_says_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("1,2,3,4\n-1,-2,-3,-4\n")
    out = tmp_path / "out.onnx"
    assert main(["convert", str(forest(tmp_path)), "--out", str(out), "--sample", str(rows)]) == 0
    said = capsys.readouterr().out
    assert "2 of yours and 500 random rows" in said
    assert "the scaler's mean and deviation" in said
    assert "times as quick" in said
    assert main(["convert", str(tmp_path / "forest.joblib"), "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err


def proof(**more: object) -> Proof:
    fields: dict[str, object] = {
        "rows": 2000, "rows_given": 0, "range_from": "the splits of the trees", "typical": 0.0,
        "kind": "probability", "worst": 1e-6, "rows_beyond": 0, "labels_differ": 0,
        "tolerance": 1e-4,
    }  # fmt: skip
    return Proof.model_validate(fields | more)


def test_what_disagrees_is_refused() -> None:
    refuse_unproven("m", proof())
    refuse_unproven("m", proof(rows_beyond=2, worst=0.05))  # rows at a split
    with pytest.raises(
        ConversionRefusedError, match=r"3 of 2,000 answers differ by more than 0\.0001"
    ):
        refuse_unproven("m", proof(rows_beyond=3, worst=0.05))
    with pytest.raises(ConversionRefusedError, match="another label for 1 of 2,000"):
        refuse_unproven("m", proof(labels_differ=1))
    assert "none is further apart" in proof_sentence(proof())


def test_a_conversion_that_disagrees_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = converting._confined

    def worse(*arguments: object) -> dict[str, object]:
        return asked(*arguments) | {"rows_beyond": 400}  # type: ignore[arg-type]

    monkeypatch.setattr(converting, "_confined", worse)
    with pytest.raises(ConversionRefusedError):
        convert(forest(tmp_path), tmp_path / "out.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["forest.joblib"]


def test_what_has_no_conversion_is_said(tmp_path: Path, onnx_model: Path) -> None:
    import joblib
    from sklearn.cluster import Birch
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    with pytest.raises(ArtifactError, match="is onnx; scikit-learn"):
        convert(onnx_model, tmp_path / "out.onnx")
    joblib.dump(Birch(n_clusters=2).fit(ROWS), tmp_path / "birch.joblib")
    with pytest.raises(ArtifactError, match="Birch"):
        convert(tmp_path / "birch.joblib", tmp_path / "out.onnx")
    texts = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
        ["red car", "blue boat"], [0, 1]
    )
    joblib.dump(texts, tmp_path / "texts.joblib")
    with pytest.raises(ArtifactError, match="takes texts"):
        convert(tmp_path / "texts.joblib", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [("model.bin", "does not end in .onnx"), ("nowhere/model.onnx", "there is no folder")],
)
def test_a_wrong_place_for_the_result_is_said(tmp_path: Path, out: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert(tmp_path / "x.joblib", tmp_path / out)


def test_a_missing_converter_says_what_to_install() -> None:
    said = converting._missing("m.ubj", "No module named 'onnxmltools'")
    assert "needs onnxmltools" in said
    assert "pip install 'model-deployment-advisor[convert]'" in said


@pytest.mark.parametrize("phase", ["Looking whether", "Converting", "Looking at the converted"])
def test_stopped_in_any_phase_it_leaves_nothing_and_says_so(phase: str, tmp_path: Path) -> None:
    told: list[str] = []
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(
        ArtifactError, match=r"converting forest\.joblib was stopped; nothing is kept"
    ):
        convert(
            forest(tmp_path), out / "model.onnx", progress=lambda what, _share: told.append(what),
            cancelled=lambda: told[-1].startswith(phase),
        )  # fmt: skip
    assert told[-1].startswith(phase)
    assert list(out.iterdir()) == []


def test_the_money_is_the_difference_of_two_bills() -> None:
    def answer(service_ms: float):
        need = parse(
            {
                "model": {"format": "joblib", "size_mb": 60, "memory_mb": 400,
                          "service_time_ms": service_ms},
                "traffic": {"mode": "realtime", "requests_per_month": 400_000_000},
                "service": {"p95_ms": 300},
            }
        )  # fmt: skip
        return recommend(need, doubt=False)

    slow, quick = answer(25), answer(1.1)
    found = money(slow, quick, 25, 1.1)
    assert found.saved_usd is not None
    assert found.saved_usd == pytest.approx(
        slow.ranking[0].monthly_usd.expected - quick.ranking[0].monthly_usd.expected
    )
    assert found.saved_usd > 20
    assert f"saves ${found.saved_usd:,.0f} a month" in found.sentence
    assert "1.1 ms instead of 25 ms" in found.sentence
    assert "The bill stays as it is" in money(quick, quick, 1.1, 1.0).sentence
