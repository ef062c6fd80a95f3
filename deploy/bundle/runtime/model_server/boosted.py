"""scikit-learn's gradient boosting without the library's work around the trees.

The library checks the rows three times over and asks a constant model for the value to start from;
for one row that is nine tenths of the time. Here the rows are checked once, and the same compiled
function adds the same trees in the same order to the same start, so the answers are the same to the
last bit. That is tried when a model is loaded; a model that answers differently is left to the
library.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .forests import TRIED_ROWS, same_answers, usable

CLASSIFIER, REGRESSOR = "GradientBoostingClassifier", "GradientBoostingRegressor"
CONSTANT = frozenset({"DummyClassifier", "DummyRegressor"})  # they do not look at the row


def direct(model: Any) -> Callable[[Any], Any] | None:
    """`rows -> probabilities` (classifier) or values, or None where the library has to answer.

    The callable itself hands rows to the library that it does not take: other shapes, missing or
    infinite values.
    """
    kind = type(model)
    if kind.__module__ != "sklearn.ensemble._gb" or kind.__name__ not in (CLASSIFIER, REGRESSOR):
        return None
    start = model.init_
    if start != "zero" and type(start).__name__ not in CONSTANT:
        return None
    try:
        add_trees = importlib.import_module("sklearn.ensemble._gradient_boosting").predict_stages
        first = model._raw_predict_init(np.zeros((1, int(model.n_features_in_)), dtype=np.float32))
    except (ImportError, AttributeError):  # another version of scikit-learn keeps them elsewhere
        return None
    classifier = kind.__name__ == CLASSIFIER
    library = model.predict_proba if classifier else model.predict
    width, columns = int(model.n_features_in_), first.shape[1]
    trees, rate, loss = model.estimators_, model.learning_rate, model._loss

    def predict(rows: Any) -> Any:
        array = usable(rows, width)
        if array is None:
            return library(rows)
        scores = np.empty((len(array), columns))
        scores[:] = first
        add_trees(trees, array, rate, scores)
        if not classifier:
            return scores.ravel()
        return loss.predict_proba(scores.ravel() if columns == 1 else scores)

    tried = np.random.default_rng(0).normal(0, 10, (TRIED_ROWS, width))
    return predict if same_answers(library, predict, tried) else None
