"""What a file is, by its content. The name is only held against it afterwards."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from model_server.errors import ModelError, RefusedModelError
from model_server.unpack import FREE_UNPACKED, MAX_RATIO, compression, open_stream

HEAD = 4096
MAX_ENTRIES = 20_000
SUPPORTED = (
    ".onnx, .joblib, .pkl (scikit-learn), .skops, .pt (TorchScript or torch.export), "
    ".json or .ubj (XGBoost), .txt (LightGBM)"
)
# ending -> the formats it may hold
ENDINGS: dict[str, frozenset[str]] = {
    ".onnx": frozenset({"onnx"}),
    ".joblib": frozenset({"joblib", "pickle"}),
    ".jl": frozenset({"joblib", "pickle"}),
    ".pkl": frozenset({"joblib", "pickle"}),
    ".pickle": frozenset({"joblib", "pickle"}),
    ".skops": frozenset({"skops"}),
    ".pt": frozenset({"torch"}),
    ".pth": frozenset({"torch"}),
    ".pt2": frozenset({"torch"}),
    ".ts": frozenset({"torch"}),
    ".json": frozenset({"xgboost"}),
    ".ubj": frozenset({"xgboost"}),
    ".txt": frozenset({"lightgbm"}),
    ".lgb": frozenset({"lightgbm"}),
}
IN_WORDS = {
    "onnx": "an ONNX model", "joblib": "a joblib file", "pickle": "a pickle",
    "skops": "a skops file", "torch": "a PyTorch archive", "xgboost": "an XGBoost model",
    "lightgbm": "a LightGBM model",
}  # fmt: skip
# Content that is recognised and not served, with the way out.
NOT_SERVED: list[tuple[bytes, int, str]] = [
    (b"\x89HDF", 0, "a Keras or HDF5 file; export the model to ONNX (tf2onnx or keras.export)"),
    (b"GGUF", 0, "a GGUF language model; serve it with llama.cpp or vLLM, or take an ONNX export"),
    (b"ustar", 257, "a tar archive; unpack it and give the model file inside"),
    (b"\x93NUMPY", 0, "a plain numpy array and no model; save the fitted estimator"),
    (b"PAR1", 0, "a Parquet table and no model"),
    (b"CBM1", 0, "a CatBoost model; export it with save_model(..., format='onnx')"),
    (b"binf", 0, "an old binary XGBoost model; save it again as .json or .ubj"),
    (b"CONFIG-offset:", 0, "an old binary XGBoost model; save it again as .json or .ubj"),
]


@dataclass(frozen=True)
class Found:
    """A format, and what is worth telling about how it was recognised."""

    format: str
    notes: tuple[str, ...] = ()


def detect(path: Path) -> Found:
    """The format by content. Raises ModelError for what is unknown, damaged or not served."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip(b"\x00"):
        raise ModelError("the file is empty" if not head else "the file holds only zeros")
    for magic, at, what in NOT_SERVED:
        if head[at : at + len(magic)] == magic:
            raise ModelError(f"the file is {what}")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Found(*_zip(path))
    if (packed := compression(head)) and _inner_is_pickle(path):
        return Found("joblib", (f"The file is compressed with {packed}.",))
    if head.startswith(b"tree\n"):
        return Found("lightgbm")
    if head[:1] == b"{" and b"learner" in head[:HEAD]:
        return Found("xgboost")
    if _pickle_start(head):
        return Found("joblib" if _has_joblib_arrays(path) else "pickle")
    if (why := _onnx(path)) == "":
        return Found("onnx")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        raise ModelError(
            "the file is a safetensors file: weights without the model that uses them; "
            "export the model to ONNX or TorchScript"
        )
    raise ModelError(
        f"the content is no model format that can be served ({why}); it is one of {SUPPORTED}"
    )


def check_name(name: str, found: Found) -> str | None:
    """A sentence when the ending says nothing; raises ModelError when it says something else."""
    ending = Path(name).suffix.lower()
    expected = ENDINGS.get(ending)
    if expected is None:
        return f"The ending {ending or '(none)'} says nothing; by content it is {found.format}."
    if found.format not in expected:
        raise ModelError(
            f"{name} is named like {IN_WORDS[sorted(expected)[0]]} but its content is "
            f"{IN_WORDS[found.format]}; give it its own ending if that is what it should be"
        )
    return None


def by_name(name: str, found: Found) -> str:
    """joblib and pickle share one form; then the name decides what it is called."""
    if found.format == "pickle" and Path(name).suffix.lower() in (".joblib", ".jl"):
        return "joblib"
    return found.format


def _zip(path: Path) -> tuple[str, tuple[str, ...]]:
    names = _checked_names(path)
    tops = {n.split("/", 1)[-1] for n in names}
    if "schema.json" in names:
        return "skops", ()
    if "data.pkl" in tops and "constants.pkl" in tops:
        return "torch", ("The archive is a TorchScript program.",)
    if "archive_format" in tops or "serialized_exported_program.json" in tops:
        return "torch", ("The archive is a torch.export program.",)
    if "data.pkl" in tops:
        return "torch", ()
    if {"config.json", "metadata.json"} <= tops:
        raise ModelError("the file is a Keras model; export it to ONNX with model.export()")
    if all(n.endswith(".npy") for n in names):
        raise ModelError("the file is a set of numpy arrays and no model")
    raise ModelError("the file is a zip archive and no model format; give the model file inside")


def _checked_names(path: Path) -> list[str]:
    """The names in an archive that is whole, not a bomb, and stays in its folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as broken:
        raise ModelError(f"the archive is damaged or cut short: {broken}") from broken
    if len(entries) > MAX_ENTRIES:
        raise RefusedModelError(f"the archive has {len(entries)} files; {MAX_ENTRIES} are allowed")
    unpacked = sum(e.file_size for e in entries)
    if unpacked > max(FREE_UNPACKED, MAX_RATIO * path.stat().st_size):
        raise RefusedModelError(
            f"the archive unpacks to {unpacked // 1_000_000} MB from "
            f"{path.stat().st_size / 1e6:.1f} MB, far more than a model would"
        )
    _check_layout(entries)
    for entry in entries:
        parts = re.split(r"[/\\]", entry.filename)
        if entry.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise RefusedModelError(
                f"the archive holds {entry.filename[:80]!r}, a path outside of its folder"
            )
        if (entry.external_attr >> 16) & 0o170000 == 0o120000:
            raise RefusedModelError(f"the archive holds a symbolic link, {entry.filename[:80]!r}")
    if len({e.filename for e in entries}) != len(entries):
        raise RefusedModelError("the archive holds two files of the same name")
    return [e.filename for e in entries]


def _check_layout(entries: list[zipfile.ZipInfo]) -> None:
    """What readers of zip files take differently: then one would check what another does not load."""
    at = 0
    for entry in sorted(entries, key=lambda e: e.header_offset):
        name = entry.filename[:80]
        if entry.header_offset < at or (at == 0 and entry.header_offset != 0):
            raise RefusedModelError(
                f"the archive's file {name!r} lies over another one, or behind other data"
            )
        at = entry.header_offset + 30 + len(entry.orig_filename.encode()) + entry.compress_size
        if entry.orig_filename != entry.filename or not entry.filename.isprintable():
            raise RefusedModelError(f"the archive holds a file with an odd name, {name!r}")
        if entry.flag_bits & 1:
            raise ModelError("the archive is encrypted; save the model without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelError(
                f"the archive packs {name!r} in a way that models are not packed; save it again"
            )


def _inner_is_pickle(path: Path) -> bool:
    try:
        with open_stream(path) as stream:
            head = stream.read(512)
    except (ModelError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as broken:
        raise ModelError(f"the file is compressed and damaged: {str(broken)[:120]}") from broken
    if head[257:262] == b"ustar":
        raise ModelError("the file is a compressed tar archive; give the model file inside")
    if not _pickle_start(head):
        raise ModelError("the file is compressed, and what is inside is no pickle")
    return True


def _pickle_start(head: bytes) -> bool:
    if head[:1] == b"\x80":
        return len(head) > 1 and head[1] <= 5
    # Protocol 0 is text: it opens with a mark, a name, or a plain value.
    return bool(re.match(rb"(c[\w.]+\n\w+\n|\(|\]|\}|I-?\d+\n|V[^\n]*\n|S['\"])", head)) and (
        b"\n" in head or head[:1] in b"(]}"
    )


def _has_joblib_arrays(path: Path) -> bool:
    with path.open("rb") as file:
        return b"NumpyArrayWrapper" in file.read(1 << 20)


def _onnx(path: Path) -> str:
    """ "" when every top-level field is one of ModelProto and ends where the file ends."""
    known = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
    size, at, seen = path.stat().st_size, 0, set()
    with path.open("rb") as file:
        while at < size:
            key, at = _varint(file, at)
            field, wire = key >> 3, key & 7
            if known.get(field) != wire:
                return "unknown content"
            value, at = _varint(file, at)
            at += value if wire == 2 else 0
            if at > size:
                return "an ONNX model that is cut short" if 7 in seen or field == 7 else "unknown"
            seen.add(field)
            file.seek(at)
    return "" if {1, 7} <= seen else "an ONNX model without a graph" if 1 in seen else "unknown"


def _varint(file, at: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    value = shift = 0
    while shift < 70:
        byte = file.read(1)
        at += 1
        if not byte:
            return 1 << 62, at
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value, at
        shift += 7
    return 1 << 62, at
