"""Saves the model as MLflow wants it.   python app_mlflow.py MODEL FOLDER INTO"""

from __future__ import annotations

import sys
from pathlib import Path

import models

name, folder, into = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
path = folder / models.FILES[name]
if path.suffix == ".onnx":
    import mlflow.onnx
    import onnx

    mlflow.onnx.save_model(onnx.load(path), into, pip_requirements=[])
else:
    import joblib
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        joblib.load(path), into, serialization_format="cloudpickle", pip_requirements=[],
        pyfunc_predict_fn="predict_proba",
    )  # fmt: skip
