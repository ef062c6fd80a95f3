"""Makes the example models: a breast-cancer classifier as .joblib and as .onnx, and a request.

    python examples/make_examples.py [FOLDER]

The data (569 tumours, 30 measurements, public domain) comes with scikit-learn. The result is the
same on every run with the same library versions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
NAME = "breast_cancer"


def main(folder: Path = HERE) -> list[Path]:
    """Train, save, and print what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    model, rows, auc = train()
    written = [
        save_joblib(model, folder / f"{NAME}.joblib"),
        save_onnx(model, folder / f"{NAME}.onnx"),
        save_request(rows, folder / f"{NAME}_request.json"),
    ]
    print(f"Trained on 455 of 569 tumours; area under the ROC curve on the others: {auc:.4f}")
    for path in written:
        print(f"Wrote {path} ({path.stat().st_size:,} bytes)")
    return written


def train() -> tuple[Pipeline, np.ndarray, float]:
    """(the fitted pipeline, two rows to ask about, its AUC on rows it did not see)."""
    data = load_breast_cancer(as_frame=True)
    train_x, test_x, train_y, test_y = train_test_split(
        data.data, data.target_names[data.target], test_size=0.2, random_state=0
    )
    # Kept in single precision: then the ONNX model, which takes floats, agrees to the last tree.
    model = make_pipeline(
        StandardScaler(), GradientBoostingClassifier(n_estimators=60, max_depth=2, random_state=0)
    )
    model.fit(train_x.astype(np.float32), train_y)
    scores = model.predict_proba(test_x.astype(np.float32))[:, 1]
    auc = float(roc_auc_score(test_y == model.classes_[1], scores))
    return model, test_x.to_numpy()[:2], auc


def save_joblib(model: Pipeline, path: Path) -> Path:
    joblib.dump(model, path, compress=3)
    return path


def save_onnx(model: Pipeline, path: Path) -> Path:
    """With plain probability columns (no ZipMap): faster, and the same answers."""
    kinds = [("features", FloatTensorType([None, model.n_features_in_]))]
    exported = to_onnx(
        model, initial_types=kinds, options={id(model): {"zipmap": False}}, target_opset=17
    )
    # The converter keeps its operator sets in a Python set, so their order changes from run to run.
    operator_sets = sorted(exported.opset_import, key=lambda wanted: wanted.domain)
    del exported.opset_import[:]
    exported.opset_import.extend(operator_sets)
    path.write_bytes(exported.SerializeToString(deterministic=True))
    return path


def save_request(rows: np.ndarray, path: Path) -> Path:
    path.write_text(json.dumps({"instances": rows.tolist()}, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
