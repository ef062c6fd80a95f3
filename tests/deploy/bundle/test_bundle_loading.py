"""The allow-list loader and the signatures, in this process: honest models come back whole."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xgboost
from model_check import describe, describe_files
from model_server import boosters, loaders, safe_pickle, structure
from model_server.errors import ModelError, RefusedModelError
from model_server.payload import Decoder
from model_server.signature import Signature
from model_server.sklearn_model import SklearnModel
from sklearn import (
    cluster,
    compose,
    decomposition,
    ensemble,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    model_selection,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)  # fmt: skip
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer

X, Y = make_classification(60, 6, random_state=0)
MODELS: dict[str, Any] = {
    "logistic regression": linear_model.LogisticRegression(),
    "sgd": linear_model.SGDClassifier(loss="log_loss", random_state=0),
    "decision tree": tree.DecisionTreeClassifier(random_state=0),
    "random forest": ensemble.RandomForestClassifier(4, random_state=0),
    "gradient boosting": ensemble.GradientBoostingClassifier(n_estimators=4, random_state=0),
    "hist gradient boosting": ensemble.HistGradientBoostingClassifier(max_iter=4),
    "isolation forest": ensemble.IsolationForest(n_estimators=4, random_state=0),
    "bagging": ensemble.BaggingClassifier(n_estimators=3, max_features=3, random_state=0),
    "svc": svm.SVC(probability=False),
    "k neighbours": neighbors.KNeighborsClassifier(algorithm="kd_tree"),
    "ball tree": neighbors.KNeighborsClassifier(algorithm="ball_tree"),
    "naive bayes": naive_bayes.GaussianNB(),
    "neural network": neural_network.MLPClassifier((4,), max_iter=5, random_state=0),
    "gaussian process": gaussian_process.GaussianProcessClassifier(random_state=0),
    "k-means": cluster.KMeans(3, n_init=1, random_state=0),
    "grid search": model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1, 2]}, cv=2),
    "pipeline": pipeline.make_pipeline(
        impute.SimpleImputer(), preprocessing.StandardScaler(), decomposition.PCA(3),
        feature_selection.SelectKBest(feature_selection.f_classif, k=2),
        preprocessing.FunctionTransformer(np.exp), linear_model.LogisticRegression(),
    ),
    "splines": pipeline.make_pipeline(preprocessing.SplineTransformer(), linear_model.Ridge()),
    "columns": pipeline.make_pipeline(
        compose.ColumnTransformer([("s", preprocessing.StandardScaler(), [0, 1])]),
        linear_model.LogisticRegression(),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["joblib", "zlib", "pickle 2", "pickle 5"])
@pytest.mark.parametrize("name", MODELS)
def test_an_honest_model_comes_back_whole(name: str, how: str, tmp_path: Path) -> None:
    model = MODELS[name]
    if not hasattr(model, "n_features_in_"):
        model.fit(X, Y)
    path = tmp_path / "model"
    if how in ("joblib", "zlib"):
        joblib.dump(model, path, compress=3 if how == "zlib" else 0)
    else:
        path.write_bytes(pickle.dumps(model, int(how[-1])))
    assert safe_pickle.refused_of(safe_pickle.trace(path)) == []
    found = loaders.load_object("pickle", path)
    np.testing.assert_array_equal(found.predict(X), model.predict(X))


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.array([["a", None], [1, 2.5]], dtype=object),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.array([(1, 2.0)], dtype=[("a", ">i4"), ("b", "f8")]),
        np.array(["text", "longer"]),
        np.zeros((0, 3)),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.float32(3.5),
        np.random.RandomState(3),
        np.random.default_rng(3),
        {"a": (1, [2.0], {3}, b"x", frozenset({4}), 1 + 2j, None, slice(1, 2), range(3))},
    ],
    ids=str,
)
@pytest.mark.parametrize("protocol", ["joblib", 0, 2, 4, 5])
def test_data_comes_back_equal(value: Any, protocol: Any, tmp_path: Path) -> None:
    path = tmp_path / "value"
    if protocol == "joblib":
        joblib.dump(value, path)
    else:
        path.write_bytes(pickle.dumps(value, protocol))
    found = safe_pickle.load(path)
    if isinstance(value, np.random.RandomState | np.random.Generator):
        assert found.uniform() == pickle.loads(pickle.dumps(value)).uniform()
    elif isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(np.asarray(found), np.asarray(value))
    else:
        assert found == value


def test_a_sparse_matrix_with_wild_indices_is_refused(tmp_path: Path) -> None:
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    matrix.indices[0] = 99
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(matrix))
    with pytest.raises(RefusedModelError, match="contradicts itself"):
        structure.check(safe_pickle.load(path))


def test_a_neighbour_tree_with_wild_indices_is_refused() -> None:
    model = neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(X, Y)
    structure.check(model)
    state = list(model._tree.__getstate__())
    place = next(i for i, part in enumerate(state) if isinstance(part, np.ndarray)
                 and part.dtype.kind == "i" and part.shape == (60,))  # fmt: skip
    state[place] = state[place] + 10_000
    model._tree.__setstate__(tuple(state))
    with pytest.raises(RefusedModelError, match="outside of its data"):
        structure.check(model)


def test_trace_imports_nothing_it_names() -> None:
    stream = io.BytesIO(b"cno_such_module_anywhere\nthing\n(tR.")
    assert safe_pickle.trace_stream(stream, Path("x")) == [("no_such_module_anywhere", "thing")]


def test_the_signature_of_trees_that_take_missing_values() -> None:
    found = describe.sklearn_signature(ensemble.HistGradientBoostingRegressor(max_iter=2).fit(X, Y))
    assert (found["task"], found["allows_missing"], found["n_features"]) == ("regressor", True, 6)
    rows = [[None, 1, 2, 3, 4, 5]]
    assert np.isnan(Decoder(Signature.of(found)).batch(rows).data[0, 0])


FRAME = pd.DataFrame({"age": [20.0, 40, 60, 80], "city": ["Rome", "Oslo", "Rome", "Bern"]})


def test_a_pipeline_that_picks_columns_by_name_is_served_with_a_frame() -> None:
    numbers = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore")
    model = pipeline.make_pipeline(
        compose.ColumnTransformer([("n", numbers, ["age"]), ("c", encoder, ["city"])]),
        linear_model.LogisticRegression(),
    ).fit(FRAME, [0, 1, 0, 1])
    found = describe.sklearn_signature(model)
    assert found["columns"] == [("age", "float64"), ("city", "str")]
    assert found["example"] == {"age": 50.0, "city": "Bern"}
    signature = Signature.of(found)
    served = SklearnModel(model, signature)
    rows = [{"city": "Oslo", "age": 33}, {"age": None, "city": "Rome"}]
    answer = served.predict(Decoder(signature).batch(rows), "predict_proba").as_json()
    frame = pd.DataFrame({"age": [33, np.nan], "city": ["Oslo", "Rome"]})
    np.testing.assert_allclose(answer, model.predict_proba(frame))
    listed = Decoder(signature).batch([[33, "Oslo"]])
    assert served.predict(listed, "predict").as_json() == model.predict(frame[:1]).tolist()


def test_a_text_model_is_served_with_texts() -> None:
    model = pipeline.make_pipeline(TfidfVectorizer(), linear_model.LogisticRegression())
    texts = ["good day", "bad day"]
    found = describe.sklearn_signature(model.fit(texts, [1, 0]))
    assert (found["input_dtype"], found.get("n_features")) == ("str", None)
    signature = Signature.of(found)
    request = Decoder(signature).decode(b'{"instances": ["good", "bad"]}', "application/json")
    served = SklearnModel(model, signature).predict(request.batch, "predict_proba")
    np.testing.assert_allclose(served.as_json(), model.predict_proba(["good", "bad"]))


def test_labels_and_probabilities_agree_with_the_library() -> None:
    for name in ("random forest", "pipeline", "svc", "gradient boosting"):
        model = MODELS[name].fit(X, np.where(Y == 1, "yes", "no"))
        signature = Signature.of(describe.sklearn_signature(model))
        rows = Decoder(signature).batch(X.tolist())
        served = SklearnModel(model, signature)
        found = served.predict(rows, "default").as_json()
        labels = [f["label"] if isinstance(f, dict) else f for f in found]
        assert labels == model.predict(X).tolist()
        if hasattr(model, "predict_proba"):
            given = [[f["probabilities"][c] for c in ("no", "yes")] for f in found]
            np.testing.assert_allclose(given, model.predict_proba(X))


def test_one_call_gives_label_and_probabilities_unless_two_classes_tie() -> None:
    """Labels follow from probabilities that came anyway; where they tie, predict() decides."""
    rows = np.vstack([X, -X])  # a symmetric set: the origin is a tie
    model = linear_model.LogisticRegression(fit_intercept=False).fit(
        rows, np.repeat(["no", "yes"], len(X))
    )
    signature = Signature.of(describe.sklearn_signature(model))
    served = SklearnModel(model, signature)
    calls: list[int] = []
    predict = model.predict
    model.predict = lambda rows: calls.append(len(rows)) or predict(rows)
    decoder = Decoder(signature)
    clear = served.predict(decoder.batch(X[:3].tolist()), "default").as_json()
    assert [p["label"] for p in clear] == predict(X[:3]).tolist()
    assert calls == []
    tied = served.predict(decoder.batch([[0.0] * 6, X[0].tolist()]), "default").as_json()
    assert calls == [2]
    assert [p["label"] for p in tied] == predict(np.vstack([np.zeros(6), X[0]])).tolist()


@pytest.mark.parametrize("classes", [2, 3])
def test_the_models_asked_once_give_their_own_labels(classes: int) -> None:
    rows, labels = make_classification(
        300, 6, n_informative=4, n_classes=classes, random_state=classes
    )
    for model in (
        ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0),
        ensemble.HistGradientBoostingClassifier(max_iter=10, random_state=0),
        linear_model.LogisticRegression(),
        xgboost.XGBClassifier(n_estimators=5, max_depth=2),
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
    ):
        model.fit(rows, labels)
        signature = Signature.of(describe.sklearn_signature(model))
        served = SklearnModel(model, signature).predict(
            Decoder(signature).batch(rows.tolist()), "default"
        )
        assert [p["label"] for p in served.as_json()] == model.predict(rows).tolist()


def test_serving_takes_parallel_jobs_out_of_a_model() -> None:
    model = ensemble.RandomForestClassifier(3, n_jobs=-1, random_state=0).fit(X, Y)
    SklearnModel(model, Signature.of(describe.sklearn_signature(model)))
    assert model.n_jobs == 1


def test_xgboost_and_lightgbm_wrappers_come_back_from_pickles(tmp_path: Path) -> None:
    for model in (
        xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(X, Y),
        lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, Y),
    ):
        path = tmp_path / "wrapped.joblib"
        joblib.dump(model, path)
        found = loaders.load_object("joblib", path)
        np.testing.assert_array_equal(found.predict(X), model.predict(X))
        assert describe.sklearn_signature(found)["classes"] == [0, 1]


def test_boosters_of_their_own_format_agree_with_their_library(tmp_path: Path) -> None:
    labels = np.digitize(X[:, 0], [-0.5, 0.5])
    forest = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(X, labels)
    forest.save_model(tmp_path / "m.ubj")
    light = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, labels)
    light.booster_.save_model(tmp_path / "m.txt")
    for form, path, own, found in (
        ("xgboost", tmp_path / "m.ubj", forest,
         describe_files.xgboost_signature((tmp_path / "m.ubj").read_bytes())),
        ("lightgbm", tmp_path / "m.txt", light,
         describe_files.lightgbm_signature((tmp_path / "m.txt").read_text())),
    ):  # fmt: skip
        assert found["classes"] == [0, 1, 2]
        signature = Signature.of(found)
        model = loaders.load(form, path, signature)
        rows = Decoder(signature).batch(X.tolist())
        scores = model.predict(rows, "predict_proba").as_json()
        np.testing.assert_allclose(scores, own.predict_proba(X), rtol=1e-5)
        assert model.predict(rows, "predict").as_json() == own.predict(X).tolist()


def test_ubjson_lengths_are_believed_only_as_far_as_bytes_follow(tmp_path: Path) -> None:
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, Y), 3)
    booster.save_model(tmp_path / "m.ubj")
    data = (tmp_path / "m.ubj").read_bytes()
    assert int(boosters.check_xgboost(data)["learner"]["learner_model_param"]["num_feature"]) == 6
    for cut in range(1, len(data), max(len(data) // 40, 1)):
        with pytest.raises(ModelError):
            boosters.check_xgboost(data[:cut])
