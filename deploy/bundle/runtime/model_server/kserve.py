"""KServe's V2 inference protocol in JSON: named tensors in, named tensors out.

Source: the Open Inference Protocol, https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import RequestError
from .parsing import parse_json
from .payload import Decoder, Request
from .signature import Signature
from .values import Output

V2_TYPES = {
    "float16": "FP16", "float32": "FP32", "float64": "FP64", "int8": "INT8", "int16": "INT16",
    "int32": "INT32", "int64": "INT64", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32",
    "uint64": "UINT64", "bool": "BOOL", "str": "BYTES", "object": "BYTES",
}  # fmt: skip


def decode(body: bytes, decoder: Decoder) -> tuple[Request, str | None]:
    """(validated rows, the request's own id). Raises RequestError."""
    found = parse_json(body) if body.strip() else None
    inputs = found.get("inputs") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(inputs, list) or not inputs:
        raise RequestError(
            400, "inputs", 'the body needs "inputs": [{"name", "shape", "datatype", "data"}]'
        )
    tensors = [_tensor(i, tensor) for i, tensor in enumerate(inputs)]
    several = decoder.signature.tensors
    single = len(tensors) == 1 and not decoder.signature.columns and not several
    rows = tensors[0][1] if single else _records(tensors, unwrap=not several)
    method = Decoder.method(found.get("parameters"))
    return Request(decoder.batch(rows), method), found.get("id")


def encode(output: Output, model_name: str, request_id: str | None) -> dict[str, Any]:
    """The V2 answer: `predict` (labels or values) and, for classifiers, `probabilities`."""
    outputs = []
    if output.values is not None:
        outputs.append(_output("predict", np.asarray(output.values)))
    if output.probabilities is not None:
        outputs.append(_output("probabilities", np.asarray(output.probabilities)))
    answer: dict[str, Any] = {"model_name": model_name, "outputs": outputs}
    if request_id is not None:
        answer["id"] = request_id
    return answer


def metadata(signature: Signature, model_name: str, platform: str) -> dict[str, Any]:
    """The answer of GET /v2/models/{name}."""
    if signature.columns:
        inputs = [
            {"name": n, "datatype": V2_TYPES.get(d, "BYTES"), "shape": [-1, 1]}
            for n, d in signature.columns
        ]
    elif signature.tensors:
        inputs = [
            {"name": n, "datatype": V2_TYPES.get(d, "BYTES"),
             "shape": [-1 if side is None else side for side in shape or [None]]}
            for n, d, shape in signature.tensors
        ]  # fmt: skip
    else:
        shape = signature.input_shape or [None]
        inputs = [
            {
                "name": signature.input_name or "input",
                "datatype": V2_TYPES.get(signature.input_dtype or "", "FP64"),
                "shape": [-1 if n is None else n for n in shape],
            }
        ]
    outputs = [{"name": "predict", "datatype": "BYTES", "shape": [-1]}]
    if signature.has_probabilities:
        count = len(signature.classes) if signature.classes else -1
        outputs.append({"name": "probabilities", "datatype": "FP64", "shape": [-1, count]})
    return {"name": model_name, "platform": platform, "inputs": inputs, "outputs": outputs}


def _tensor(number: int, tensor: Any) -> tuple[str, list[Any]]:
    """(name, rows) of one input: `data` may be flat or nested."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("data"), list):
        raise RequestError(400, "inputs", f'inputs[{number}] needs "data" as a list')
    data, shape = tensor["data"], tensor.get("shape")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise RequestError(400, "inputs", f'inputs[{number}] needs "shape", such as [2, 30]')
    if data and not isinstance(data[0], list) and len(shape) > 1:
        if len(data) != math.prod(shape):
            raise RequestError(
                422, "shape",
                f"inputs[{number}] has {len(data)} values and shape {shape} needs "
                f"{math.prod(shape)}",
            )  # fmt: skip
        data = _nested(data, shape[1:])
    if shape and len(data) != shape[0]:
        raise RequestError(
            422, "shape", f"inputs[{number}] has {len(data)} rows and shape {shape} says {shape[0]}"
        )
    return str(tensor.get("name", "")), data


def _nested(flat: list[Any], shape: list[int]) -> list[Any]:
    for size in reversed(shape):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)] if size else []
    return flat


def _records(tensors: list[tuple[str, list[Any]]], *, unwrap: bool) -> list[Any]:
    """One record a row; `unwrap`: the inputs are columns, of one value a row."""
    counts = {len(rows) for _, rows in tensors}
    if len(counts) != 1:
        raise RequestError(422, "shape", f"the inputs have unequal numbers of rows: {counts}")
    columns = {
        name: [v[0] if unwrap and isinstance(v, list) and len(v) == 1 else v for v in rows]
        for name, rows in tensors
    }
    return [{n: column[i] for n, column in columns.items()} for i in range(counts.pop())]


def _output(name: str, array: np.ndarray) -> dict[str, Any]:
    kind = str(array.dtype) if array.dtype.kind not in "USO" else "object"
    return {
        "name": name,
        "datatype": V2_TYPES.get(kind, "BYTES"),
        "shape": list(array.shape),
        "data": array.reshape(-1).tolist(),
    }
