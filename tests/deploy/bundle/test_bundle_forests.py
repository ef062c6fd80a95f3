"""Forests and boosted trees asked without the library's checks: its own answers, to the last bit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from model_server import boosted, forests, structure
from model_server.errors import RefusedModelError
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
    for model in (two, ensemble.HistGradientBoostingClassifier(max_iter=2).fit(X, Y)):
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


def boosted_models() -> list[Any]:
    two = (Y > 0).astype(int)
    kinds = ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor
    classifier, regressor = (partial(kind, n_estimators=9, random_state=0) for kind in kinds)
    return [
        classifier().fit(X, two), classifier().fit(X, Y), classifier(init="zero").fit(X, two),
        classifier(loss="exponential").fit(X, two), classifier(subsample=0.5).fit(X, Y),
        regressor().fit(X, Y), regressor(loss="quantile").fit(X, Y), regressor(init="zero").fit(X, Y),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(8))
def test_boosted_trees_give_the_library_s_own_answers(number: int) -> None:
    model = boosted_models()[number]
    ask = boosted.direct(model)
    assert ask is not None
    for rows in (X, X[:1], X[::2], np.asfortranarray(X), X.astype(np.float32), X.astype(int)):
        np.testing.assert_array_equal(ask(rows), answer(model, rows))
    for rows, words in ((X[:, :4], "4 features"), (np.full((1, 6), np.nan), "NaN")):
        with pytest.raises(ValueError, match=words):
            ask(rows)


def test_boosting_that_starts_from_a_model_is_left_to_the_library() -> None:
    start = ensemble.RandomForestRegressor(3)
    model = ensemble.GradientBoostingRegressor(n_estimators=2, init=start).fit(X, Y)
    assert boosted.direct(model) is None


def test_boosting_that_answers_otherwise_is_left_to_the_library() -> None:
    model = ensemble.GradientBoostingRegressor(n_estimators=2).fit(X, Y)
    model.predict = lambda rows: np.zeros(len(rows))
    assert boosted.direct(model) is None


def test_boosted_trees_for_more_scores_than_there_are_are_refused() -> None:
    """The compiled code would write beside the scores."""
    for model in boosted_models():
        structure.check(model)
    wide, few, long = boosted_models()[:3]
    wide.estimators_ = np.hstack([wide.estimators_] * 3)
    few.init_.class_prior_ = few.init_.class_prior_[:1]
    long.estimators_ = long.estimators_.ravel()
    other = ensemble.GradientBoostingRegressor(n_estimators=2).fit(X, Y)
    other.init_.constant_ = np.zeros((1, 0))
    for model in (wide, few, long, other):
        with pytest.raises(RefusedModelError, match="other scores"):
            structure.check(model)
