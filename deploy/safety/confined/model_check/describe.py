"""What a scikit-learn model expects, read from the loaded model, as a plain dictionary."""

from __future__ import annotations

import contextlib
from typing import Any

from model_server import boosters
from model_server.errors import ModelError

from .describe_files import with_categories

TEXT_STEPS = frozenset({"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"})
RECORD_STEPS = frozenset({"DictVectorizer", "FeatureHasher"})


def sklearn_signature(model: Any) -> dict[str, Any]:
    """The signature of an estimator or pipeline."""
    from sklearn.base import is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError as unfitted:
        raise ModelError(f"the model was saved before it was trained: {unfitted}") from unfitted
    except TypeError as foreign:
        name = type(model).__name__
        way = (
            "save it in the library's own form: booster.save_model('model.json') for XGBoost, "
            "'model.txt' for LightGBM"
            if name == "Booster"
            else "save the fitted estimator"
        )
        raise ModelError(f"the file holds a {name} and no model; {way}") from foreign
    steps = [model, *_chain(model)]
    first = type(steps[-1]).__name__
    found: dict[str, Any] = {
        "task": "classifier" if is_classifier(model) else
        "regressor" if is_regressor(model) else "other",
        "has_probabilities": hasattr(model, "predict_proba"),
        "allows_missing": _allows_missing(model),
    }  # fmt: skip
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        found["feature_names"] = [str(n) for n in names]
    with contextlib.suppress(AttributeError):  # some pipelines know it only in a step
        found["n_features"] = int(model.n_features_in_)
    if found.get("n_features") is None:
        found["input_dtype"] = "str" if first in TEXT_STEPS else "object"
        if first in TEXT_STEPS:
            found["example"] = "an example text"
        elif first in RECORD_STEPS and getattr(steps[-1], "input_type", "dict") == "dict":
            found["example"] = {"a": 1}
        return found | _classes(model)
    transformer = next((s for s in steps if type(s).__name__ == "ColumnTransformer"), None)
    transformer = transformer or getattr(steps[-1], "_preprocessor", None)  # HistGradientBoosting's
    known = _lightgbm_categories(model)
    if known and names is not None:
        found |= with_categories(found["feature_names"], known) | {"needs_frame": True}
    elif transformer is not None and names is not None:
        columns, example = _columns(transformer, found["feature_names"])
        found |= {"needs_frame": True, "columns": columns, "example": example}
        found["allows_missing"] = True  # each column's own steps decide
    elif transformer is not None and (placed := _placed(transformer, found["n_features"])):
        found |= {"input_dtype": "object", "input_shape": [None, found["n_features"]]}
        found["example"] = placed
    elif first in ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"):
        found |= _encoded(steps[-1], names is not None, found)
    else:
        found |= {"input_dtype": "float64", "input_shape": [None, found["n_features"]]}
        found["example"] = _typical(steps, found["n_features"])
    return found | _classes(model)


def _chain(model: Any) -> list[Any]:
    """The first step, and the first step of that, as far as it goes."""
    found: list[Any] = []
    while True:
        steps = getattr(model, "steps", None)
        inner = getattr(model, "best_estimator_", None)
        union = getattr(model, "transformer_list", None)
        model = steps[0][1] if steps else union[0][1] if union else inner
        if model is None or isinstance(model, str):
            return found
        found.append(model)


def _allows_missing(model: Any) -> bool:
    from sklearn.utils import get_tags

    try:
        return bool(get_tags(model).input_tags.allow_nan)
    except (AttributeError, TypeError, ValueError):  # a wrapper without tags: then it does not
        return False


def _classes(model: Any) -> dict[str, Any]:
    classes = getattr(model, "classes_", None)
    if classes is None or isinstance(classes, list) or len(classes) > 10_000:
        return {}
    plain = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    if not all(isinstance(c, (str, int, float, bool)) for c in plain):
        return {}
    return {"classes": plain}


def _columns(transformer: Any, names: list[str]) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """(name, dtype) of each column as far as its step tells, and a row that fits."""
    kinds: dict[str, tuple[str, Any]] = {}
    for _, step, picked in transformer.transformers_:
        wanted = [_column_name(p, names) for p in _listed(picked)]
        inner = step.steps[0][1] if hasattr(step, "steps") else step
        categories = getattr(inner, "categories_", None)
        filled = getattr(inner, "statistics_", None)
        means = getattr(inner, "mean_", getattr(inner, "center_", None))
        for i, name in enumerate(wanted):
            if step == "drop":
                kinds[name] = ("any", 0)
            elif categories is not None and i < len(categories):
                text = categories[i].dtype.kind in "OUS"
                first = categories[i][0] if len(categories[i]) else ""
                kinds[name] = ("str", str(first)) if text else ("float64", float(first))
            elif type(inner).__name__ in TEXT_STEPS:
                kinds[name] = ("str", "an example text")
            elif filled is not None and i < len(filled) and isinstance(filled[i], str):
                kinds[name] = ("str", filled[i])
            else:
                known = means if means is not None else filled
                value = known[i] if known is not None and i < len(known) else 0.0
                kinds[name] = ("float64", float(value))
    columns = [(n, kinds.get(n, ("any", 0))[0]) for n in names]
    return columns, {n: kinds.get(n, ("any", 0))[1] for n in names}


def _placed(transformer: Any, width: int) -> list[Any] | None:
    """A row for columns picked by place, where some take texts; None where all take numbers."""
    places = [str(i) for i in range(width)]
    columns, example = _columns(transformer, places)
    texts = any(kind == "str" for _, kind in columns)
    return [example[place] for place in places] if texts else None


def _lightgbm_categories(model: Any) -> dict[str, list[Any]] | None:
    """Those of LightGBM's scikit-learn interface, which answers a table by its categories."""
    booster = getattr(model, "_Booster", None)
    if not type(model).__module__.startswith("lightgbm.") or booster is None:
        return None
    text = booster.model_to_string()
    return boosters.lightgbm_categories(text, boosters.check_lightgbm(text))


def _listed(picked: Any) -> list[Any]:
    if isinstance(picked, (str, int)):
        return [picked]
    if isinstance(picked, slice):
        return []
    found = list(picked)
    if found and type(found[0]).__name__ in ("bool", "bool_"):  # a mask
        return [i for i, taken in enumerate(found) if taken]
    return found


def _column_name(picked: Any, names: list[str]) -> str:
    return picked if isinstance(picked, str) else names[int(picked)]


def _encoded(encoder: Any, named: bool, found: dict[str, Any]) -> dict[str, Any]:
    """A model that starts with an encoder takes the categories themselves."""
    first = [c[0] for c in encoder.categories_]
    text = any(isinstance(c, str) for c in first)
    return {
        "input_dtype": "object" if text else "float64",
        "input_shape": [None, found["n_features"]],
        "example": [c if isinstance(c, str) else float(c) for c in first],
    }


def _typical(steps: list[Any], width: int) -> list[float]:
    """The training means where a first step kept them, else zeros."""
    for attribute in ("mean_", "center_", "statistics_"):
        means = getattr(steps[-1], attribute, None)
        if means is not None and len(means) == width:
            return [float(f"{float(m):.6g}") for m in means]
    return [0.0] * width
