"""TorchScript and torch.export programs: the two forms of a PyTorch model that carry their code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelError, RequestError, one_line
from .exported import by_row, row_by_row
from .signature import Signature
from .torch_check import check_export, check_script
from .values import Batch, Method, Output

Tensor = tuple[str, str, list[int | None] | None]  # name, numpy dtype, shape of a batch
_LOOKUPS = frozenset({"aten::embedding", "aten::embedding_bag"})
_INDICES = 1  # which argument of a look-up holds whole numbers


class TorchModel:
    """One tensor in, or several; the first tensor of what comes out."""

    def __init__(self, path: Path, signature: Signature, threads: int) -> None:
        import torch

        self.signature = signature
        self._torch = torch
        self._batch_rows = signature.batch_rows
        torch.set_num_threads(threads)
        self._module = _program(path).module() if is_export(path) else _script(path)

    def predict(self, batch: Batch, method: Method) -> Output:
        if method == "predict_proba":
            raise RequestError(
                422, "no_probabilities", "a PyTorch program does not say whether it gives "
                "probabilities; leave out parameters.method",
            )  # fmt: skip
        size = self._batch_rows
        if size is not None and batch.rows != size:
            return row_by_row(self.predict, size, batch, method)
        parts = batch.data.values() if batch.kind == "columns" else [batch.data]
        given = [self._torch.from_numpy(np.ascontiguousarray(part)) for part in parts]
        try:
            with self._torch.inference_mode():
                out = self._module(*given)
        except (RuntimeError, AssertionError) as wrong:
            if "alloc" in str(wrong):
                raise
            # A script's error begins with where in its code it was; the end says what it is.
            said = one_line(ValueError(str(wrong).strip().splitlines()[-1]))
            sent = " and ".join("x".join(map(str, part.shape[1:])) or "one value" for part in parts)
            raise RequestError(
                422, "model_input", f"the model cannot use these rows (each of {sent}): {said}"
            ) from wrong
        return Output(by_row(self._first(out), batch.rows))

    def _first(self, out: Any) -> Any:
        """The first tensor of a tensor, a tuple or a dictionary, as an array."""
        while not isinstance(out, self._torch.Tensor):
            inner = list(out.values()) if isinstance(out, dict) else out
            if not isinstance(inner, (tuple, list)) or not inner:
                raise ModelError(f"the model answers with a {type(out).__name__}, not a tensor")
            out = inner[0]
        return (out.float() if out.dtype == self._torch.bfloat16 else out).numpy()


def inputs_of(path: Path) -> list[Tensor]:
    """What the program takes, as far as it says. Raises ModelError for what is not served.

    An export tells types and shapes. A script tells names; its type is that of its weights, or
    whole numbers for what is looked up in a table of embeddings.
    """
    found = _exported(path) if is_export(path) else _scripted(path)
    for name, dtype, _ in found:
        if dtype == "bfloat16" or "complex" in dtype:
            raise ModelError(f"the input {name!r} is {dtype}, which JSON rows cannot be; export "
                             "the model with an input of float32")  # fmt: skip
    return found


def is_export(path: Path) -> bool:
    """A torch.export archive, told from TorchScript by the files in it."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(n.endswith((".json", "archive_format")) and "code/" not in n for n in names)


def _exported(path: Path) -> list[Tensor]:
    import torch

    program = _program(path)
    wanted = program.graph_signature.user_inputs
    nodes = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    found: list[Tensor] = []
    for name in wanted:
        value = nodes.get(name)
        if not isinstance(value, torch.Tensor):
            raise ModelError(f"the input {name!r} is no tensor, which is not served; export the "
                             "model with tensors alone")  # fmt: skip
        shape = [side if isinstance(side, int) else None for side in value.shape]
        found.append((str(name), str(value.dtype).removeprefix("torch."), shape))
    return found


def _scripted(path: Path) -> list[Tensor]:
    module = _script(path)
    taken = [a for a in module.forward.schema.arguments[1:] if not a.has_default_value()]
    for argument in taken:
        if str(argument.type) != "Tensor":
            raise ModelError(f"the input {argument.name!r} is a {argument.type}, which is not "
                             "served; script the model with tensors alone")  # fmt: skip
    weights = {str(p.dtype).removeprefix("torch.") for p in module.parameters()}
    floats = {w for w in weights if w in ("float16", "float32", "float64")}
    dtype = floats.pop() if len(floats) == 1 else "float32"
    values = list(module.inlined_graph.inputs())[1:]
    found: list[Tensor] = []
    for argument, value in zip(taken, values, strict=False):
        looked_up = any(u.user.kind() in _LOOKUPS and u.offset == _INDICES for u in value.uses())
        found.append((str(argument.name), "int64" if looked_up else dtype, None))
    return found


def _program(path: Path) -> Any:
    import torch

    check_export(path)
    return _loaded(lambda: torch.export.load(str(path)))


def _script(path: Path) -> Any:
    import torch

    with zipfile.ZipFile(path) as archive:
        check_script(archive)
    return _loaded(lambda: torch.jit.load(str(path), map_location="cpu").eval())


def _loaded(load: Any) -> Any:
    import torch

    try:
        return load()
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"PyTorch {torch.__version__} cannot load the model: {str(error)[:300]}"
        ) from error
