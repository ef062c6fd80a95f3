"""The models that every server gets, trained from the same numbers in each environment.

Each is a callable `rows (n, 30) -> probabilities (n, 2)`, loaded by name and folder. Runs in the
other servers' environments, so it imports nothing of this repository.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

FEATURES = 30
FILES = {"gb-onnx": "gb.onnx", "gb-sklearn": "gb.joblib", "forest-sklearn": "forest.joblib"}


def make(folder: Path) -> None:
    """Boosted trees (100 of depth 3) as joblib and ONNX, and a forest of 200 trees of depth 10."""
    import joblib
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.datasets import make_classification
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    rows, labels = make_classification(2000, FEATURES, n_informative=12, random_state=0)
    boosted = GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=0)
    forest = RandomForestClassifier(200, max_depth=10, random_state=0)
    joblib.dump(boosted.fit(rows, labels), folder / FILES["gb-sklearn"])
    joblib.dump(forest.fit(rows, labels), folder / FILES["forest-sklearn"])
    graph = to_onnx(boosted, rows[:1].astype(np.float32), options={"zipmap": False})
    (folder / FILES["gb-onnx"]).write_bytes(graph.SerializeToString())


def load(name: str, folder: Path) -> Callable[[Any], Any]:
    """The model's bare call, with one thread, as each server's app makes it."""
    import numpy as np

    path = folder / FILES[name]
    if path.suffix == ".onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0].name
        return lambda rows: session.run(None, {entry: np.asarray(rows, dtype=np.float32)})[1]
    import joblib

    model = joblib.load(path)
    return lambda rows: model.predict_proba(np.asarray(rows, dtype=np.float64))
