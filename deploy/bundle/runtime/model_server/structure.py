"""Looks at the numbers inside a loaded model that native code would follow blindly.

scikit-learn's trees, neighbour trees and sparse matrices are read without bounds checks at
prediction time, so a crafted index could read memory that is not the model's.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from . import bounds
from .errors import RefusedModelError

_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None), type)


def check(model: Any) -> None:
    """Walk everything that the model holds. Raises RefusedModelError at the first thing wrong."""
    for item in _parts(model):
        _check_one(item)


def fill_new_parameters(model: Any) -> None:
    """Give estimators of an older scikit-learn the parameters that did not exist then.

    Each gets its default, which is what the older version did. Without them scikit-learn fails at
    the first prediction ("object has no attribute ...").
    """
    for item in _parts(model):
        if not type(item).__module__.startswith("sklearn.") or not hasattr(item, "get_params"):
            continue
        for name, parameter in inspect.signature(type(item).__init__).parameters.items():
            known = parameter.default is not inspect.Parameter.empty
            if known and name not in item.__dict__:
                setattr(item, name, parameter.default)
        if type(item).__name__ == "SimpleImputer" and "_fit_dtype" in item.__dict__:
            item.__dict__.setdefault("_fill_dtype", item._fit_dtype)  # since 1.8; the same at fit


def renew_tree_values(model: Any) -> None:
    """Classification trees of scikit-learn before 1.4 hold class counts; the library divided them
    by their sum at each prediction, and since takes them for shares as they stand. So they are
    divided here: untouched, a count of 35 would be answered as a probability.
    """
    import numpy as np

    for item in _parts(model):
        tree: Any = getattr(item, "tree_", None)
        if type(tree).__name__ != "Tree" or getattr(item, "classes_", None) is None:
            continue
        values = tree.value  # the tree's own memory
        sums = values.sum(axis=2, keepdims=True)
        if np.allclose(sums, 1.0):
            continue
        sums[sums == 0] = 1.0
        values /= sums


def _parts(model: Any) -> Iterator[Any]:
    """Every object within the model that is no plain value and no container, once."""
    import numpy as np

    seen: set[int] = set()
    todo: list[Any] = [model]
    keep: list[Any] = []  # made on the way; kept so that no id is used twice
    while todo:
        item = todo.pop()
        if isinstance(item, _PLAIN) or id(item) in seen:
            continue
        seen.add(id(item))
        keep.append(item)
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo.extend(item)
        elif isinstance(item, np.ndarray):
            if item.dtype.hasobject and item.dtype.names is None:
                todo.extend(item.ravel().tolist())
        else:
            yield item
            todo.extend(getattr(item, "__dict__", {}).values())


def _check_one(item: Any) -> None:
    kind = type(item).__name__
    module = type(item).__module__
    if module == "sklearn.tree._tree" and kind == "Tree":
        _check_tree(item)
    elif kind == "TreePredictor":
        _check_predictor(item)
    elif module in ("sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree"):
        _check_neighbours(item)
    elif module.startswith("scipy.sparse") and hasattr(item, "check_format"):
        _check_sparse(item)
    elif module == "scipy.interpolate._bsplines" and kind == "BSpline":
        bounds.check_spline(item)
    if module.startswith("sklearn."):
        _check_estimator(item)
        bounds.check(item)


def _check_tree(tree: Any) -> None:
    import numpy as np

    n = int(tree.node_count)
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    own = np.arange(n)
    inner = left != -1
    wrong = (
        (inner != (right != -1)).any()
        # a child comes after its parent in every tree that scikit-learn grows: no loops
        or (inner & ((left <= own) | (left >= n) | (right <= own) | (right >= n))).any()
        or (
            inner & ((np.asarray(tree.feature) < 0) | (np.asarray(tree.feature) >= tree.n_features))
        ).any()
        or len(tree.value) < n
        or n < 1
    )
    if wrong:
        raise RefusedModelError(
            f"a decision tree in the file points outside of its {n} nodes or its "
            f"{tree.n_features} features; train or save the model again"
        )


def _check_predictor(predictor: Any) -> None:
    import numpy as np

    nodes = np.asarray(predictor.nodes)
    n = len(nodes)
    own = np.arange(n)
    inner = nodes["is_leaf"] == 0
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    bitsets = len(predictor.raw_left_cat_bitsets)
    categorical = inner & (nodes["is_categorical"] != 0)
    if (
        n < 1
        or (inner & ((left <= own) | (left >= n) | (right <= own) | (right >= n))).any()
        or (categorical & (nodes["bitset_idx"] >= bitsets)).any()
    ):
        raise RefusedModelError(
            f"a boosted tree in the file points outside of its {n} nodes; save the model again"
        )


def _check_neighbours(tree: Any) -> None:
    import numpy as np

    data, index, nodes, bounds = (np.asarray(part) for part in tree.get_arrays())
    n, n_nodes = len(data), len(nodes)
    start, end = nodes["idx_start"], nodes["idx_end"]
    childless = np.arange(n_nodes) * 2 + 2 >= n_nodes
    if (
        len(index) != n
        or (n and (index.min() < 0 or index.max() >= n))
        or (start < 0).any()
        or (end < start).any()
        or (end > n).any()
        or (childless & (nodes["is_leaf"] == 0)).any()
        or bounds.shape[1] != n_nodes
    ):
        raise RefusedModelError("a neighbour tree in the file points outside of its data")


def _check_sparse(matrix: Any) -> None:
    try:
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as wrong:
        raise RefusedModelError(
            f"a sparse matrix in the file contradicts itself: {str(wrong)[:120]}"
        ) from wrong


def _check_estimator(item: Any) -> None:
    """Trees inside a forest are walked without looking at the row's width again."""
    width = getattr(item, "n_features_in_", None)
    if width is None:
        _check_vectorizer(item)
        return
    trees = [item]
    if type(item).__module__ in ("sklearn.ensemble._forest", "sklearn.ensemble._gb"):
        members = getattr(item, "estimators_", [])
        trees += list(members.ravel()) if hasattr(members, "ravel") else list(members)
    for member in trees:
        tree = getattr(member, "tree_", None)
        if tree is not None and hasattr(tree, "node_count") and int(tree.n_features) != int(width):
            raise RefusedModelError(
                f"a tree in the file reads {tree.n_features} features and its model takes {width}"
            )
    if type(item).__module__ == "sklearn.ensemble._gb" and hasattr(item, "estimators_"):
        _check_boosting(item)
    for predictors in getattr(item, "_predictors", ()):
        for predictor in predictors:
            inner = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            if len(inner) and int(inner["feature_idx"].max()) >= int(width):
                raise RefusedModelError(
                    f"a boosted tree in the file reads feature {int(inner['feature_idx'].max())} "
                    f"and its model takes {width}"
                )


def _check_boosting(item: Any) -> None:
    """A column of trees adds to a column of scores, which the start makes; nobody compares."""
    import numpy as np

    classes = len(getattr(item, "classes_", ()))
    start: Any = getattr(item, "init_", None)
    if type(start).__name__ == "DummyRegressor":
        fits = np.size(start.constant_) == 1
    else:  # "zero", a constant classifier, or a model of one's own
        sizes = [len(getattr(start, n)) for n in ("classes_", "class_prior_") if hasattr(start, n)]
        fits = all(size == classes for size in sizes)
    columns = 1 if classes <= 2 else classes
    if not fits or np.shape(item.estimators_)[1:] != (columns,):
        raise RefusedModelError(
            f"a {type(item).__name__} in the file has trees for other scores than the {columns} "
            "that it starts from; train or save the model again"
        )


def _check_vectorizer(item: Any) -> None:
    if getattr(item, "input", "content") in ("filename", "file") and hasattr(item, "analyzer"):
        raise RefusedModelError(
            f"a {type(item).__name__} in the file takes file names as input, so requests could "
            "read files of the server; train it with input='content'"
        )
