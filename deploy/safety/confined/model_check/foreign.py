"""Pickles of libraries whose models are served in another form: which library, and how.

The ways are the libraries' own exports (CatBoost's and Optimum's pages read on 2026-11-23, the others
as they are commonly given):
https://catboost.ai/docs/concepts/apply-onnx-ml, https://keras.io/api/models/model_saving_apis/export,
https://onnxruntime.ai/docs/tutorials/tf-get-started.html, https://docs.pytorch.org/docs/stable/jit.html,
https://huggingface.co/docs/optimum/exporters/onnx/usage_guides/export_a_model,
https://imbalanced-learn.org/stable/references/pipeline.html
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from model_server import accepted


@dataclass(frozen=True)
class Library:
    name: str
    package: str  # as pip knows it
    way: str


LIBRARIES = {
    "catboost": Library(
        "CatBoost", "catboost",
        "save it with model.save_model('model.onnx', format='onnx') (numeric features only) and "
        "give that file",
    ),
    "keras": Library(
        "Keras", "keras", "save it with model.export('model.onnx', format='onnx') and give that file"
    ),
    "tensorflow": Library(
        "TensorFlow", "tensorflow",
        "save it with model.export('folder'), convert it with python -m tf2onnx.convert "
        "--saved-model folder --output model.onnx, and give that file",
    ),
    "torch": Library(
        "PyTorch", "torch",
        "save it with torch.jit.trace(model, example).save('model.pt') and give that file",
    ),
    "transformers": Library(
        "Transformers", "transformers",
        "convert it with optimum-cli export onnx --model folder out/ and give out/model.onnx",
    ),
    "imblearn": Library(
        "imbalanced-learn", "imbalanced-learn",
        "samplers have no part in predicting: put the other fitted steps into a "
        "sklearn.pipeline.Pipeline, save that with joblib, and give that file",
    ),
}  # fmt: skip


# Their models hold these beside their own classes; nothing can be done with them.
PLAIN = {("builtins", name) for name in ("set", "frozenset", "bytearray", "complex", "slice")}


def told(refused: list[tuple[str, str, str]]) -> str | None:
    """What to say of a file that asks for these (module, name, why); None: it is no such library's,
    or asks for something harmful as well."""
    refused = [r for r in refused if r[:2] not in PLAIN]
    of = {module: module.split(".")[0] for module, _, _ in refused}
    known = [root for root in dict.fromkeys(of.values()) if root in LIBRARIES]
    if not known or any(
        of[m] not in LIBRARIES and not accepted.can_be(m, n) for m, n, _ in refused
    ):
        return None
    library = LIBRARIES[known[0]]
    first = next(f"{m}.{n}" for m, n, _ in refused if of[m] == known[0])
    missing = "" if is_installed(known[0]) else f", and {library.package} is not installed here"
    return (
        f"the file holds a pickled {library.name} model ({first}), which is none of the formats "
        f"that are served{missing}; nothing of it was run: where {library.name} is installed, "
        f"{library.way}"
    )


def missing(refused: list[tuple[str, str, str]]) -> list[str]:
    """The packages that these names come from and that are not installed here."""
    roots = dict.fromkeys(module.split(".")[0] for module, _, _ in refused)
    return [r for r in roots if r not in accepted.SCRIPTS and not is_installed(r)]


def is_installed(root: str) -> bool:
    """Whether it can be imported, without importing it."""
    try:
        return importlib.util.find_spec(root) is not None
    except (ImportError, ValueError):
        return False
