"""What a model expects, read from the loaded model or its file, as a plain dictionary."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from model_server import boosters
from model_server.errors import ModelError, RefusedModelError
from model_server.onnx_model import DTYPES

TEXT_STEPS = frozenset({"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"})
RECORD_STEPS = frozenset({"DictVectorizer", "FeatureHasher"})
KNOWN_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "com.microsoft", "com.microsoft.nchwc",
     "org.pytorch.aten", "ai.onnx.preview.training"}
)  # fmt: skip


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
        found |= _with_categories(found["feature_names"], known) | {"needs_frame": True}
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


def onnx_signature(path: Path) -> dict[str, Any]:
    """The signature of an ONNX model, after refusing data outside the file."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import _get_all_tensors

    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except (DecodeError, RuntimeError, ValueError) as broken:
        raise ModelError(f"the ONNX model is damaged: {str(broken)[:160]}") from broken
    for tensor in _get_all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            where = next((e.value for e in tensor.external_data if e.key == "location"), "?")
            raise RefusedModelError(
                f"the ONNX model keeps tensor {tensor.name[:60]!r} in another file "
                f"({where[:80]!r}); save it as one file, with onnx.save_model(..., "
                "save_as_external_data=False)"
            )
    foreign = sorted({o.domain for o in model.opset_import} - KNOWN_DOMAINS)
    if foreign:
        raise ModelError(
            f"the ONNX model needs custom operators ({', '.join(foreign)}) that ONNX Runtime does "
            "not have; export it with standard operators"
        )
    initialised = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in initialised]
    found = _onnx_inputs(inputs, onnx)
    return found | _onnx_outputs(model, onnx) | {"_producer": model.producer_name}


def xgboost_signature(data: bytes) -> dict[str, Any]:
    """The signature of an XGBoost model file."""
    learner = boosters.check_xgboost(data)["learner"]
    params = learner["learner_model_param"]
    width = int(params["num_feature"])
    names = [str(n) for n in learner.get("feature_names") or []]
    objective = str(learner.get("objective", {}).get("name", ""))
    n_classes = max(int(params.get("num_class", 0)), 2)
    classifier = objective.startswith(("binary:", "multi:")) and objective != "binary:logitraw"
    known = boosters.xgboost_categories(learner, names) if len(names) == width else None
    return {
        "task": "classifier" if classifier else "regressor",
        "n_features": width,
        "feature_names": names if len(names) == width else None,
        "input_dtype": "float32",
        "input_shape": [None, width],
        "allows_missing": True,
        "classes": list(range(n_classes)) if classifier else None,
        "has_probabilities": classifier and objective not in ("binary:hinge", "multi:softmax"),
        "example": [0.0] * width,
        **(_with_categories(names, known) if known else {}),
    }


def lightgbm_signature(text: str) -> dict[str, Any]:
    """The signature of a LightGBM text model."""
    header = boosters.check_lightgbm(text)
    width = int(header["max_feature_idx"]) + 1
    names = header.get("feature_names", "").split()
    objective = header.get("objective", "").split(" ")[0]
    n_classes = max(int(header.get("num_class", 1)), 2)
    classifier = objective in ("binary", "multiclass", "multiclassova")
    known = boosters.lightgbm_categories(text, header) if len(names) == width else None
    own = len(names) == width and names != [f"Column_{i}" for i in range(width)]
    return {
        "task": "classifier" if classifier else "regressor",
        "n_features": width,
        "feature_names": names if own else None,
        "input_dtype": "float64",
        "input_shape": [None, width],
        "allows_missing": True,
        "classes": list(range(n_classes)) if classifier else None,
        "has_probabilities": classifier,
        "example": [0.0] * width,
        **(_with_categories(names, known) if known else {}),
    }


def torch_signature(path: Path) -> dict[str, Any]:
    """The signature of a TorchScript or torch.export program."""
    from model_server.torch_model import inputs_of

    taken = inputs_of(path)
    if not taken:
        raise ModelError("the PyTorch program takes no input")
    return {"task": "other", **_tensors(taken)}


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


def _with_categories(names: list[str], known: dict[str, list[Any]]) -> dict[str, Any]:
    """Columns of which some hold categories."""
    columns: list[tuple[str, str]] = []
    example: dict[str, Any] = {}
    for name in names:
        values = known.get(name)
        if values is None:
            columns.append((name, "float64"))
            example[name] = 0.0
            continue
        texts = all(isinstance(v, str) for v in values)
        columns.append((name, "str" if texts else "category"))
        example[name] = values[0] if values else None
    return {
        "columns": columns, "categories": known, "example": example, "allows_missing": True,
        "input_dtype": None, "input_shape": None,
    }  # fmt: skip


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


def _onnx_inputs(inputs: list[Any], onnx: Any) -> dict[str, Any]:
    described = []
    for value in inputs:
        kind = value.type.tensor_type
        if not kind.elem_type:
            raise ModelError(f"the ONNX input {value.name!r} is no tensor, which is not served")
        dtype = DTYPES.get(f"tensor({_type_word(kind.elem_type, onnx)})")
        if dtype is None:
            raise ModelError(f"the ONNX input {value.name!r} has a type that is not served")
        dims = kind.shape.dim if kind.HasField("shape") else []
        shape = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]
        described.append((value.name, dtype, shape))
    if not described:
        raise ModelError("the ONNX model takes no input")
    one_value = all(len(s) == 1 or (len(s) == 2 and s[1] == 1) for _, _, s in described)
    if len(described) == 1 or not one_value:
        return _tensors([(name, dtype, shape or None) for name, dtype, shape in described])
    return {
        "n_features": len(described),
        "feature_names": [name for name, _, _ in described],
        "columns": [(name, dtype) for name, dtype, _ in described],
        "example": {name: "" if dtype == "str" else 0 for name, dtype, _ in described},
    }


def _tensors(taken: list[tuple[str, str, list[int | None] | None]]) -> dict[str, Any]:
    """The signature of one tensor, or of several with names."""
    if len(taken) == 1:
        name, dtype, shape = taken[0]
        found: dict[str, Any] = {"input_name": name, "input_dtype": dtype}
        if shape:
            found["input_shape"] = shape
            if len(shape) == 2 and shape[1]:
                found["n_features"] = shape[1]
            found["example"] = _zeros(shape[1:], dtype)
        return found
    found = {
        "n_features": len(taken),
        "feature_names": [name for name, _, _ in taken],
        "tensors": taken,
    }
    if all(shape for _, _, shape in taken):
        found["example"] = {name: _zeros((shape or [])[1:], dtype) for name, dtype, shape in taken}
    return found


def _type_word(code: int, onnx: Any) -> str:
    return str(onnx.TensorProto.DataType.Name(code)).lower()


def _zeros(shape: list[int | None], dtype: str) -> Any:
    if not shape:
        return "" if dtype == "str" else 0
    return [_zeros(shape[1:], dtype) for _ in range(shape[0] or 1)]


def _onnx_outputs(model: Any, onnx: Any) -> dict[str, Any]:
    outputs = list(model.graph.output)
    classes: list[Any] | None = None
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
                classes = [int(v) for v in attribute.ints]
            elif attribute.name == "classlabels_strings" and attribute.strings:
                classes = [v.decode("utf-8", "replace") for v in attribute.strings]
    classifier = classes is not None and len(outputs) >= 2
    return {
        "task": "classifier" if classifier else "other",
        "classes": classes if classifier else None,
        "has_probabilities": classifier,
        "allows_missing": False,
    }
