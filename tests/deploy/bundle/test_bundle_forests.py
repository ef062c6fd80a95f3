"""Forests asked tree by tree: the library's own answers, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from model_server import forests, structure
from sklearn import ensemble
from sklearn.datasets import make_classification

X, Y = make_classification(200, 6, n_informative=4, n_classes=3, random_state=0)
KINDS = [
    ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier,
    ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor,
]  # fmt: skip


def fitted(kind: Any) -> Any:
    return kind(n_estimators=7, random_state=0).fit(X, Y)


def answer(model: Any, rows: Any) -> Any:
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_are_the_library_s_own(kind: Any) -> None:
    model = fitted(kind)
    ask = forests.direct(model)
    assert ask is not None
    for rows in (X, X[:1], X[::2], np.asfortranarray(X), X.astype(np.float32), X.astype(int)):
        np.testing.assert_array_equal(ask(rows), answer(model, rows))


def test_rows_that_the_trees_would_not_check_go_to_the_library() -> None:
    model = fitted(ensemble.RandomForestClassifier)
    ask = forests.direct(model)
    assert ask is not None
    for rows, words in ((X[:, :4], "4 features"), (np.full((1, 6), np.inf), "infinity")):
        with pytest.raises(ValueError, match=words):
            ask(rows)


def test_missing_values_are_answered_as_the_library_does() -> None:
    rows = X.copy()
    rows[::3, 2] = np.nan
    model = ensemble.RandomForestClassifier(7, random_state=0).fit(rows, Y)
    ask = forests.direct(model)
    assert ask is not None
    np.testing.assert_array_equal(ask(rows), model.predict_proba(rows))


def test_other_models_are_left_to_the_library() -> None:
    two = ensemble.RandomForestRegressor(3).fit(X, np.column_stack([Y, Y]))
    for model in (two, ensemble.GradientBoostingClassifier(n_estimators=2).fit(X, Y)):
        assert forests.direct(model) is None


def test_an_older_model_gets_the_parameters_that_came_later() -> None:
    model = fitted(ensemble.RandomForestClassifier)
    expected = model.predict_proba(X)
    for part in (model, *model.estimators_):
        del part.monotonic_cst  # as in a file of scikit-learn 1.3
    with pytest.raises(AttributeError):
        model.get_params()
    structure.fill_new_parameters(model)
    assert model.get_params()["monotonic_cst"] is None
    np.testing.assert_array_equal(model.predict_proba(X), expected)
