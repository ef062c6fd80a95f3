"""skops files: a schema of named types beside plain arrays, held to the same allow-list.

skops refuses types that nobody trusts. Here the schema is read first: every type must be on the
allow-list, and every kind of node must be one that makes data; then skops is told to trust them.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .allowlist import NotAllowedError, Use, resolve, use_of
from .errors import ModelError, RefusedModelError, one_line

# What each kind of node may name: data of skops' own making (no use), or these uses.
DATA_NODES = frozenset(
    [
        "CachedNode",
        "DictNode",
        "DefaultDictNode",
        "ListNode",
        "SetNode",
        "TupleNode",
        "SliceNode",
        "JsonNode",
        "BytesNode",
        "BytearrayNode",
        "NdArrayNode",
        "MaskedArrayNode",
        "RandomStateNode",
        "RandomGeneratorNode",
        "DTypeNode",
        "SparseMatrixNode",
        "DatetimeTimedeltaNode",
    ]
)
NAMING_NODES: dict[str, tuple[Use, ...]] = {
    "TypeNode": (Use.VALUE, Use.CLASS, Use.CALL),
    "FunctionNode": (Use.VALUE,),
    "ObjectNode": (Use.CLASS, Use.CALL),
    "LossNode": (Use.CLASS, Use.CALL),
    "TreeNode": (Use.CALL,),
    "ConstructorFromReduceNode": (Use.CALL,),
}
# Names that a ConstructorFromReduceNode may call with numbers of the file's choosing.
CONSTRUCTED = ("datetime.", "decimal.", "fractions.", "sklearn._loss.", "sklearn.linear_model.")
PLAIN_TYPES = frozenset(
    ["str", "int", "float", "bool", "list", "dict", "tuple", "set", "bytes", "complex", "object"]
)


def load(path: Path) -> Any:
    """The model in a skops file. Raises RefusedModelError or ModelError."""
    refused = refused_of(path)
    if refused:
        name, why = refused[0]
        raise RefusedModelError(f"the file refers to {name}, which {why}", [n for n, _ in refused])
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    trusted = sorted(f"{m}.{n}" for m, n in types_in(path) if use_of(m, n))
    try:
        return skops.io.load(path, trusted=trusted)
    except UntrustedTypesFoundException as untrusted:
        raise RefusedModelError(
            f"skops does not trust the file: {one_line(untrusted)}"
        ) from untrusted
    except (TypeError, KeyError, ValueError, AttributeError, ImportError, IndexError,
            zipfile.BadZipFile, RecursionError) as broken:  # fmt: skip
        # The first sentence tells; what follows may advise to trust the file.
        why = one_line(broken).split(". ")[0]
        raise ModelError(
            f"{path.name} does not load as a skops model ({type(broken).__name__}: {why}); "
            "save it again with the versions installed here"
        ) from broken


def refused_of(path: Path) -> list[tuple[str, str]]:
    """(name, why) of each type or kind of node in the schema that is not allowed."""
    bad: dict[str, str] = {}
    for node in _nodes(_schema(path)):
        why = _why_not(node, path)
        if why:
            bad[f"{node.get('__module__')}.{node.get('__class__')}"] = why
    return list(bad.items())


def _why_not(node: dict[str, Any], path: Path) -> str | None:
    module, name = str(node.get("__module__", "")), str(node.get("__class__", ""))
    loader = str(node.get("__loader__", ""))
    if loader in DATA_NODES:
        return None
    if loader not in NAMING_NODES:
        return f"is rebuilt by a {loader or 'node without a name'}, which can reach any function"
    if loader == "TypeNode" and module == "builtins" and name in PLAIN_TYPES:
        return None
    if (module, name) == ("numpy", "memmap"):
        return "opens files"
    try:
        _, use = resolve(module, name)
    except NotAllowedError as refused:
        return refused.why
    except (ImportError, AttributeError):
        return "is not in the installed libraries"
    if use not in NAMING_NODES[loader]:
        return f"may not be rebuilt by a {loader}"
    if loader == "ConstructorFromReduceNode" and not f"{module}.".startswith(CONSTRUCTED):
        return "may not be called by the file"
    if loader == "TreeNode" and not _tree_sizes_agree(node, path):
        return "is made with sizes that contradict each other"
    return None


def _tree_sizes_agree(node: dict[str, Any], path: Path) -> bool:
    """scikit-learn reads `n_outputs` numbers from `n_classes` without looking at its length."""
    import numpy as np

    try:
        features, classes, outputs = node["__reduce__"]["args"]["content"]
        with zipfile.ZipFile(path) as archive:
            raw = io.BytesIO(archive.read(classes["file"]))
        counts = np.load(raw, allow_pickle=False)
        wanted = int(json.loads(outputs["content"]))
        return counts.ndim == 1 and len(counts) == wanted and int(features["content"]) > 0
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, EOFError):
        return False


def types_in(path: Path) -> set[tuple[str, str]]:
    """Every (module, name) that the schema refers to."""
    return {
        (str(n["__module__"]), str(n["__class__"]))
        for n in _nodes(_schema(path))
        if "__module__" in n and "__class__" in n
    }


def _schema(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, EOFError) as broken:
        raise ModelError(f"{path.name} is no whole skops file; copy it again") from broken


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    todo = [schema]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            if "__class__" in item or "__loader__" in item:
                yield item
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
