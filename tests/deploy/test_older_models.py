"""Files as older versions of scikit-learn wrote them: they answer what they answered there."""

from __future__ import annotations

import io
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn._loss import _loss
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deploy/bundle/runtime"))

from model_server import loaders, safe_pickle
from model_server.errors import ModelError, RefusedModelError

X, Y = make_classification(200, 6, n_informative=4, random_state=1)


def loaded(data: bytes, folder: Path) -> Any:
    path = folder / "model.pkl"
    path.write_bytes(data)
    return loaders.load_object("pickle", path)


@pytest.mark.parametrize("weighted", [False, True])
def test_class_counts_in_trees_are_answered_as_shares(tmp_path: Path, weighted: bool) -> None:
    model = RandomForestClassifier(8, max_depth=3, random_state=0)
    model.fit(X, Y, sample_weight=np.where(Y == 1, 2.5, 0.5) if weighted else None)
    wanted = model.predict_proba(X)
    for tree in model.estimators_:  # before 1.4: counts, of which the prediction made shares
        tree.tree_.value[:] *= tree.tree_.weighted_n_node_samples[:, None, None]
    assert model.predict_proba(X).max() > 1.5  # so the library would answer nonsense
    found = loaded(pickle.dumps(model), tmp_path)
    np.testing.assert_allclose(found.predict_proba(X), wanted, rtol=1e-12)
    np.testing.assert_array_equal(found.predict(X), model.classes_[wanted.argmax(axis=1)])


def _short_name(loss: Any, old_function: bool) -> Any:
    """How 1.5 (a function of Cython's) and 1.7 (the class) wrote a compiled loss."""
    module = sys.modules["_loss"]
    cls = type(loss)
    if not old_function:
        return cls, ()
    return getattr(module, f"__pyx_unpickle_{cls.__name__}"), (cls, 238750788, None)


@pytest.mark.parametrize("old_function", [False, True])
def test_losses_under_their_short_name_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old_function: bool
) -> None:
    model = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(X, Y)
    module = types.ModuleType("_loss")
    name = "__pyx_unpickle_CyHalfBinomialLoss"

    def unpickle(*_: Any) -> None: ...

    unpickle.__module__, unpickle.__qualname__, unpickle.__name__ = "_loss", name, name
    vars(module)[name] = unpickle
    vars(module)["CyHalfBinomialLoss"] = _loss.CyHalfBinomialLoss
    monkeypatch.setitem(sys.modules, "_loss", module)

    class OldPickler(pickle.Pickler):
        def reducer_override(self, item: Any) -> Any:
            if isinstance(item, _loss.CyHalfBinomialLoss):
                return _short_name(item, old_function)
            return NotImplemented

    out = io.BytesIO()
    OldPickler(out, 0).dump(model)  # as text, so that names of another length fit in
    data = out.getvalue().replace(b"csklearn._loss._loss\n", b"c_loss\n")
    assert b"c_loss\nCyHalfBinomialLoss" in data
    assert (name.encode() in data) is old_function
    found = loaded(data, tmp_path)
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))


def test_an_imputer_without_its_new_attribute_fills_as_before(tmp_path: Path) -> None:
    rows = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    model = make_pipeline(SimpleImputer(), LogisticRegression()).fit(rows, Y)
    wanted = model.predict_proba(rows)
    del model.steps[0][1]._fill_dtype
    found = loaded(pickle.dumps(model), tmp_path)
    np.testing.assert_array_equal(found.predict_proba(rows), wanted)


@pytest.mark.parametrize("module", ["_loss", "sklearn._loss._loss"])
def test_the_old_function_makes_losses_and_nothing_else(tmp_path: Path, module: str) -> None:
    """GLOBAL function, GLOBAL class, a number, None: REDUCE."""
    data = (
        f"c{module}\n__pyx_unpickle_CyHalfBinomialLoss\n"
        "(csklearn.linear_model._base\nLinearRegression\nI1\nNtR."
    ).encode()
    with pytest.raises(RefusedModelError, match="loss function that scikit-learn did not write"):
        loaded(data, tmp_path)
    assert safe_pickle.refused_of([("_loss", "system"), ("_losses", "x")])


def test_a_loss_of_a_version_without_one_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="install the scikit-learn version that the model was"):
        loaded(b"csklearn.ensemble._gb_losses\nBinomialDeviance\n.", tmp_path)
