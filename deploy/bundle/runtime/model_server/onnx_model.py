"""ONNX models through ONNX Runtime; nothing else is imported for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelError, RequestError
from .exported import by_row, row_by_row
from .signature import Signature
from .values import Batch, Method, Output

DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
    "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(int16)": "int16",
    "tensor(int8)": "int8", "tensor(uint8)": "uint8", "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32", "tensor(uint64)": "uint64", "tensor(bool)": "bool",
    "tensor(string)": "str",
}  # fmt: skip


class OnnxModel:
    """A session with one input tensor or several, or one input for each column."""

    def __init__(self, path: Path, signature: Signature, threads: int) -> None:
        import onnxruntime as ort

        self.signature = signature
        ort.disable_telemetry_events()  # a model server calls nobody
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it raises is told; its own lines are no JSON
        # A model may not name files beside itself; from bytes there is no folder to name.
        try:
            self._session = ort.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except _runtime_errors() as error:
            raise ModelError(
                f"ONNX Runtime {ort.__version__} cannot load the model: {str(error)[:300]}"
            ) from error
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._batch_rows = signature.batch_rows
        self._as_sent = signature.tensors is not None
        # A column of a table is a tensor of one value a row, with or without a dimension of it.
        self._shapes: dict[str, tuple[int, ...]] = {
            i.name: (-1,) if len(i.shape) == 1 else (-1, 1) for i in self._session.get_inputs()
        }
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._label, self._scores = _roles(self._session.get_outputs(), signature)
        self._shares = _columns_of_classes(self._session.get_outputs(), signature)
        self._new_options: Any = ort.RunOptions
        self._local = threading.local()
        classes = signature.classes
        self._classes = np.asarray(classes) if classes else None
        self._keys = [str(c) for c in classes] if classes else None

    def predict(self, batch: Batch, method: Method) -> Output:
        size = self._batch_rows
        if size is not None and batch.rows != size:
            return row_by_row(self.predict, size, batch, method)
        if batch.kind == "columns":
            feed = batch.data
            if not self._as_sent:
                feed = {n: c.reshape(self._shapes[n]) for n, c in feed.items()}
        else:
            feed = {self._inputs[0]: batch.data}
        if self._scores is None:
            if method == "predict_proba":
                raise RequestError(
                    422, "no_probabilities", "this model gives no probabilities; leave out "
                    'parameters.method or use "predict"',
                )  # fmt: skip
            (values,) = self._run([self._label], feed)
            return Output(by_row(values, batch.rows))
        if self._shares:
            return self._by_column(feed, method)
        wanted = [self._scores] if method == "predict_proba" else [self._label, self._scores]
        if method == "predict":
            wanted = [self._label]
        found = dict(zip(wanted, self._run(wanted, feed), strict=True))
        labels, scores = found.get(self._label), found.get(self._scores)
        keys = self._keys
        if isinstance(scores, list):  # a ZipMap: one dictionary a row
            keys = [str(k) for k in scores[0]] if scores else keys
            scores = np.array([list(row.values()) for row in scores])
        if method == "predict_proba":
            return Output(None, scores)
        return Output(labels, scores, keys)

    def stopper(self) -> Callable[[], None]:
        """What ends this thread's calls from now on: at the next node, also within a loop."""
        options = self._local.options = self._new_options()
        return lambda: setattr(options, "terminate", True)

    def _run(self, wanted: list[str], feed: dict[str, Any]) -> list[Any]:
        found: list[Any] = self._session.run(wanted, feed, getattr(self._local, "options", None))
        return found

    def _by_column(self, feed: dict[str, Any], method: Method) -> Output:
        """skl2onnx's zipmap="columns": an output for each class."""
        if method == "predict":
            return Output(self._run([self._label], feed)[0])
        label, *shares = self._run([self._label, *self._shares], feed)
        scores = np.column_stack(shares)
        return Output(None if method == "predict_proba" else label, scores, self._keys)


def _runtime_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's own errors have no common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (*own, RuntimeError, ValueError)


def _columns_of_classes(outputs: list[Any], signature: Signature) -> list[str]:
    """The outputs that hold one class each, or none where one output holds them all."""
    shares = outputs[1:]
    flat = all(len(o.shape) == 1 and o.type.startswith("tensor") for o in shares)
    if len(shares) < 2 or not flat or len(shares) != len(signature.classes or ()):
        return []
    return [o.name for o in shares]


def _roles(outputs: list[Any], signature: Signature) -> tuple[str, str | None]:
    """(the output that answers, the one with probabilities or None)."""
    label = outputs[0].name
    if signature.has_probabilities and len(outputs) > 1:
        return label, outputs[1].name
    return label, None
