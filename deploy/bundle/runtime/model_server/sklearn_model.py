"""scikit-learn models, and the scikit-learn interfaces of XGBoost and LightGBM."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import boosted, forests
from .errors import ModelError, RequestError
from .signature import Signature
from .values import Batch, Method, Output

# Their predict() is by definition the class of the highest probability, so one call gives both.
LABEL_FROM_PROBABILITY = frozenset(
    {"RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier",
     "ExtraTreeClassifier", "LGBMClassifier"}
)  # fmt: skip
# Theirs is the class of the highest score, of which the probability is a growing function: the
# same class unless rounding has made two probabilities equal, and then predict() is asked.
LABEL_FROM_SCORE = frozenset(
    {"GradientBoostingClassifier", "HistGradientBoostingClassifier", "LogisticRegression",
     "LogisticRegressionCV", "XGBClassifier"}
)  # fmt: skip
TIE = 1e-6


class SklearnModel:
    """An estimator or pipeline with predict(), or else transform()."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self.signature = signature
        # The decoder checked the names; scikit-learn would warn about their absence on each call.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        if not hasattr(estimator, "predict") and not hasattr(estimator, "transform"):
            raise ModelError(
                f"a {type(estimator).__name__} has neither predict() nor transform(), so there is "
                "nothing to serve; save the fitted estimator itself"
            )
        _use_one_thread(estimator)
        self._before, self._final = _split(estimator)
        self._classes = _class_list(estimator) if hasattr(estimator, "predict_proba") else None
        # Several outputs at once, or mixtures: asked for alone, for there is no one label beside.
        self._has_shares = self._classes is None and hasattr(estimator, "predict_proba")
        self._keys = [str(c) for c in self._classes.tolist()] if self._classes is not None else None
        kind = type(self._final).__name__
        self._direct = forests.direct(self._final) or boosted.direct(self._final)
        self._one_call = kind in LABEL_FROM_PROBABILITY
        self._score_call = kind in LABEL_FROM_SCORE

    def predict(self, batch: Batch, method: Method) -> Output:
        rows = self._rows(batch)
        if self._before is not None:  # the steps before the last are shared by both calls
            rows = self._before.transform(rows)
        if self._classes is None:
            if method == "predict_proba":
                if self._has_shares:
                    return Output(None, _each_row(self._final.predict_proba(rows)))
                raise RequestError(
                    422, "no_probabilities", "this model gives no probabilities; leave out "
                    'parameters.method or use "predict"',
                )  # fmt: skip
            return Output(self._values(rows))
        if method == "predict":
            return Output(self._values(rows))
        ask = self._direct or self._final.predict_proba
        probabilities = np.asarray(ask(rows))
        if method == "predict_proba":
            return Output(None, probabilities)
        if self._one_call or (self._score_call and _decided(probabilities, self._classes)):
            labels = self._classes.take(probabilities.argmax(axis=1))
        else:
            labels = self._values(rows)
        return Output(labels, probabilities, self._keys)

    def _values(self, rows: Any) -> Any:
        if self._direct is not None and self._classes is None:
            return np.asarray(self._direct(rows))
        if hasattr(self._final, "predict"):
            return np.asarray(self._final.predict(rows))
        out = self._final.transform(rows)
        return np.asarray(out.toarray() if hasattr(out, "toarray") else out)

    def _rows(self, batch: Batch) -> Any:
        if batch.kind != "columns":
            return batch.data
        import pandas as pd

        frame = pd.DataFrame(batch.data)
        for name, values in (self.signature.categories or {}).items():
            frame[name] = pd.Categorical(frame[name], categories=values)
        return frame


def _each_row(found: Any) -> np.ndarray:
    """Probabilities by row; scikit-learn gives a list with an array for each of several outputs."""
    if not isinstance(found, list):
        return np.asarray(found)
    if len({part.shape for part in found}) == 1:
        return np.stack(found, axis=1)
    rows = np.empty(len(found[0]), dtype=object)
    for i in range(len(rows)):
        rows[i] = [part[i].tolist() for part in found]
    return rows


def _decided(probabilities: np.ndarray, classes: np.ndarray) -> bool:
    """One class is ahead of all others in every row, by more than rounding can make."""
    if probabilities.ndim != 2 or probabilities.shape[1] != len(classes) or len(classes) < 2:
        return False
    if len(classes) == 2:
        return bool((np.abs(probabilities[:, 1] - probabilities[:, 0]) > TIE).all())
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return bool((top[:, 1] - top[:, 0] > TIE).all())


def _split(estimator: Any) -> tuple[Any, Any]:
    """(the steps before the last as one transformer or None, the step that answers)."""
    from sklearn.pipeline import Pipeline

    if type(estimator) is not Pipeline or len(estimator.steps) < 2:
        return None, estimator
    final = estimator.steps[-1][1]
    if not hasattr(final, "predict"):
        return None, estimator
    return estimator[:-1], final


def _class_list(estimator: Any) -> Any:
    """The classes in the order of predict_proba's columns; None for several outputs at once."""
    classes = getattr(estimator, "classes_", None)
    if classes is None or isinstance(classes, list):
        return None
    return np.asarray(classes)


def _use_one_thread(estimator: Any) -> None:
    """n_jobs=-1 helps training and hurts serving: requests themselves run side by side."""
    if not hasattr(estimator, "get_params"):
        return
    params = estimator.get_params(deep=True)
    wide = {k: 1 for k, v in params.items() if k.split("__")[-1] == "n_jobs" and v not in (None, 1)}
    if wide:
        estimator.set_params(**wide)
