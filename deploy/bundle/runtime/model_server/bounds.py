"""Sizes in a scikit-learn model that its native code believes: libsvm, the distances of clusters
and neighbours, and sparse rows whose columns a table of words or categories gives.

None of these are looked at by the library when it predicts; one that lies makes it read memory that
is not the model's. `structure` calls this for every estimator.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import RefusedModelError

CLUSTERS = "sklearn.cluster._kmeans"
BISECTING = "sklearn.cluster._bisect_k_means"
VECTORS = "sklearn.svm._classes"
NEIGHBOURS = "sklearn.neighbors."


def check(item: Any) -> None:
    """Raises RefusedModelError for sizes that contradict each other."""
    module = type(item).__module__
    if module == VECTORS:
        _check_vectors(item)
    elif module in (CLUSTERS, BISECTING):
        _check_centres(item)
    elif module.startswith(NEIGHBOURS):
        _check_width(item, getattr(item, "_fit_X", None))
    words = getattr(item, "vocabulary_", None)
    if isinstance(words, dict):
        _check_words(item, words)
    if getattr(item, "_n_features_outs", None) is not None:
        _check_categories(item)


def check_spline(item: Any) -> None:
    """A scipy spline: as many knots as coefficients, and one more than its degree."""
    knots, coefficients, degree = np.asarray(item.t), np.asarray(item.c), int(item.k)
    if not (degree >= 0 and knots.ndim == 1 and len(knots) == len(coefficients) + degree + 1):
        _refuse(item, "knots, coefficients and a degree")


def _check_vectors(item: Any) -> None:
    """As libsvm's model wants it: a coefficient for each vector and other class, an intercept for
    each pair of classes."""
    dual, support = getattr(item, "_dual_coef_", None), getattr(item, "support_", None)
    if dual is None or support is None:  # linear machines are plain numpy
        return
    count, classes = len(support), len(getattr(item, "classes_", ()))
    pairs = classes * (classes - 1) // 2 or 1
    fits = dual.shape == (max(classes - 1, 1), count)
    fits = fits and np.size(getattr(item, "_intercept_", ())) == pairs
    for name in ("_probA", "_probB"):
        fits = fits and np.size(getattr(item, name, ())) in (0, 1, pairs)
    numbers = np.asarray(getattr(item, "_n_support", ()))
    if classes:
        fits = fits and len(numbers) == classes and int(numbers.sum(dtype=np.int64)) == count
    fits = fits and not (numbers < 0).any()
    vectors = getattr(item, "support_vectors_", None)
    if vectors is not None and getattr(item, "kernel", None) != "precomputed" and np.size(vectors):
        fits = fits and (callable(item.kernel) or vectors.shape[0] == count)
        if not callable(item.kernel):
            _check_width(item, vectors)
    if not fits:
        _refuse(item, "support vectors, coefficients and classes")


def _check_centres(item: Any) -> None:
    _check_width(item, getattr(item, "cluster_centers_", None))
    todo = [getattr(item, "_bisecting_tree", None)]
    while todo:
        node = todo.pop()
        if node is not None:
            todo += [getattr(node, "left", None), getattr(node, "right", None)]
            centre: Any = getattr(node, "center", None)
            _check_width(item, None if centre is None else np.atleast_2d(centre))


def _check_width(item: Any, rows: Any) -> None:
    width = getattr(item, "n_features_in_", None)
    if rows is None or width is None or getattr(item, "metric", None) == "precomputed":
        return
    if len(getattr(rows, "shape", ())) != 2 or rows.shape[1] != int(width):
        _refuse(item, f"rows of other than {width} features")


def _check_words(item: Any, words: dict[Any, Any]) -> None:
    """Each word has its own column, of as many as there are words."""
    if sorted(words.values()) != list(range(len(words))):
        _refuse(item, "a vocabulary whose columns are not its own")


def _check_categories(item: Any) -> None:
    outs = list(item._n_features_outs)
    known = list(getattr(item, "categories_", ()))
    groups = getattr(item, "_default_to_infrequent_mappings", None) or [None] * len(known)
    dropped = getattr(item, "_drop_idx_after_grouping", None)
    fits = len(outs) == len(known) == len(groups)
    for i, (out, values, group) in enumerate(zip(outs, known, groups, strict=False)):
        size = len(values) if group is None else int(np.max(group)) + 1
        gone = dropped is not None and dropped[i] is not None
        fits = fits and int(out) == size - gone and (group is None or len(group) == len(values))
    if not fits:
        _refuse(item, "categories and columns of other numbers")


def _refuse(item: Any, what: str) -> None:
    raise RefusedModelError(
        f"a {type(item).__name__} in the file has {what}, which contradict each other; train or "
        "save the model again"
    )
