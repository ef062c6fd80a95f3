"""The range that a model was trained in, as far as the model remembers, and rows within it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from model_server.errors import ModelError
from model_server.signature import Signature
from model_server.values import Batch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MARGIN = 0.1  # of the range, on each side: rows beyond the outermost split
DEVIATIONS = 3.0
UNKNOWN = 3.0  # where nothing is remembered: standard normal numbers, cut here


@dataclass
class Spans:
    """Lowest and highest value of each feature, and where they come from, in words."""

    low: Floats
    high: Floats
    source: str


def of_estimator(model: Any, width: int) -> Spans:
    """From the first step that remembers: a scaler's statistics, or the splits of trees."""
    for step in _steps(model):
        if _has(step, "data_min_", "data_max_", width):
            return Spans(step.data_min_, step.data_max_, "the scaler's smallest and largest values")
        if _has(step, "mean_", "scale_", width):
            spread = DEVIATIONS * np.asarray(step.scale_, dtype=np.float64)
            return Spans(
                step.mean_ - spread, step.mean_ + spread, "the scaler's mean and deviation"
            )
        splits = _splits(step)
        if splits:
            return _of_splits(splits, width, "the splits of the trees")
    return _unknown(width)


def of_xgboost(booster: Any, width: int) -> Spans:
    """From the splits of the trees."""
    table = booster.trees_to_dataframe()
    inner = table[table["Feature"] != "Leaf"]
    splits = [
        (int(str(name)[1:]), float(at))
        for name, at in zip(inner["Feature"], inner["Split"], strict=True)
        if str(name)[1:].isdigit() and np.isfinite(at)
    ]
    return _of_splits(splits, width, "the splits of the trees") if splits else _unknown(width)


def of_lightgbm(text: str, width: int) -> Spans:
    """From the header, which keeps each feature's smallest and largest value."""
    line = next((ln for ln in text.splitlines() if ln.startswith("feature_infos=")), "")
    found = line.partition("=")[2].split(" ")
    if len(found) != width:
        return _unknown(width)
    low, high = np.zeros(width), np.ones(width)
    for i, info in enumerate(found):
        if info.startswith("["):
            first, _, last = info.strip("[]").partition(":")
            low[i], high[i] = float(first), float(last)
        elif ":" in info:
            raise ModelError("LightGBM models with categories are not converted; serve it as it is")
    return Spans(low, high, "the values that the model was trained on")


def rows(spans: Spans, signature: Signature, count: int, seed: int) -> Batch:
    """Random rows in the spans, in the model's own form; numbers are exact in single precision."""
    random = np.random.default_rng(seed)
    low, high = np.asarray(spans.low, np.float64), np.asarray(spans.high, np.float64)
    extra = MARGIN * np.maximum(high - low, 1e-9)
    values = random.uniform(low - extra, high + extra, (count, low.size)).astype(np.float32)
    if signature.columns is None:
        return Batch("array", values.astype(signature.input_dtype or "float64"), count)
    example = signature.example or {}
    data: dict[str, Any] = {}
    for i, (name, dtype) in enumerate(signature.columns):
        if dtype == "str":
            # Only one category is known, and one that is not: both must be answered alike.
            known = str(example.get(name, ""))
            data[name] = np.where(random.random(count) < 0.8, known, known + "?").astype(object)
        else:
            data[name] = values[:, i].astype(np.float64)
    return Batch("columns", data, count)


def _steps(model: Any) -> list[Any]:
    """The model itself, its first steps, and what a search or a wrapper holds."""
    found: list[Any] = []
    now = model
    while now is not None and len(found) < 10:
        found.append(now)
        steps = getattr(now, "steps", None)
        now = steps[0][1] if steps else getattr(now, "best_estimator_", None)
    steps = getattr(model, "steps", None)
    return [*found[::-1], *([steps[-1][1]] if steps else [])]


def _has(step: Any, first: str, second: str, width: int) -> bool:
    values: list[Any] = [getattr(step, first, ()), getattr(step, second, ())]
    return all(v is not None and np.shape(v) == (width,) for v in values)


def _splits(step: Any) -> list[tuple[int, float]]:
    trees = [t for t in np.ravel(getattr(step, "estimators_", [])) if hasattr(t, "tree_")]
    if hasattr(step, "tree_"):
        trees = [step]
    out: list[tuple[int, float]] = []
    for one in trees:
        feature, at = one.tree_.feature, one.tree_.threshold
        out += [(int(f), float(t)) for f, t in zip(feature, at, strict=True) if f >= 0]
    for group in getattr(step, "_predictors", []):  # histogram gradient boosting
        for predictor in group:
            nodes = predictor.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            out += [
                (int(f), float(t))
                for f, t in zip(inner["feature_idx"], inner["num_threshold"], strict=True)
                if np.isfinite(t)
            ]
    return out


def _of_splits(splits: list[tuple[int, float]], width: int, source: str) -> Spans:
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for feature, at in splits:
        low[feature], high[feature] = min(low[feature], at), max(high[feature], at)
    unused = ~np.isfinite(low)
    low[unused], high[unused] = -1.0, 1.0
    flat = high - low < 1e-9
    low[flat], high[flat] = low[flat] - 1.0, high[flat] + 1.0
    return Spans(low, high, source)


def _unknown(width: int) -> Spans:
    return Spans(
        np.full(width, -UNKNOWN), np.full(width, UNKNOWN),
        f"numbers from {-UNKNOWN:g} to {UNKNOWN:g}: the model remembers no range, give a sample",
    )  # fmt: skip
