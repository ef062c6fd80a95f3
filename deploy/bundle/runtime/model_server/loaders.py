"""One interface over the model libraries. Each is imported only when a model of it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .errors import ModelError, RequestError
from .signature import Signature
from .values import Batch, Method, Output


class Model(Protocol):
    """A loaded model. `predict` is called from one worker at a time or several, by its library's
    own leave: every library here allows concurrent prediction."""

    signature: Signature

    def predict(self, batch: Batch, method: Method) -> Output: ...


def load(format_: str, path: Path, signature: Signature, threads: int = 1) -> Model:
    """The model in `path`. Blocks; raises ModelError (or its subclass for refused content).

    `format_` is joblib, pickle, skops, onnx, torch, xgboost or lightgbm. `threads`: processor
    threads that one prediction may use.
    """
    make = _LOADERS.get(format_)
    if make is None:
        raise ModelError(f"there is no loader for {format_!r}; it is one of {', '.join(_LOADERS)}")
    try:
        return make(path, signature, threads)
    except ModuleNotFoundError as missing:
        package = {"sklearn": "scikit-learn"}.get(missing.name or "", missing.name)
        raise ModelError(
            f"the model is a {format_} file and {package} is not installed; "
            f"pip install {package}, or export the model to ONNX"
        ) from missing


def load_object(format_: str, path: Path) -> Any:
    """The Python object in a joblib, pickle or skops file, checked by the allow-list."""
    from . import safe_pickle, safe_skops, structure

    found = safe_skops.load(path) if format_ == "skops" else safe_pickle.load(path)
    structure.check(found)
    structure.fill_new_parameters(found)
    structure.renew_tree_values(found)
    return found


def _python_object(path: Path, signature: Signature, threads: int) -> Model:
    from .sklearn_model import SklearnModel

    format_ = "skops" if path.suffix == ".skops" or _is_zip(path) else "pickle"
    return SklearnModel(load_object(format_, path), signature)


def _onnx(path: Path, signature: Signature, threads: int) -> Model:
    from .onnx_model import OnnxModel

    return OnnxModel(path, signature, threads)


def _xgboost(path: Path, signature: Signature, threads: int) -> Model:
    import xgboost

    from . import boosters

    learner = boosters.check_xgboost(path.read_bytes())["learner"]
    booster = xgboost.Booster({"nthread": threads})
    # The library picks its parser by the file's ending; bytes name the form themselves.
    booster.load_model(bytearray(path.read_bytes()))
    booster.set_param({"nthread": threads})

    trees = rounds_of(booster.attributes())

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(
            booster.inplace_predict(rows, iteration_range=trees, validate_features=False)
        )

    def predict_linear(rows: np.ndarray) -> np.ndarray:
        matrix = xgboost.DMatrix(rows, nthread=threads)
        return np.asarray(booster.predict(matrix, validate_features=False))

    if learner["gradient_booster"].get("name") == "gblinear":  # it has no trees to ask in place
        return BoosterModel(predict_linear, signature)

    return BoosterModel(predict, signature, strict=True)


def _lightgbm(path: Path, signature: Signature, threads: int) -> Model:
    import lightgbm

    from . import boosters

    text = path.read_text(encoding="utf-8")
    boosters.check_lightgbm(text)
    booster = lightgbm.Booster(model_str=text)

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(rows, num_threads=threads))

    return BoosterModel(predict, signature)


def _torch(path: Path, signature: Signature, threads: int) -> Model:
    from .torch_model import TorchModel

    return TorchModel(path, signature, threads)


_LOADERS: dict[str, Callable[[Path, Signature, int], Model]] = {
    "joblib": _python_object,
    "pickle": _python_object,
    "skops": _python_object,
    "onnx": _onnx,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "torch": _torch,
}


class BoosterModel:
    """An XGBoost or LightGBM model in its own file: numbers in, margins or probabilities out."""

    def __init__(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        signature: Signature,
        *,
        strict: bool = False,
    ) -> None:
        """`strict`: a category that training never saw is refused and not a missing value."""
        self.signature = signature
        self._strict = strict
        self._predict = predict
        self._classes = np.asarray(signature.classes) if signature.classes else None
        self._keys = [str(c) for c in signature.classes] if signature.classes else None
        self._codes = {
            name: {value: float(code) for code, value in enumerate(values)}
            for name, values in (signature.categories or {}).items()
        }

    def predict(self, batch: Batch, method: Method) -> Output:
        rows = self._coded(batch) if batch.kind == "columns" else batch.data
        raw = np.asarray(self._predict(rows))
        if self._classes is None or not self.signature.has_probabilities:
            return Output(raw if self._classes is None else raw.astype(np.int64))
        probabilities = raw if raw.ndim == 2 else np.column_stack([1.0 - raw, raw])
        if method == "predict_proba":
            return Output(None, probabilities)
        labels = self._classes[probabilities.argmax(axis=1)]
        if method == "predict":
            return Output(labels)
        return Output(labels, probabilities, self._keys)

    def _coded(self, batch: Batch) -> np.ndarray:
        """Categories as the codes that the library gave them; others as it takes them of a table:
        XGBoost not at all, LightGBM as missing."""
        parts = []
        for name, column in batch.data.items():
            codes = self._codes.get(name)
            if codes is not None:
                for i, value in enumerate(column if self._strict else ()):
                    if value is not None and value not in codes:
                        raise RequestError(
                            422, "category", f"row {i}, {name!r} is {str(value)[:40]!r}, which the "
                            f"model never saw; it knows {str(list(codes))[1:-1][:200]}",
                        )  # fmt: skip
                column = [codes.get(value, np.nan) for value in column]
            parts.append(np.asarray(column, dtype=np.float64))
        return np.column_stack(parts)


def rounds_of(attributes: dict[str, str | None]) -> tuple[int, int]:
    """The rounds that predict: what XGBClassifier and its kin saved after stopping early answers
    with the best one, as they do; a Booster answers with all (0, 0), as it does."""
    best = attributes.get("best_iteration")
    if "scikit_learn" not in attributes or best is None or not best.isdigit():
        return 0, 0
    return 0, int(best) + 1


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
