"""The second corpus of hostile files: none acts, each gets a sentence within the limits."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import malicious_archives
import pytest

from advisor.errors import ArtifactError, UnsafeArtifactError
from deploy.artifact import inspect

# Refused as damaged, or as something else than they claim, before anything could be asked for.
NOT_UNSAFE = {
    "memmap elsewhere", "pickle before an archive", "encrypted", "odd packing",
    "skops array of objects", "skops path outside", "tar with a hard link", "sparse onnx",
    "sparse pickle", "small lie",
}  # fmt: skip
# These load scikit-learn or skops, fill memory, or read gigabytes of nothing.
SLOW = {
    "attribute named by an object", "list of a range", "skops array of objects",
    "skops path outside", "lightgbm two billion features", "sparse pickle", "sparse onnx",
    "memmap elsewhere", "small lie", "endless fraction",
}  # fmt: skip
WORDS = {
    "two archives": "behind other data", "files over files": "lies over another one",
    "NUL in a name": "odd name", "odd names": "odd name", "encrypted": "without a password",
    "export weights as a pickle": "'w' as a pickle", "export opaque object": "is no tensor",
    "export calls os": "'torch.os.system', which is no operator",
    "export shape is code": "no formula", "export compiled library": "a compiled library",
    "export old pickle": "no longer writes", "script writes a file": "torch.save",
    "onnx function calls itself": "calls itself", "onnx function bomb": "written out",
    "onnx sparse elsewhere": "another file", "xgboost values of no bytes": "take no bytes",
    "endless fraction": "fraction",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else [])
     for n in malicious_archives.CORPUS],
)  # fmt: skip
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(name: str, tmp_path: Path) -> None:
    folder, canary = tmp_path / "upload", tmp_path / "canary"
    folder.mkdir()
    path = malicious_archives.CORPUS[name](folder, str(canary))
    with pytest.raises(ArtifactError) as refused:
        inspect(path)
    said = str(refused.value)
    assert not canary.exists()
    assert re.match(r"model\.\w+ |loading model", said)
    assert "Traceback" not in said
    assert said.isprintable()
    assert len(said) < 600
    assert WORDS.get(name, "") in said
    if name not in NOT_UNSAFE:
        assert isinstance(refused.value, UnsafeArtifactError), said


@pytest.mark.torch
@pytest.mark.slow
def test_a_real_export_with_pickled_weights_acts_in_pytorch_and_not_here(tmp_path: Path) -> None:
    """The corpus is live: what is refused here would act where PyTorch reads it."""
    canary = tmp_path / "canary"
    path = malicious_archives.real_export(tmp_path, str(canary))
    with pytest.raises(UnsafeArtifactError, match="as a pickle"):
        inspect(path)
    assert not canary.exists()
    code = f"import torch; torch.export.load({str(path)!r})"
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=120)
    assert canary.exists()
