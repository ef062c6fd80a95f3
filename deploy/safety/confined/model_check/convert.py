"""Converts a model to ONNX in the confined process and compares the two on many rows."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from model_server import loaders
from model_server.errors import ModelError
from model_server.onnx_model import OnnxModel
from model_server.payload import Decoder
from model_server.signature import Signature
from model_server.sklearn_model import SklearnModel
from model_server.values import Batch, joined

from . import ranges
from .timing import _calls, _rows

PICKLED = ("joblib", "pickle", "skops")
OPSET = 17
BOOSTER_OPSET = 15  # the newest that onnxmltools writes for trees
LEAST_CALLS = 5


class _Bytes:
    """A model in memory where a path is expected: the process may write nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_bytes(self) -> bytes:
        return self._data


def run(payload: dict[str, Any]) -> dict[str, Any]:
    """Convert payload["path"] and hold both models against each other.

    Payload: path, format, signature, sample, content_type, rows, batch_rows, seconds, seed, and
    probability and value (tolerances). Returns the ONNX bytes in base64, the differences, and
    milliseconds of processor time for one row and for a batch. Raises ModelError where there is no
    conversion.
    """
    signature = Signature.of(payload["signature"])
    path = Path(payload["path"])
    if signature.n_features is None or (signature.input_dtype or "") in ("str", "object"):
        raise ModelError(
            "only models of numbers in columns are converted; this one takes texts or records: "
            "export it yourself, or serve it as it is"
        )
    if signature.categories:
        raise ModelError(
            "the model takes categories, for which there is no conversion here: serve it as it is"
        )
    if payload["format"] in PICKLED:
        found = loaders.load_object(payload["format"], path)
        model: loaders.Model = SklearnModel(found, signature)
        data, spans = _sklearn(found, signature), ranges.of_estimator(found, signature.n_features)
    else:
        found = loaders.load(payload["format"], path, signature)
        model = found
        data, spans = _booster(payload["format"], path, signature)
    converted = OnnxModel(_Bytes(data), _onnx_signature(signature), 1)  # type: ignore[arg-type]
    given = _rows(payload, Decoder(signature), signature) if payload["sample"] else None
    made = ranges.rows(spans, signature, int(payload["rows"]), int(payload["seed"]))
    batch = made if given is None else joined([_single_precision(given), made])
    return {
        "onnx": base64.b64encode(data).decode(),
        "rows": batch.rows,
        "rows_given": 0 if given is None else given.rows,
        "range_from": spans.source,
        **_compared(model, converted, batch, payload),
        "times_ms": {
            name: {
                "one": _time(one, batch.part(0, 1), payload["seconds"]),
                "batch": _time(one, batch.part(0, int(payload["batch_rows"])), payload["seconds"]),
            }
            for name, one in (("before", model), ("after", converted))
        },
    }


def _sklearn(model: Any, signature: Signature) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    types: list[tuple[str, Any]] = [("X", FloatTensorType([None, signature.n_features]))]
    if signature.columns is not None:
        types = []
        for name, dtype in signature.columns:
            if dtype == "any":
                raise ModelError(
                    f"it is not known what column {name!r} holds, so it is not converted"
                )
            kind = StringTensorType if dtype == "str" else FloatTensorType
            types.append((name, kind([None, 1])))
    options = {"zipmap": False} if signature.task == "classifier" else None
    try:
        made = to_onnx(model, initial_types=types, options=options, target_opset=OPSET)
    except (MissingConverter, MissingShapeCalculator) as missing:
        kind = _unknown(str(missing))
        raise ModelError(
            f"there is no conversion for {kind}; serve the model as it is, or replace that step"
        ) from missing
    except (RuntimeError, ValueError, TypeError, NotImplementedError, NameError) as failed:
        raise ModelError(f"the conversion failed: {str(failed)[:200]}") from failed
    return bytes(made.SerializeToString())


def _booster(format_: str, path: Path, signature: Signature) -> tuple[bytes, ranges.Spans]:
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    width = int(signature.n_features or 0)
    types = [("X", FloatTensorType([None, width]))]
    try:
        if format_ == "xgboost":
            import xgboost

            booster = xgboost.Booster()
            booster.load_model(bytearray(path.read_bytes()))
            _, stop = loaders.rounds_of(booster.attributes())
            booster = booster[:stop] if stop else booster
            booster.feature_names = None  # the converter wants f0, f1, ...
            made = convert_xgboost(booster, initial_types=types, target_opset=BOOSTER_OPSET)
            spans = ranges.of_xgboost(booster, width)
        elif format_ == "lightgbm":
            import lightgbm

            text = path.read_text(encoding="utf-8")
            made = convert_lightgbm(
                lightgbm.Booster(model_str=text), initial_types=types,
                target_opset=BOOSTER_OPSET, zipmap=False,
            )  # fmt: skip
            spans = ranges.of_lightgbm(text, width)
        else:
            raise ModelError(f"a {format_} model is not converted; it runs as it is")
    except (RuntimeError, ValueError, TypeError, NotImplementedError, KeyError) as failed:
        raise ModelError(f"the conversion failed: {str(failed)[:200]}") from failed
    for output in made.graph.output:  # some converters write one row where any number fits
        for dim in output.type.tensor_type.shape.dim[:1]:
            dim.Clear()
    return bytes(made.SerializeToString()), spans


def _onnx_signature(signature: Signature) -> Signature:
    return replace(signature, input_dtype="float32", input_name="X")


def _compared(
    model: loaders.Model, converted: OnnxModel, batch: Batch, payload: dict[str, Any]
) -> dict[str, Any]:
    """How far the answers are apart. Labels count as equal where the best two are nearly tied."""
    before = model.predict(batch, "default")
    after = converted.predict(_as_float32(batch), "default")
    labels_differ = 0
    if before.probabilities is not None and after.probabilities is not None:
        old = np.asarray(before.probabilities, dtype=np.float64)
        new = np.asarray(after.probabilities, dtype=np.float64)
        if old.shape != new.shape:
            raise ModelError(
                f"the converted model gives {new.shape} probabilities, not {old.shape}"
            )
        apart, scale, kind = np.abs(old - new).max(axis=1), 1.0, "probability"
        best = np.sort(old, axis=1)[:, -2:]
        clear = best[:, -1] - best[:, 0] > 2 * np.maximum(apart, payload["probability"])
        different = np.asarray(before.values).astype(str) != np.asarray(after.values).astype(str)
        labels_differ = int((different & clear & (apart <= payload["probability"])).sum())
    elif (
        np.asarray(before.values).dtype.kind in "fiu"
        and payload["signature"]["task"] != "classifier"
    ):
        old = np.asarray(before.values, dtype=np.float64).reshape(batch.rows, -1)
        new = np.asarray(after.values, dtype=np.float64).reshape(batch.rows, -1)
        scale = float(max(old.std(), 1e-3 * np.abs(old).mean(), 1e-12))
        apart, kind = np.abs(old - new).max(axis=1) / scale, "value"
    else:
        different = np.asarray(before.values).astype(str) != np.asarray(after.values).astype(str)
        apart, scale, kind = different.astype(np.float64), 1.0, "value"
        labels_differ = int(different.sum())
    if not np.isfinite(apart).all():
        raise ModelError("the converted model answers some rows with no number")
    return {
        "kind": kind,
        "scale": scale,
        "worst": float(apart.max()),
        "typical": float(np.median(apart)),
        "rows_beyond": int((apart > payload[kind]).sum()),
        "labels_differ": labels_differ,
    }


def _as_float32(batch: Batch) -> Batch:
    if batch.kind == "columns":
        data: Any = {
            name: column if column.dtype.kind in "OUS" else column.astype(np.float32)
            for name, column in batch.data.items()
        }
        return Batch(batch.kind, data, batch.rows)
    return Batch(batch.kind, batch.data.astype(np.float32), batch.rows)


def _single_precision(batch: Batch) -> Batch:
    """The same rows as the converted model will see them, in the type of the first model."""
    if batch.kind == "columns":
        return batch
    return Batch(batch.kind, batch.data.astype(np.float32).astype(batch.data.dtype), batch.rows)


def _time(model: loaders.Model, batch: Batch, seconds: float) -> float:
    """Median milliseconds of processor time."""
    rows = _as_float32(batch) if isinstance(model, OnnxModel) else batch
    model.predict(rows, "default")
    times = _calls(lambda _i: model.predict(rows, "default"), float(seconds), LEAST_CALLS)
    return float(np.median([cpu for _, cpu in times]))


def _unknown(text: str) -> str:
    """The class that has no converter, out of the library's long message."""
    for word in text.replace("'", " ").split():
        if "." in word and word.split(".")[-1][:1].isupper():
            return word.split(".")[-1].strip(">,.")[:80]
    return "a step of this pipeline"
