"""What a model file is: format by content, signature, digest, uploads."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from advisor.errors import ArtifactError, UnsafeArtifactError
from deploy.artifact import Artifact, inspect, inspect_bytes, safe_name
from deploy.safety.confine import Limits

X, Y = make_classification(80, 6, random_state=0)


@pytest.fixture(scope="module")
def forest() -> Any:
    return RandomForestClassifier(5, random_state=0).fit(X, np.where(Y == 1, "yes", "no"))


def test_a_joblib_file_tells_its_signature_and_its_libraries(forest: Any, tmp_path: Path) -> None:
    path = tmp_path / "forest.joblib"
    joblib.dump(forest, path, compress=("xz", 1))
    found = inspect(path)
    assert found.format == "joblib"
    assert found.size_bytes == path.stat().st_size
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.size_mb == pytest.approx(path.stat().st_size / 1e6)
    assert found.safety.verdict == "allow-listed"
    assert any("xz" in finding for finding in found.safety.findings)
    assert found.signature is not None
    assert found.signature.task == "classifier"
    assert found.signature.n_features == 6
    assert found.signature.classes == ["no", "yes"]
    assert found.signature.has_probabilities
    assert {"scikit-learn", "numpy", "scipy", "joblib"} <= set(found.libraries)
    assert Artifact.model_validate_json(found.model_dump_json()) == found


def test_a_skops_file_is_held_to_the_same_list(forest: Any, tmp_path: Path) -> None:
    import skops.io

    path = tmp_path / "forest.skops"
    skops.io.dump(forest, path)
    found = inspect(path)
    assert (found.format, found.safety.verdict) == ("skops", "allow-listed")
    assert found.signature is not None
    assert found.signature.n_features == 6


def test_an_onnx_file_is_safe_and_tells_its_input(onnx_model: Path) -> None:
    found = inspect(onnx_model)
    assert (found.format, found.safety.verdict) == ("onnx", "safe")
    assert found.signature is not None
    assert found.signature.input_name == "x"
    assert found.signature.input_dtype == "float32"
    assert found.signature.input_shape == [None, 4]
    assert set(found.libraries) == {"onnxruntime", "numpy"}


def test_an_xgboost_file_tells_classes_and_names(tmp_path: Path) -> None:
    data = xgboost.DMatrix(X, Y, feature_names=list("abcdef"))
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, data, 5)
    path = tmp_path / "model.ubj"
    booster.save_model(path)
    found = inspect(path)
    assert (found.format, found.safety.verdict) == ("xgboost", "safe")
    assert found.signature is not None
    assert found.signature.classes == [0, 1]
    assert found.signature.feature_names == list("abcdef")
    assert {"xgboost", "xgboost-cpu"} & set(found.libraries)


def test_a_lightgbm_file_tells_classes(tmp_path: Path) -> None:
    data = lightgbm.Dataset(X, Y)
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, data, 5)
    path = tmp_path / "model.txt"
    booster.save_model(path)
    found = inspect(path)
    assert (found.format, found.safety.verdict) == ("lightgbm", "safe")
    assert found.signature is not None
    assert found.signature.classes == [0, 1]
    assert found.example_request() == b'{"instances": [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]}'


def test_torch_without_torch_names_the_extra(tmp_path: Path) -> None:
    """Weights alone are refused before torch is needed; a program asks for it."""
    import zipfile

    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("m/data.pkl", b"\x80\x02}.")
    with pytest.raises(ArtifactError, match=r"weights without the model's code.*torch\.jit"):
        inspect(path)
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        with zipfile.ZipFile(path, "a") as out:
            out.writestr("m/constants.pkl", b"\x80\x02).")
        with pytest.raises(ArtifactError, match=r"model-deployment-advisor\[torch\]"):
            inspect(path)


@pytest.mark.torch
def test_torchscript_and_exported_programs(tmp_path: Path) -> None:
    import torch

    model = torch.nn.Linear(3, 1).eval()
    scripted, exported = tmp_path / "model.pt", tmp_path / "model.pt2"
    torch.jit.trace(model, torch.zeros(1, 3)).save(str(scripted))
    torch.export.save(torch.export.export(model, (torch.zeros(1, 3),)), str(exported))
    for path in (scripted, exported):
        found = inspect(path)
        assert (found.format, found.safety.verdict) == ("torch", "allow-listed")


@pytest.mark.torch
def test_a_whole_pickled_module_is_told_the_way_to_torchscript(tmp_path: Path) -> None:
    """What torch.save(model) writes: the most usual wrong file."""
    import torch

    torch.save(torch.nn.Linear(3, 1), tmp_path / "model.pt")
    with pytest.raises(ArtifactError, match=r"pickled PyTorch model.*torch\.jit\.trace"):
        inspect(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.onnx", b"", "is empty"),
        ("zeros.onnx", b"\0" * 64, "only zeros"),
        ("notes.joblib", b"just some text\n" * 20, "no model format that can be served"),
        ("model.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "HDF5"),
        ("model.gguf", b"GGUF" + b"\1" * 64, "GGUF"),
        ("model.npy", b"\x93NUMPY\x01\x00" + b" " * 64, "numpy array"),
        ("half.joblib", b"\x78\x9c" + b"\x01" * 40, "compressed and damaged"),
        ("model.bin", b"binf" + b"\0" * 64, r"save it again as \.json or \.ubj"),
        ("model.txt", b"tree\nversion=v4\nnum_class=1\n", "cut short"),
        ("model.json", b'{"learner": {', "damaged"),
        ("model.skops", b"PK\x03\x04" + b"\0" * 60, "damaged or cut short"),
        ("model.safetensors", b"\x08" + b"\0" * 7 + b'{"a":{}}' + b"\0" * 9, "safetensors"),
        ("data.pkl", pickle.dumps({"not": "a model"}), "no model"),
    ],
)
def test_what_is_no_model_is_told_in_a_sentence(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=words):
        inspect(path)


def test_a_truncated_model_is_told_as_one(forest: Any, tmp_path: Path, onnx_model: Path) -> None:
    whole = tmp_path / "whole.joblib"
    joblib.dump(forest, whole)
    for path, content in (
        (tmp_path / "cut.joblib", whole.read_bytes()[:-300]),
        (tmp_path / "cut.onnx", onnx_model.read_bytes()[:-20]),
    ):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"cut short|does not load"):
            inspect(path)


def test_an_untrained_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(LogisticRegression(), path)
    with pytest.raises(ArtifactError, match="before it was trained"):
        inspect(path)


@pytest.mark.parametrize(
    ("module", "name", "told"),
    [
        ("catboost.core", "CatBoostClassifier",
         r"pickled CatBoost model .*catboost is not installed here.*nothing of it was run.*"
         r"save_model\('model\.onnx', format='onnx'\)"),
        ("tensorflow.keras", "Model", r"pickled TensorFlow model .*tf2onnx\.convert"),
        ("somebodys_package.steps", "Clip",
         r"somebodys_package is not installed here: pip install it, or give the folder.*--code"),
        ("imblearn.pipeline", "Pipeline", r"imbalanced-learn.*samplers have no part"),
    ],
)  # fmt: skip
def test_a_library_that_is_not_served_or_not_installed_is_named_with_the_way(
    module: str, name: str, told: str, tmp_path: Path
) -> None:
    """A pickle that refers to the class, as the library would write it."""
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")\x81}\x8c\x01xK\x01sb.")
    with pytest.raises(ArtifactError, match=told):
        inspect(path)


def test_a_harmful_name_beside_a_known_library_is_not_talked_away(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02ccatboost.core\nCatBoost\n)\x810cos\nsystem\n\x8c\x04true\x85R.")
    with pytest.raises(ArtifactError, match=r"os\.system.*do not load it"):
        inspect(path)


def test_another_scikit_learn_version_is_said(forest: Any, tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    import sklearn

    version = sklearn.__version__.encode()
    old = b"0.99.9"[: len(version)].ljust(len(version), b"9")
    path.write_bytes(pickle.dumps(forest, 4).replace(version, old))
    found = inspect(path)
    assert found.saved_with["scikit-learn"] == old.decode()
    assert any("was saved with scikit-learn" in finding for finding in found.safety.findings)


def test_a_link_a_folder_and_a_missing_file_are_refused(tmp_path: Path, onnx_model: Path) -> None:
    link = tmp_path / "link.onnx"
    link.symlink_to(onnx_model)
    for path, words in (
        (link, "symbolic link"),
        (tmp_path, "is a folder"),
        (tmp_path / "none.onnx", "there is no model file"),
    ):
        with pytest.raises(ArtifactError, match=words):
            inspect(path)


def test_the_size_limit_holds_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(3_000_000)
    with pytest.raises(ArtifactError, match="3 MB and 2 MB are allowed"):
        inspect(path, max_mb=2)
    with pytest.raises(ArtifactError, match="0 MB are allowed"):
        inspect_bytes("m.onnx", b"x" * 1000, tmp_path, max_mb=0.0005)


def test_an_upload_cannot_leave_its_folder(tmp_path: Path, onnx_model: Path) -> None:
    data = onnx_model.read_bytes()
    found = inspect_bytes("../../../etc/cron.d/mo del;.onnx", data, tmp_path / "up")
    assert found.path.parent.parent == (tmp_path / "up").resolve()
    assert found.path.name == "mo_del_.onnx"
    assert found.path.stat().st_mode & 0o077 == 0
    again = inspect_bytes("mo_del_.onnx", data, tmp_path / "up")
    assert again == found


def test_an_upload_does_not_follow_a_planted_link(tmp_path: Path, onnx_model: Path) -> None:
    data = onnx_model.read_bytes()
    folder = tmp_path / "up" / hashlib.sha256(data).hexdigest()[:16]
    folder.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep")
    (folder / "m.onnx").symlink_to(victim)
    assert inspect_bytes("m.onnx", data, tmp_path / "up").path.is_file()
    assert victim.read_bytes() == b"keep"


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("model.onnx", "model.onnx"),
        ("C:\\models\\m.joblib", "m.joblib"),
        ("..", "model"),
        (".hidden.pkl", "hidden.pkl"),
        ("a\0b.pkl", "a_b.pkl"),
        ("x" * 300 + ".joblib", "x" * 80 + ".joblib"),
    ],
)
def test_safe_names(given: str, safe: str) -> None:
    assert safe_name(given) == safe


def test_a_damaged_upload_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        inspect_bytes("m.onnx", b"\x08\x07 nonsense", tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_model_that_needs_more_memory_than_allowed_is_stopped(
    forest: Any, tmp_path: Path
) -> None:
    path = tmp_path / "forest.joblib"
    joblib.dump(forest, path)
    with pytest.raises(UnsafeArtifactError, match="memory"):
        inspect(path, limits=Limits(memory_mb=120))
