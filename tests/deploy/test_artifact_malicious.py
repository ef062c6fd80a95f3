"""A corpus of hostile model files: each is refused in a sentence, and none gets to act."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import malicious
import pytest

from advisor.errors import ArtifactError, UnsafeArtifactError
from deploy.artifact import inspect, inspect_bytes
from deploy.safety.confine import Limits

# Refused as damaged, or as something else than they claim, before anything could be asked for.
NOT_UNSAFE = {
    "renamed to .onnx", "archive in archive", "huge array header", "skops huge header",
    "skops deep schema", "onnx own operator", "onnx huge tensor", "endless text",
    "endless text packed", "endless bytearray", "huge frame",
}  # fmt: skip


Look = Callable[[str], tuple[ArtifactError | None, bool]]


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    """(what `inspect` raised, whether the canary was touched), each file looked at once."""
    seen: dict[str, tuple[ArtifactError | None, bool]] = {}

    def once(name: str) -> tuple[ArtifactError | None, bool]:
        if name not in seen:
            folder = tmp_path_factory.mktemp("upload")
            canary = folder.parent / f"{folder.name}-canary"
            path = malicious.CORPUS[name](folder, str(canary))
            raised = None
            try:
                inspect(path)
            except ArtifactError as refused:
                raised = refused
            seen[name] = (raised, canary.exists())
            path.unlink()
        return seen[name]

    return once


@pytest.mark.parametrize("name", malicious.CORPUS)
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(name: str, look: Look) -> None:
    refused, acted = look(name)
    assert not acted
    assert refused is not None
    assert re.match(r"model\.\w+ ", str(refused))
    assert "Traceback" not in str(refused)
    assert "\n" not in str(refused)
    assert len(str(refused)) < 600
    if name not in NOT_UNSAFE:
        assert isinstance(refused, UnsafeArtifactError), refused


def test_the_canary_would_sing(tmp_path: Path) -> None:
    """The corpus is live: unpickled without care, it acts."""
    canary = tmp_path / "canary"
    path = malicious.CORPUS["os.system"](tmp_path, str(canary))
    code = f"import pickle; pickle.load(open({str(path)!r}, 'rb'))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert canary.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os.system", "runs commands"),
        ("eval", "builtins.eval"),
        ("joblib zlib", "posix.system"),
        ("object array", "posix.system"),
        ("renamed to .onnx", "named like an ONNX model but its content is a pickle"),
        ("zip bomb", "unpacks to 300 MB"),
        ("zip traversal", "outside of its folder"),
        ("onnx external data", "another file"),
        ("xgboost huge array", "claims 4611686018427387904"),
        ("lightgbm wild tree", "points outside of itself"),
        ("tree out of bounds", "points outside of its"),
        ("reads files", "input='content'"),
        ("endless text", "cut short (it claims 1152921504606846976 bytes where 50 are left)"),
        ("endless text packed", "cut short (it claims 1152921504606846976 bytes where 50"),
        ("endless bytearray", "cut short (it claims 1152921504606846976 bytes where 50 are left)"),
        ("huge frame", "cut short (it claims 1125899906842624 bytes where 2 are left)"),
        ("lying dtype", "do not fit its shape"),
    ],
)
def test_the_sentence_says_what_was_wrong(name: str, words: str, look: Look) -> None:
    assert words in str(look(name)[0])


def test_a_file_that_computes_for_ever_is_stopped(tmp_path: Path) -> None:
    path = malicious.endless_hash(tmp_path, "")
    with pytest.raises(UnsafeArtifactError, match="processor time"):
        inspect(path, limits=Limits(cpu_s=2, wall_s=30))


def test_own_classes_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(malicious.by_name("__main__", "MyScaler"))
    with pytest.raises(UnsafeArtifactError, match=r"defined in the training script.*ONNX"):
        inspect(path)


def test_a_refused_upload_leaves_nothing_behind(tmp_path: Path) -> None:
    data = pickle.dumps(malicious.Calls(malicious.os.system, "true"))
    with pytest.raises(UnsafeArtifactError):
        inspect_bytes("../../etc/model.pkl", data, tmp_path)
    assert list(tmp_path.iterdir()) == []
