"""What a model expects, read from a file that names it (ONNX, XGBoost, LightGBM, PyTorch), as a
plain dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_server import boosters
from model_server.errors import ModelError, RefusedModelError
from model_server.onnx_model import DTYPES

MOST_NODES = 1_000_000  # of an ONNX graph with its functions written out
KNOWN_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "com.microsoft", "com.microsoft.nchwc",
     "org.pytorch.aten", "ai.onnx.preview.training"}
)  # fmt: skip


def onnx_signature(path: Path) -> dict[str, Any]:
    """The signature of an ONNX model, after refusing data outside the file."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except (DecodeError, RuntimeError, ValueError) as broken:
        raise ModelError(f"the ONNX model is damaged: {str(broken)[:160]}") from broken
    for tensor in _all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            where = next((e.value for e in tensor.external_data if e.key == "location"), "?")
            raise RefusedModelError(
                f"the ONNX model keeps tensor {tensor.name[:60]!r} in another file "
                f"({where[:80]!r}); save it as one file, with onnx.save_model(..., "
                "save_as_external_data=False)"
            )
    _check_functions(model)
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
    coded = boosters.xgboost_coded(learner, names) if len(names) == width else {}
    return {
        "task": "classifier" if classifier else "regressor",
        "n_features": width,
        "feature_names": names if len(names) == width else None,
        "input_dtype": "float32",
        "input_shape": [None, width],
        "allows_missing": True,
        "classes": list(range(n_classes)) if classifier else None,
        "has_probabilities": classifier and objective not in ("binary:hinge", "multi:softmax"),
        "coded": coded or None,
        "example": [0.0] * width,
        **(with_categories(names, known) if known else {}),
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
        **(with_categories(names, known) if known else {}),
    }


def torch_signature(path: Path) -> dict[str, Any]:
    """The signature of a TorchScript or torch.export program."""
    from model_server.torch_model import inputs_of

    taken = inputs_of(path)
    if not taken:
        raise ModelError("the PyTorch program takes no input")
    return {"task": "other", **_tensors(taken)}


def with_categories(names: list[str], known: dict[str, list[Any]]) -> dict[str, Any]:
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


def _all_tensors(model: Any) -> Iterator[Any]:
    """Every tensor in the file, wherever: initialisers, sparse ones, attributes, branches."""
    todo = [model]
    while todo:
        item = todo.pop()
        if item.DESCRIPTOR.name == "TensorProto":
            yield item
            continue
        for field, value in item.ListFields():
            if field.message_type is not None:
                todo.extend(value if hasattr(value, "__len__") else [value])


def _check_functions(model: Any) -> None:
    """A model's own functions are written out where they are called, each call anew."""
    known = {(f.domain, f.name): f.node for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    open_: set[tuple[str, str]] = set()

    def size_of(nodes: Any) -> int:
        total = 0
        for node in nodes:
            total += 1
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    total += size_of(graph.node)
            name = (node.domain, node.op_type)
            if name in known:
                if name in open_:
                    raise RefusedModelError(f"the ONNX function {name[1][:60]!r} calls itself")
                if name not in sizes:
                    open_.add(name)
                    sizes[name] = size_of(known[name])
                    open_.discard(name)
                total += sizes[name]
        return total

    if (total := size_of(model.graph.node)) > MOST_NODES:
        raise RefusedModelError(
            f"the ONNX model's functions come to {total:.3g} operators when they are written out"
        )
