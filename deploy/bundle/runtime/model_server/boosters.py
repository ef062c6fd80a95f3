"""Looks at XGBoost and LightGBM model files before their native libraries do.

Those libraries trust the indices and lengths in a file; a wrong one reads memory that is not
theirs. Only the structure is looked at here, in plain Python, and the signature is read on the
way. Formats: XGBoost's JSON and its UBJSON form (https://xgboost.readthedocs.io, "Introduction to
Model IO"), LightGBM's text form (https://lightgbm.readthedocs.io).
"""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from typing import Any

from .booster_bounds import (
    check_categories,
    check_outputs,
    leaf_categories_fit,
    leaf_formulas_fit,
)
from .errors import ModelError, RefusedModelError

MAX_DEPTH = 64
_UBJ_NUMBERS = {"i": "b", "U": "B", "I": ">h", "l": ">i", "L": ">q", "u": ">H", "m": ">I",
                "M": ">Q", "d": ">f", "D": ">d"}  # fmt: skip


def check_xgboost(data: bytes) -> dict[str, Any]:
    """The parsed model after a look at every index in it. Raises ModelError or its subclass."""
    model = parse_xgboost(data)
    learner = model.get("learner") or model.get("Model", {}).get("learner")
    if not isinstance(learner, dict):
        raise ModelError("the file has no learner, so it is not a whole XGBoost model")
    try:
        n_features = int(learner["learner_model_param"]["num_feature"])
        booster = learner["gradient_booster"]
        booster = booster.get("gbtree", booster)  # dart wraps the trees once more
        trees = booster["model"].get("trees", [])
    except (KeyError, TypeError, ValueError, AttributeError) as broken:
        raise ModelError(f"the XGBoost model lacks {broken}; save it again") from broken
    for number, tree in enumerate(trees):
        _check_tree(number, tree, n_features)
    check_outputs(learner, booster["model"], len(trees), n_features)
    return {"learner": learner}


def parse_xgboost(data: bytes) -> dict[str, Any]:
    """The content of an XGBoost JSON or UBJSON file as Python values."""
    if not data[:1] == b"{":
        raise ModelError("the file is no XGBoost JSON or UBJSON model; save it as .json or .ubj")
    if data[1:2] in (b'"', b" ", b"\n", b"\t", b"\r"):
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as broken:
            raise ModelError(f"the XGBoost JSON is damaged: {str(broken)[:120]}") from broken
    else:
        found = _Ubj(data).value(0)
    if not isinstance(found, dict):
        raise ModelError("the XGBoost file does not hold an object")
    return found


def check_lightgbm(text: str) -> dict[str, str]:
    """The header of a LightGBM model, after a look at every index in its trees."""
    if not text.startswith("tree\n"):
        raise ModelError("the file is no LightGBM text model; save it with booster.save_model()")
    if "end of trees" not in text:
        raise ModelError("the LightGBM model is cut short; copy it again")
    head, *trees = text.split("\nTree=")
    header = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    try:
        last = int(header["max_feature_idx"])
        outputs = int(header.get("num_class", "1"))
        a_round = int(header.get("num_tree_per_iteration", outputs))
    except (KeyError, ValueError) as broken:
        raise ModelError(
            "the LightGBM model does not say how many features and classes it has"
        ) from broken
    if not 0 < outputs == a_round or outputs > max(len(trees), 1):
        raise RefusedModelError(
            f"the LightGBM model has {outputs} classes and {a_round} trees a round, of "
            f"{len(trees)}; save the model again"
        )
    for number, block in enumerate(trees):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        _check_leaves(number, fields, last)
    return header


def lightgbm_categories(text: str, header: dict[str, str]) -> dict[str, list[Any]] | None:
    """The values of each feature that was a pandas category, in the order of its codes; None where
    there is none, or the file does not tell which feature is which."""
    line = next((x for x in text.rsplit("\n", 5) if x.startswith("pandas_categorical:")), "")
    try:
        lists = json.loads(line.partition(":")[2] or "null")
    except ValueError as broken:
        raise ModelError(f"the LightGBM model's categories are damaged: {broken}") from broken
    infos = header.get("feature_infos", "").split()
    names = header.get("feature_names", "").split()
    coded = [n for n, info in zip(names, infos, strict=False) if info[:1] not in ("[", "n")]
    if not isinstance(lists, list) or not lists or len(lists) != len(coded):
        return None
    if not all(isinstance(values, list) and _are_plain(values) for values in lists):
        return None
    return dict(zip(coded, lists, strict=True))


def xgboost_categories(learner: dict[str, Any], names: list[str]) -> dict[str, list[Any]] | None:
    """As `lightgbm_categories`, of what XGBoost keeps since 3.1; texts alone."""
    model = learner["gradient_booster"].get("model") or {}
    kept = model.get("cats") if isinstance(model, dict) else None
    if not isinstance(kept, dict) or not kept.get("enc"):
        return None
    if len(kept["enc"]) != len(names):
        return None
    found: dict[str, list[Any]] = {}
    for name, one in zip(names, kept["enc"], strict=True):
        if not isinstance(one, dict) or "offsets" not in one:
            return None  # categories of numbers: asked by their codes, as XGBoost keeps them
        raw = bytes(int(n) & 0xFF for n in one["values"])
        if not raw.isascii():
            return None  # XGBoost counts letters and writes bytes, so where each ends is not told
        if at := [int(n) for n in one["offsets"]]:
            found[name] = [raw[start:end].decode() for start, end in pairwise(at)]
    return found or None


def xgboost_coded(learner: dict[str, Any], names: list[str]) -> dict[str, int]:
    """The features that are categories and whose values nobody can read from the file, so that they
    are asked by their codes: how many codes each has, 0 where that is not told either."""
    kinds = learner.get("feature_types") or []
    if len(kinds) != len(names) or xgboost_categories(learner, names):
        return {}
    model = learner["gradient_booster"].get("model") or {}
    kept = (model.get("cats") or {}).get("enc") or [{}] * len(names)
    return {
        name: max(len(one.get("offsets", [])) - 1, 0) or len(one.get("values", []))
        for name, kind, one in zip(names, kinds, kept, strict=True)
        if kind == "c"
    }


def _are_plain(values: list[Any]) -> bool:
    return all(isinstance(v, (str, int, float, bool)) for v in values)


def _check_tree(number: int, tree: Any, n_features: int) -> None:
    try:
        left, right = tree["left_children"], tree["right_children"]
        split = tree["split_indices"]
        size = int(tree["tree_param"]["num_nodes"])
        values = tree["split_conditions"]
        leaf_width = int(tree["tree_param"].get("size_leaf_vector", 1))
    except (KeyError, TypeError, ValueError) as broken:
        raise ModelError(f"tree {number} of the XGBoost model lacks {broken}") from broken
    if leaf_width > 1:
        raise ModelError(
            "the XGBoost model has a vector in each leaf (multi_strategy='multi_output_tree'), "
            "which is not served; train it with one_output_per_tree, or a model for each output"
        )
    lengths = {len(left), len(right), len(split), len(values), size}
    if len(lengths) != 1:
        raise RefusedModelError(f"tree {number} of the XGBoost model has lists of unequal length")
    seen = {0}
    for node, (a, b, feature) in enumerate(zip(left, right, split, strict=True)):
        for child in (int(a), int(b)):
            if child == -1:
                continue
            if not 0 < child < size or child in seen:
                raise RefusedModelError(
                    f"tree {number} of the XGBoost model points from node {node} to {child}, "
                    f"and has {size} nodes in a tree"
                )
            seen.add(child)
        if (int(a) == -1) != (int(b) == -1) or not 0 <= int(feature) < max(n_features, 1):
            raise RefusedModelError(
                f"tree {number} of the XGBoost model splits node {node} by feature {feature} "
                f"of {n_features}"
            )
    check_categories(number, tree, [int(n) for n in left])


def _check_leaves(number: int, fields: dict[str, str], last_feature: int) -> None:
    try:
        leaves = int(fields["num_leaves"])
        left = [int(v) for v in fields.get("left_child", "").split()]
        right = [int(v) for v in fields.get("right_child", "").split()]
        split = [int(v) for v in fields.get("split_feature", "").split()]
        n_values = len(fields["leaf_value"].split())
        fits = leaf_formulas_fit(fields, leaves, last_feature)
        fits &= leaf_categories_fit(fields, leaves - 1)
    except (KeyError, ValueError, OverflowError) as broken:
        raise ModelError(f"tree {number} of the LightGBM model is damaged: {broken}") from broken
    nodes = leaves - 1
    wrong = not fits or not (
        len(left) == len(right) == len(split) == nodes and n_values == leaves >= 1
    )
    for node, child in enumerate([*left, *right]):
        inner = child >= 0
        # a child comes after its parent, so the walk always ends
        wrong |= not (node % max(nodes, 1) < child < nodes if inner else ~child < leaves)
    wrong |= any(not 0 <= feature <= last_feature for feature in split)
    if wrong:
        raise RefusedModelError(
            f"tree {number} of the LightGBM model points outside of itself; save the model again"
        )


class _Ubj:
    """A reader of UBJSON as XGBoost writes it; a length is believed only as far as bytes follow."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def value(self, depth: int, kind: str | None = None) -> Any:
        if depth > MAX_DEPTH:
            raise RefusedModelError("the XGBoost file nests more than 64 levels deep")
        kind = kind or chr(self._take(1)[0])
        if kind in _UBJ_NUMBERS:
            form = _UBJ_NUMBERS[kind]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if kind in "SH":
            return self._text()
        if kind == "C":
            return chr(self._take(1)[0])
        if kind in "TFZN":
            return {"T": True, "F": False}.get(kind)
        if kind == "[":
            return self._array(depth)
        if kind == "{":
            return self._object(depth)
        raise ModelError(f"the XGBoost file is damaged at byte {self.at}")

    def _array(self, depth: int) -> Any:
        kind, count = self._typed()
        if kind in _UBJ_NUMBERS and count is not None:
            form = _UBJ_NUMBERS[kind]
            raw = self._take(count * struct.calcsize(form))
            return struct.unpack(f"{form[:-1]}{count}{form[-1]}", raw)
        items: list[Any] = []
        while count is None or len(items) < count:
            if count is None and self._peek() == "]":
                self.at += 1
                break
            items.append(self.value(depth + 1, kind))
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        kind, count = self._typed()
        found: dict[str, Any] = {}
        while count is None or len(found) < count:
            if count is None and self._peek() == "}":
                self.at += 1
                break
            key = self._text()
            if key in found:
                raise ModelError(f"the XGBoost file names {key[:40]!r} twice")
            found[key] = self.value(depth + 1, kind)
        return found

    def _typed(self) -> tuple[str | None, int | None]:
        kind = count = None
        if self._peek() == "$":
            kind = chr(self._take(2)[1])
        if kind is not None and kind in "TFZN":  # such values take no bytes: any number of them
            raise RefusedModelError("the XGBoost file holds an array of values that take no bytes")
        if self._peek() == "#":
            self.at += 1
            count = self._length()
        return kind, count

    def _length(self) -> int:
        number = self.value(MAX_DEPTH, chr(self._take(1)[0]))
        if not isinstance(number, int) or not 0 <= number <= len(self.data):
            raise RefusedModelError(
                f"the XGBoost file claims {number} values or characters and has "
                f"{len(self.data)} bytes"
            )
        return number

    def _text(self) -> str:
        return self._take(self._length()).decode("utf-8", "replace")

    def _peek(self) -> str:
        return chr(self.data[self.at]) if self.at < len(self.data) else ""

    def _take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise ModelError("the XGBoost file is cut short; copy it again")
        self.at += count
        return part
