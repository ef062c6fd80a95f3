"""TorchScript and torch.export programs: the two forms of a PyTorch model that carry their code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelError
from .signature import Signature
from .values import Batch, Method, Output


class TorchModel:
    """One float tensor in, one tensor out."""

    def __init__(self, path: Path, signature: Signature, threads: int) -> None:
        import torch

        self.signature = signature
        self._torch = torch
        torch.set_num_threads(threads)
        try:
            if is_export(path):
                self._module: Any = torch.export.load(str(path)).module()
            else:
                self._module = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            raise ModelError(
                f"PyTorch {torch.__version__} cannot load the model: {str(error)[:300]}"
            ) from error

    def predict(self, batch: Batch, method: Method) -> Output:
        with self._torch.inference_mode():
            out = self._module(self._torch.from_numpy(np.ascontiguousarray(batch.data)))
        if isinstance(out, (tuple, list)):
            out = out[0]
        values = out.numpy()
        return Output(values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values)


def is_export(path: Path) -> bool:
    """A torch.export archive, told from TorchScript by the files in it."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(n.endswith((".json", "archive_format")) and "code/" not in n for n in names)
