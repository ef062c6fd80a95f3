"""Trains small models with the libraries of the environment that runs it.

    python train.py FOLDER

Writes each model and `expected.json`: {file: {"rows", "labels" or "values", "probabilities"}}.
Imports nothing of the repository.
"""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from sklearn import (
    compose,
    ensemble,
    impute,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.datasets import make_classification

X, Y = make_classification(120, 6, n_informative=4, random_state=0)
NAMES = np.where(Y == 1, "yes", "no")


def models() -> dict[str, Any]:
    one_hot = preprocessing.OneHotEncoder(handle_unknown="ignore")
    return {
        "logistic": linear_model.LogisticRegression(),
        "ridge": linear_model.Ridge(),
        "tree": tree.DecisionTreeClassifier(max_depth=3, random_state=0),
        "forest": ensemble.RandomForestClassifier(5, max_depth=4, random_state=0),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
        "histogram": ensemble.HistGradientBoostingClassifier(max_iter=5),
        "svc": svm.SVC(),
        "neighbours": neighbors.KNeighborsClassifier(algorithm="kd_tree"),
        "bayes": naive_bayes.GaussianNB(),
        "network": neural_network.MLPClassifier((5,), max_iter=40, random_state=0),
        "pipeline": pipeline.make_pipeline(
            impute.SimpleImputer(), preprocessing.StandardScaler(),
            linear_model.LogisticRegression(),
        ),
        "columns": pipeline.make_pipeline(
            compose.ColumnTransformer(
                [("n", preprocessing.StandardScaler(), [0, 1, 2]), ("c", one_hot, [3])],
                sparse_threshold=0,
            ),
            linear_model.LogisticRegression(),
        ),
    }  # fmt: skip


def main(folder: Path) -> None:
    expected: dict[str, Any] = {"libraries": {"scikit-learn": sklearn.__version__}}
    for name, model in models().items():
        model.fit(X, Y if name == "ridge" else NAMES)
        joblib.dump(model, folder / f"{name}.joblib")
        expected[f"{name}.joblib"] = told(model)
    forest = models()["forest"].fit(X, NAMES)
    (folder / "forest.pkl").write_bytes(pickle.dumps(forest, 4))
    expected["forest.pkl"] = told(forest)
    if installed("skops"):
        import skops.io

        skops.io.dump(forest, folder / "forest.skops")
        expected["forest.skops"] = told(forest)
    for package in ("xgboost", "xgboost-cpu"):
        if installed(package):
            boost(folder, expected)
            expected["libraries"]["xgboost"] = importlib.metadata.version(package)
    if installed("lightgbm"):
        light(folder, expected)
        expected["libraries"]["lightgbm"] = importlib.metadata.version("lightgbm")
    if installed("skl2onnx"):
        graphs(folder, expected)
    (folder / "expected.json").write_text(json.dumps(expected))


def boost(folder: Path, expected: dict[str, Any]) -> None:
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(X, Y)
    for ending in ("ubj", "json"):
        model.save_model(folder / f"xgboost.{ending}")
        expected[f"xgboost.{ending}"] = told(model)


def light(folder: Path, expected: dict[str, Any]) -> None:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X, Y)
    model.booster_.save_model(folder / "lightgbm.txt")
    expected["lightgbm.txt"] = told(model)


def graphs(folder: Path, expected: dict[str, Any]) -> None:
    """The same forest in ONNX opsets from 9 on."""
    from skl2onnx import to_onnx

    rows = X.astype(np.float32)
    forest = models()["forest"].fit(rows, NAMES)
    for opset in (9, 12, 15, 18, 21):
        graph = to_onnx(forest, rows[:1], target_opset={"": opset, "ai.onnx.ml": 1 if opset < 15 else 3},
                        options={"zipmap": False})  # fmt: skip
        (folder / f"opset-{opset}.onnx").write_bytes(graph.SerializeToString())
        expected[f"opset-{opset}.onnx"] = told(forest, rows)


def told(model: Any, rows: Any = X) -> dict[str, Any]:
    found = {"rows": rows[:20].tolist(), "values": model.predict(rows[:20]).tolist()}
    if hasattr(model, "predict_proba"):
        found["probabilities"] = model.predict_proba(rows[:20]).tolist()
    return found


def installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
