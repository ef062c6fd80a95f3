"""Outputs, categories and leaf formulas of XGBoost and LightGBM models, which the libraries follow
without looking whether they lie within the model. `boosters` calls these."""

from __future__ import annotations

from typing import Any

from .errors import ModelError, RefusedModelError

MOST_CATEGORIES = 1 << 24  # XGBoost's own limit


def check_outputs(
    learner: dict[str, Any], model: dict[str, Any], trees: int, n_features: int
) -> None:
    """Each tree adds to an output; a linear model has a weight for each feature and output."""
    try:
        params = learner["learner_model_param"]
        outputs = max(int(params.get("num_class", 0)), int(params.get("num_target", 1)), 1)
        adds_to = [int(n) for n in model.get("tree_info", [])]
        weights = model.get("weights")
    except (TypeError, ValueError, AttributeError) as broken:
        raise ModelError(f"the XGBoost model's outputs are damaged: {broken}") from broken
    wrong = (trees or adds_to) and len(adds_to) != trees
    wrong = wrong or any(not 0 <= n < outputs for n in adds_to)
    if weights is not None:
        wrong = wrong or len(weights) != (n_features + 1) * outputs
    if wrong:
        raise RefusedModelError(
            f"the XGBoost model has trees or weights for other outputs than its {outputs}; save it "
            "again"
        )


def check_categories(number: int, tree: dict[str, Any], left: list[int]) -> None:
    """Where the categories of a node lie in the tree's list of them."""
    try:
        nodes = [int(n) for n in tree.get("categories_nodes", ())]
        starts = [int(n) for n in tree.get("categories_segments", ())]
        sizes = [int(n) for n in tree.get("categories_sizes", ())]
        values = [int(n) for n in tree.get("categories", ())]
        kinds = [int(n) for n in tree.get("split_type", ())]
    except (TypeError, ValueError) as broken:
        raise ModelError(f"tree {number} of the XGBoost model is damaged: {broken}") from broken
    asked = {i for i, kind in enumerate(kinds) if kind and left[i : i + 1] not in ([], [-1])}
    wrong = not len(nodes) == len(starts) == len(sizes)
    wrong |= len(kinds) not in (0, len(left)) or any(kind not in (0, 1) for kind in kinds)
    wrong |= nodes != sorted(set(nodes)) or any(not 0 <= n < len(left) for n in nodes)
    wrong |= not asked <= set(nodes)
    wrong |= any(s < 0 or n < 1 or s + n > len(values) for s, n in zip(starts, sizes, strict=False))
    wrong |= any(not 0 <= value < MOST_CATEGORIES for value in values)
    if wrong:
        raise RefusedModelError(
            f"tree {number} of the XGBoost model has categories that lie outside of it; save it "
            "again"
        )


def leaf_formulas_fit(fields: dict[str, str], leaves: int, last_feature: int) -> bool:
    """Whether the linear formulas of a LightGBM tree's leaves fit; raises ValueError, KeyError."""
    if fields.get("is_linear", "0").strip() in ("", "0"):
        return True
    counts = [int(v) for v in fields["num_features"].split()]
    used = [int(v) for v in fields["leaf_features"].split()]
    return (
        len(fields["leaf_const"].split()) == len(counts) == leaves
        and sum(counts) == len(used) == len(fields["leaf_coeff"].split())
        and all(count >= 0 for count in counts)
        and all(0 <= feature <= last_feature for feature in used)
    )


def leaf_categories_fit(fields: dict[str, str], nodes: int) -> bool:
    """Whether the categories that a LightGBM tree's nodes ask for are there; raises ValueError."""
    kinds = [int(v) for v in fields.get("decision_type", "").split()]
    limits = [float(v) for v in fields.get("threshold", "").split()]
    ends = [int(v) for v in fields.get("cat_boundaries", "").split()]
    words = len(fields.get("cat_threshold", "").split())
    count = int(fields.get("num_cat", "0"))
    asked = [limit for kind, limit in zip(kinds, limits, strict=False) if kind & 1]
    if len(kinds) not in (0, nodes) or len(limits) != nodes:
        return False
    if any(limit != int(limit) or not 0 <= limit < count for limit in asked):
        return False
    if not count:
        return not asked
    return len(ends) == count + 1 and ends == sorted(ends) and ends[0] == 0 and ends[-1] == words
