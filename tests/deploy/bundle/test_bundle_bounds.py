"""Sizes that native code believes: what lies is refused, what the libraries write is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_server import boosters, structure
from model_server.errors import ModelError, RefusedModelError
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import OneHotEncoder, SplineTransformer
from sklearn.svm import SVC, SVR, OneClassSVM

ROWS = np.random.default_rng(0).normal(size=(60, 4))
KINDS = np.arange(60) % 3
WORDS = np.array([["a", "x"]] * 20 + [["b", "y"]] * 38 + [["c", "x"]] * 2, dtype=object)

HONEST: dict[str, Callable[[], Any]] = {
    "machine": lambda: SVC().fit(ROWS, KINDS),
    "machine of distances": lambda: SVC(kernel="precomputed").fit(ROWS @ ROWS.T, KINDS),
    "machine of numbers": lambda: SVR().fit(ROWS, ROWS[:, 0]),
    "machine of one class": lambda: OneClassSVM().fit(ROWS),
    "clusters": lambda: KMeans(3, n_init=1).fit(ROWS),
    "bisected": lambda: BisectingKMeans(3).fit(ROWS),
    "neighbours": lambda: KNeighborsClassifier(algorithm="brute").fit(ROWS, KINDS),
    "neighbours by distance": lambda: KNeighborsClassifier(metric="precomputed").fit(
        np.abs(ROWS @ ROWS.T), KINDS
    ),
    "words": lambda: CountVectorizer(vocabulary=["one", "two"]).fit(["one"]),
    "categories": lambda: OneHotEncoder().fit(WORDS),
    "rare categories": lambda: OneHotEncoder(min_frequency=5, drop="first").fit(WORDS),
    "splines": lambda: SplineTransformer().fit(ROWS),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_the_library_makes_passes(name: str) -> None:
    structure.check(HONEST[name]())


def _vectors(model: Any) -> None:
    total = int(model._n_support.sum())
    model._n_support = np.array([-10_000, 0, total + 10_000], dtype=np.int32)


def _set(name: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda model: setattr(model, name, change(getattr(model, name)))


LIES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "vectors below none": ("machine", _vectors),
    "few coefficients": ("machine", _set("_dual_coef_", lambda a: a[:1].copy())),
    "short coefficients": ("machine of numbers", _set("_dual_coef_", lambda a: a[:, :1].copy())),
    "one intercept": ("machine", _set("_intercept_", lambda a: a[:1].copy())),
    "narrow vectors": ("machine", _set("support_vectors_", lambda a: a[:, :1].copy())),
    "wide centres": ("clusters", _set("cluster_centers_", lambda a: np.zeros((3, 100_000)))),
    "wide branch": ("bisected", lambda m: setattr(m._bisecting_tree.left, "center", np.zeros(9))),
    "narrow neighbours": ("neighbours", _set("_fit_X", lambda a: a[:, :1].copy())),
    "word far away": ("words", lambda m: m.vocabulary_.update(one=50_000_000)),
    "word before the first": ("words", lambda m: m.vocabulary_.update(one=-5)),
    "few columns": ("categories", _set("_n_features_outs", lambda _: [1, 1])),
    "more categories": ("categories", _set("categories_", lambda a: [np.arange(99), a[1]])),
    "few rare columns": ("rare categories", _set("_n_features_outs", lambda _: [0, 0])),
    "spline of degree 200": ("splines", lambda m: setattr(m.bsplines_[0], "k", 200)),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_sizes_that_lie_are_refused(name: str) -> None:
    honest, lie = LIES[name]
    model = HONEST[honest]()
    lie(model)
    with pytest.raises(RefusedModelError, match="contradict each other"):
        structure.check([model])


def xgboost_file(change: Callable[[dict[str, Any]], Any], **settings: Any) -> bytes:
    import pandas as pd
    import xgboost

    table = pd.DataFrame(ROWS, columns=list("abcd"))
    table["a"] = pd.Categorical(np.array(list("uvwxyz"))[np.arange(60) % 6])
    more = {"n_estimators": 3, "max_depth": 3, "enable_categorical": True, "max_cat_to_onehot": 1}
    if settings:
        table, more = table[["b", "c"]], {"n_estimators": 3}
    target = np.column_stack([KINDS, KINDS]) if "multi_strategy" in settings else KINDS
    kind = xgboost.XGBRegressor if "multi_strategy" in settings else xgboost.XGBClassifier
    model = kind(**more, **settings).fit(table, target)
    found = json.loads(model.get_booster().save_raw("json"))
    change(found["learner"])
    return json.dumps(found).encode()


def _model(learner: dict[str, Any], name: str, value: Any) -> None:
    learner["gradient_booster"]["model"][name] = value


def _trees(name: str, change: Callable[[list[int]], list[int]]) -> Callable[[Any], None]:
    def done(learner: dict[str, Any]) -> None:
        for tree in learner["gradient_booster"]["model"]["trees"]:
            tree[name] = change(tree[name])

    return done


def _no_categories(learner: dict[str, Any]) -> None:
    for tree in learner["gradient_booster"]["model"]["trees"]:
        for name in ("categories_nodes", "categories_segments", "categories_sizes"):
            tree[name] = []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: _model(m, "tree_info", [100_000] * 9), "other outputs"),
        (lambda m: _model(m, "tree_info", [-1] * 9), "other outputs"),
        (lambda m: _model(m, "tree_info", [0]), "other outputs"),
        (_trees("categories_segments", lambda a: [10**7] * len(a)), "lie outside"),
        (_trees("categories", lambda a: [10**9] * len(a)), "lie outside"),
        (_trees("categories_nodes", lambda a: [10**6] * len(a)), "lie outside"),
        (_trees("categories_sizes", lambda a: [0] * len(a)), "lie outside"),
        (_no_categories, "lie outside"),
    ],
)
def test_xgboost_files_that_point_outside_of_themselves(
    change: Callable[[Any], None], words: str
) -> None:
    boosters.check_xgboost(xgboost_file(lambda _: None))
    with pytest.raises(RefusedModelError, match=words):
        boosters.check_xgboost(xgboost_file(change))


def test_a_linear_xgboost_model_has_a_weight_for_each_feature() -> None:
    boosters.check_xgboost(xgboost_file(lambda _: None, booster="gblinear"))
    with pytest.raises(RefusedModelError, match="weights for other outputs"):
        boosters.check_xgboost(
            xgboost_file(lambda m: _model(m, "weights", [1.0]), booster="gblinear")
        )


def test_trees_with_vectors_in_their_leaves_are_told_as_such() -> None:
    with pytest.raises(ModelError, match=r"multi_output_tree.*one_output_per_tree") as told:
        boosters.check_xgboost(xgboost_file(lambda _: None, multi_strategy="multi_output_tree"))
    assert not isinstance(told.value, RefusedModelError)


def lightgbm_file(*, linear: bool = False) -> str:
    import lightgbm

    rows = np.column_stack([np.arange(60) % 6, ROWS[:, 1:]])
    settings = {
        "verbose": -1, "min_data_in_leaf": 2, "min_data_per_group": 1, "cat_smooth": 0,
        "max_cat_to_onehot": 1, "objective": "multiclass", "num_class": 3,
    }  # fmt: skip
    if linear:
        settings |= {"objective": "regression", "num_class": 1, "linear_tree": True}
    data = lightgbm.Dataset(rows, KINDS, categorical_feature="auto" if linear else [0])
    return str(lightgbm.train(settings, data, 3).model_to_string())


def _all(line: str, value: str, text: str) -> str:
    return re.sub(
        rf"(?m)^{line}=(.*)$", lambda m: f"{line}=" + " ".join(value for _ in m[1].split()), text
    )


@pytest.mark.parametrize(
    ("linear", "change"),
    [
        (False, lambda t: t.replace("num_tree_per_iteration=3", "num_tree_per_iteration=500")),
        (False, lambda t: t.replace("num_class=3", "num_class=50000000")),
        (False, lambda t: _all("threshold", "50000000", t)),
        (False, lambda t: _all("cat_boundaries", "90000000", t)),
        (False, lambda t: t.replace("num_cat=1", "num_cat=0")),
        (True, lambda t: _all("decision_type", "1", t)),
        (True, lambda t: _all("leaf_features", "70000", t)),
        (True, lambda t: _all("num_features", "70000", t)),
    ],
)
def test_lightgbm_files_that_point_outside_of_themselves(
    linear: bool, change: Callable[[str], str]
) -> None:
    text = lightgbm_file(linear=linear)
    boosters.check_lightgbm(text)
    assert change(text) != text
    with pytest.raises(RefusedModelError):
        boosters.check_lightgbm(change(text))
