"""scikit-learn models, and the scikit-learn interfaces of XGBoost and LightGBM."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ModelError, RequestError
from .signature import Signature
from .values import Batch, Method, Output

# Their predict() is by definition the class of the highest probability, so one call gives both.
LABEL_FROM_PROBABILITY = frozenset(
    {"RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier",
     "ExtraTreeClassifier"}
)  # fmt: skip


class SklearnModel:
    """An estimator or pipeline with predict(), or else transform()."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self.signature = signature
        self._estimator = estimator
        if not hasattr(estimator, "predict") and not hasattr(estimator, "transform"):
            raise ModelError(
                f"a {type(estimator).__name__} has neither predict() nor transform(), so there is "
                "nothing to serve; save the fitted estimator itself"
            )
        _use_one_thread(estimator)
        self._classes = _class_list(estimator) if hasattr(estimator, "predict_proba") else None
        self._keys = [str(c) for c in self._classes.tolist()] if self._classes is not None else None
        self._one_call = type(_last(estimator)).__name__ in LABEL_FROM_PROBABILITY

    def predict(self, batch: Batch, method: Method) -> Output:
        rows = self._rows(batch)
        if self._classes is None:
            if method == "predict_proba":
                raise RequestError(
                    422, "no_probabilities", "this model gives no probabilities; leave out "
                    'parameters.method or use "predict"',
                )  # fmt: skip
            return Output(self._values(rows))
        if method == "predict":
            return Output(self._values(rows))
        probabilities = np.asarray(self._estimator.predict_proba(rows))
        if method == "predict_proba":
            return Output(None, probabilities)
        if self._one_call:
            labels = self._classes.take(probabilities.argmax(axis=1))
        else:
            labels = self._values(rows)
        return Output(labels, probabilities, self._keys)

    def _values(self, rows: Any) -> Any:
        if hasattr(self._estimator, "predict"):
            return np.asarray(self._estimator.predict(rows))
        out = self._estimator.transform(rows)
        return np.asarray(out.toarray() if hasattr(out, "toarray") else out)

    def _rows(self, batch: Batch) -> Any:
        if batch.kind != "columns":
            return batch.data
        import pandas as pd

        return pd.DataFrame(batch.data)


def _class_list(estimator: Any) -> Any:
    """The classes in the order of predict_proba's columns; None for several outputs at once."""
    classes = getattr(estimator, "classes_", None)
    if classes is None or isinstance(classes, list):
        return None
    return np.asarray(classes)


def _last(estimator: Any) -> Any:
    steps = getattr(estimator, "steps", None)
    return steps[-1][1] if steps else estimator


def _use_one_thread(estimator: Any) -> None:
    """n_jobs=-1 helps training and hurts serving: requests themselves run side by side."""
    if not hasattr(estimator, "get_params"):
        return
    params = estimator.get_params(deep=True)
    wide = {k: 1 for k, v in params.items() if k.split("__")[-1] == "n_jobs" and v not in (None, 1)}
    if wide:
        estimator.set_params(**wide)
