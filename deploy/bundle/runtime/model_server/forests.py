"""Random forests without the library's work around each tree.

scikit-learn checks the rows, copies its configuration and sets warning filters once for each tree;
for one row that is most of the time. Here the rows are checked once and the same compiled trees are
asked in the same order, so the sums are the same to the last bit. That is tried when a model is
loaded; a forest that answers differently, or is of another kind, is left to the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

CLASSIFIERS = frozenset({"RandomForestClassifier", "ExtraTreesClassifier"})
REGRESSORS = frozenset({"RandomForestRegressor", "ExtraTreesRegressor"})
TRIED_ROWS = 16


def direct(forest: Any) -> Callable[[Any], Any] | None:
    """`rows -> probabilities` (classifiers) or values, or None where the library has to answer.

    The callable itself hands rows to the library that it does not take: other shapes, missing or
    infinite values.
    """
    kind = type(forest)
    classifier = kind.__name__ in CLASSIFIERS
    if not kind.__module__.startswith("sklearn.ensemble") or not (
        classifier or kind.__name__ in REGRESSORS
    ):
        return None
    if getattr(forest, "n_outputs_", 0) != 1:
        return None
    ask = [tree.tree_.predict for tree in forest.estimators_]
    library = forest.predict_proba if classifier else forest.predict
    width, count = int(forest.n_features_in_), len(ask)
    columns = int(forest.n_classes_) if classifier else 1

    def predict(rows: Any) -> Any:
        array = usable(rows, width)
        if array is None:
            return library(rows)
        total = np.zeros((len(array), columns))
        for one in ask:
            total += one(array)[:, :columns]
        total /= count
        return total if classifier else total[:, 0]

    tried = np.random.default_rng(0).normal(0, 10, (TRIED_ROWS, width))
    return predict if same_answers(library, predict, tried) else None


def usable(rows: Any, width: int) -> np.ndarray | None:
    """The rows as compiled trees take them; None where the library has to look: the trees check
    neither the width nor whether a value is finite."""
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "fiu" or rows.ndim != 2:
        return None
    if rows.shape[1] != width:
        return None
    array = np.ascontiguousarray(rows, dtype=np.float32)
    return array if np.isfinite(array).all() else None


def same_answers(one: Callable[[Any], Any], other: Callable[[Any], Any], rows: np.ndarray) -> bool:
    """Both give the same to the last bit, for the rows together and for the first alone."""
    return all(
        np.array_equal(np.asarray(one(some)), np.asarray(other(some))) for some in (rows, rows[:1])
    )
