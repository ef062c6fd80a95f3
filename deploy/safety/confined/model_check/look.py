"""The look at a model file: what it is, what it asks for, whether it loads, what it expects."""

from __future__ import annotations

import importlib.metadata
import io
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_server import accepted, loaders, safe_pickle, safe_skops, torch_check
from model_server.errors import ModelError, RefusedModelError, RequestError
from model_server.payload import Decoder
from model_server.signature import Signature
from model_server.sklearn_model import SklearnModel
from model_server.unpack import open_stream

from . import describe, describe_files, foreign, formats

# import name -> package names that may provide it
PACKAGES = {
    "sklearn": ("scikit-learn",), "numpy": ("numpy",), "scipy": ("scipy",), "joblib": ("joblib",),
    "pandas": ("pandas",), "onnxruntime": ("onnxruntime",), "skops": ("skops",),
    "xgboost": ("xgboost", "xgboost-cpu"), "lightgbm": ("lightgbm",), "torch": ("torch",),
}  # fmt: skip
EXTRAS = {"torch": "torch", "xgboost": "xgboost", "lightgbm": "lightgbm"}
TORCH_PARTS = re.compile(
    r"^(torch\.(FloatStorage|DoubleStorage|HalfStorage|BFloat16Storage|LongStorage|IntStorage|"
    r"ShortStorage|CharStorage|ByteStorage|BoolStorage|Size|device|float\d+|int\d+|uint8|bool|"
    r"bfloat16)|torch\._utils\._rebuild_(tensor_v2|parameter|qtensor)|"
    r"torch\.storage\.(UntypedStorage|TypedStorage)|"
    r"torch\.jit\._pickle\.(build_(int|tensor|double|bool)list|restore_type_tag)|"
    r"collections\.OrderedDict|__torch__(\.\w+)*)$"
)


def run(payload: dict[str, Any]) -> dict[str, Any]:
    """Look at payload["path"], named payload["name"].

    With payload["accept"], names outside the allow-list that a person may accept are loaded; their
    code is in payload["code"], a folder or null. Returns {"format", "findings", "verdict",
    "signature", "libraries", "saved_with", "accepted"} or {"refused": bool, "message", "findings",
    "acceptable": bool}.
    """
    path, name = Path(payload["path"]), str(payload["name"])
    findings: list[str] = []
    own = _Own(bool(payload.get("accept")), Path(payload["code"]) if payload.get("code") else None)
    try:
        found = formats.detect(path)
        findings += found.notes
        note = formats.check_name(name, found)
        if note:
            findings.append(note)
        look = _LOOKS[found.format]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = look(path, findings, own)
        saved_with = _versions_told(caught, findings)
    except RefusedModelError as refused:
        return {
            "refused": True,
            "message": str(refused),
            "findings": [*findings, str(refused)],
            "acceptable": isinstance(refused, _UnknownError),
        }
    except ModelError as wrong:
        return {"refused": False, "message": str(wrong), "findings": findings}
    except RecursionError:
        deep = "the file nests far deeper than a saved model does; check where it came from"
        return {"refused": True, "message": deep, "findings": [*findings, deep]}
    return {
        "format": formats.by_name(name, found),
        "findings": findings,
        "saved_with": result.pop("saved_with", {}) | saved_with,
        **result,
    }


class _UnknownError(RefusedModelError):
    """Refused for names that are unknown, none of which a harmful file would use."""


@dataclass(frozen=True)
class _Own:
    """What a person said about code of their own."""

    accept: bool
    code: Path | None


def _pickled(path: Path, findings: list[str], own: _Own) -> dict[str, Any]:
    names = safe_pickle.trace(path)
    refused = safe_pickle.refused_of(names)
    mine = all(accepted.can_be(m, n) for m, n, _ in refused)
    if refused and not (own.accept and mine):
        kind = _UnknownError if mine else RefusedModelError
        raise kind(_refusal(refused), [f"{m}.{n}" for m, n, _ in refused])
    _second_opinion(path, findings)
    told = accepted.homes([(m, n) for m, n, _ in refused], own.code) if refused else []
    accepted.take({"names": told}, own.code)
    findings.append(
        f"It refers to {len(set(names))} names, all on the allow-list, and loads with them alone."
        if not told
        else f"It refers to {len(set(names))} names; {len(told)} of them are outside the "
        f"allow-list and were accepted: {', '.join(f'{m}.{n}' for m, n, _ in told)}."
    )
    result = _estimator("pickle", path, {m.split(".")[0] for m, _ in names})
    if told:
        roots = {home.split(".")[0] for _, _, home in told} | accepted.imported_by(own.code)
        result["libraries"] |= _packages(roots)
        result |= {"verdict": "accepted", "accepted": told}
    return result


def _skops(path: Path, findings: list[str], _own: _Own) -> dict[str, Any]:
    _need("skops")
    types = safe_skops.types_in(path)
    findings.append(f"It names {len(types)} types, all on the allow-list.")
    return _estimator("skops", path, {m.split(".")[0] for m, _ in types} | {"skops"})


def _estimator(form: str, path: Path, roots: set[str]) -> dict[str, Any]:
    model = loaders.load_object(form, path)
    signature = describe.sklearn_signature(model)
    _try_out(model, signature)
    roots &= set(PACKAGES)
    roots |= {"sklearn", "numpy", "scipy", "joblib"}
    if signature.get("needs_frame"):
        roots.add("pandas")
    return {
        "verdict": "allow-listed",
        "signature": signature,
        "libraries": _versions(roots),
    }


def _try_out(model: Any, signature: dict[str, Any]) -> None:
    """One prediction of the example row: an older model may load and then lack what it needs."""
    if signature.get("example") is None:
        return
    told = Signature.of(signature)
    try:
        row = Decoder(told).batch([told.example])
    except RequestError:  # the example is a guess; the server says so too when it warms up
        return
    try:
        SklearnModel(model, told).predict(row, "default")
    except (AttributeError, NotImplementedError) as broken:
        raise ModelError(
            f"the model loads and cannot predict with the scikit-learn installed here ({broken}); "
            "save it again with this version, or install the one that it was saved with"
        ) from broken
    except ValueError as wrong:
        # Trained on single precision, some clusterings take nothing else.
        if "expected 'const double' but got 'float'" in str(wrong) and row.kind == "array":
            signature["input_dtype"] = "float32"
    except (RequestError, TypeError, KeyError, IndexError):
        return  # what the example lacks is no fault of the model


def _onnx(path: Path, findings: list[str], _own: _Own) -> dict[str, Any]:
    _need("onnxruntime")
    signature = describe_files.onnx_signature(path)
    producer = signature.pop("_producer", "")
    loaders.load("onnx", path, Signature.of(signature))
    findings.append("ONNX holds a graph of standard operators and no code; it loads.")
    return {
        "verdict": "safe",
        "signature": signature,
        "libraries": _versions({"onnxruntime", "numpy"}),
        "saved_with": {"producer": producer} if producer else {},
    }


def _xgboost(path: Path, findings: list[str], _own: _Own) -> dict[str, Any]:
    signature = describe_files.xgboost_signature(path.read_bytes())
    findings.append("Every index and length in the XGBoost file stays within the file.")
    if coded := list(signature["coded"] or ()):
        few = ", ".join(coded[:5]) + (" …" if len(coded) > 5 else "")
        findings.append(
            f"The categories of {few} cannot be read from the file (XGBoost damages names outside "
            "of ASCII when it saves, and knows numbers by their place alone): send each as its "
            "number in the order of training, from 0. To send names, train with names in ASCII."
        )
    _need("xgboost")
    loaders.load("xgboost", path, Signature.of(signature))
    return {
        "verdict": "safe",
        "signature": signature,
        "libraries": _versions({"xgboost", "numpy", "scipy"}),
    }


def _lightgbm(path: Path, findings: list[str], _own: _Own) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as broken:
        raise ModelError(f"the LightGBM model is no text: {broken}") from broken
    signature = describe_files.lightgbm_signature(text)
    findings.append("Every index in the LightGBM file stays within its trees.")
    _need("lightgbm")
    loaders.load("lightgbm", path, Signature.of(signature))
    return {
        "verdict": "safe",
        "signature": signature,
        "libraries": _versions({"lightgbm", "numpy", "scipy"}),
    }


def _torch(path: Path, findings: list[str], _own: _Own) -> dict[str, Any]:
    names = _check_torch_archive(path)
    scripted = any(n.endswith("constants.pkl") for n in names)
    exported = any(n.endswith(("archive_format", "exported_program.json")) for n in names)
    if not scripted and not exported:
        raise ModelError(
            "the PyTorch file holds weights without the model's code; save the model with "
            "torch.jit.trace(model, example).save(...) or torch.export.save(...)"
        )
    if not scripted:
        torch_check.check_export(path)
    _need("torch")
    signature = describe_files.torch_signature(path)
    kind = "TorchScript" if scripted else "torch.export"
    findings.append(
        f"{kind} is a program of PyTorch's own operators without Python code; it loads confined."
    )
    return {
        "verdict": "allow-listed",
        "signature": signature,
        "libraries": _versions({"torch", "numpy"}),
    }


def _check_torch_archive(path: Path) -> list[str]:
    """Trace every pickle in the archive and in the archives within; the names in it."""
    try:
        for inner, data in torch_check.pickles_in(path):
            _check_torch_pickle(data, path, inner)
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as broken:
        raise ModelError(f"the PyTorch archive is damaged: {str(broken)[:120]}") from broken


def _check_torch_pickle(data: bytes, path: Path, inner: str) -> None:
    names = safe_pickle.trace_stream(io.BytesIO(data), path, stored_elsewhere=True)
    bad = [(m, n) for m, n in dict.fromkeys(names) if not TORCH_PARTS.match(f"{m}.{n}")]
    if bad:
        from model_server.allowlist import explain

        told = _refusal([(m, n, explain(m, n)) for m, n in bad])
        raise RefusedModelError(f"{told} (in {inner})", [f"{m}.{n}" for m, n in bad])


def _second_opinion(path: Path, findings: list[str]) -> None:
    """picklescan, over the unpacked content; it cannot read past joblib's arrays and says so."""
    try:
        from picklescan.scanner import SafetyLevel, scan_pickle_bytes
    except ModuleNotFoundError:
        return
    with open_stream(path) as stream:
        result = scan_pickle_bytes(io.BytesIO(stream.read()), path.name)
    dangerous = [g for g in result.globals if g.safety == SafetyLevel.Dangerous]
    if dangerous:
        raise RefusedModelError(
            "picklescan, the second opinion, finds "
            + ", ".join(f"{g.module}.{g.name}" for g in dangerous[:5]),
            [f"{g.module}.{g.name}" for g in dangerous],
        )
    findings.append(
        "picklescan, the second opinion, could not read past the arrays."
        if result.scan_err
        else "picklescan, the second opinion, finds nothing dangerous."
    )


def _refusal(refused: list[tuple[str, str, str]]) -> str:
    if (other := foreign.told(refused)) is not None:
        return other
    first = "; ".join(f"{m}.{n}, which {why}" for m, n, why in refused[:3])
    more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
    mine = all(accepted.can_be(m, n) for m, n, _ in refused)
    absent = ", ".join(foreign.missing(refused)) if mine else ""
    advice = (
        f"{absent} is not installed here: pip install it, or give the folder with its code "
        "(--code), and accept it with a reason (--accept-unsafe); or export the model to ONNX"
        if absent
        else "export the model to ONNX, or, if the code is yours, accept it with a reason and give "
        "it along (--accept-unsafe, --code)"
        if mine
        else "do not load it; ask where it came from, or export the model to ONNX at its source"
    )
    return f"the file refers to {first}{more}; nothing of it was run: {advice}"


def _need(package: str) -> None:
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as missing:
        if missing.name != package:
            raise
        extra = EXTRAS.get(package)
        way = (
            f"pip install 'model-deployment-advisor[{extra}]'"
            if extra
            else f"pip install {package}"
        )
        raise ModelError(
            f"the model needs {package}, which is not installed here; {way}, or export the model "
            "to ONNX"
        ) from missing
    except (ImportError, OSError) as broken:
        raise ModelError(f"{package} is installed but does not start: {broken}") from broken


def _versions(roots: set[str]) -> dict[str, str]:
    found = {}
    for root in sorted(roots):
        for package in PACKAGES.get(root, ()):
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def _packages(roots: set[str]) -> dict[str, str]:
    """The installed packages behind these imports, with their versions."""
    known = importlib.metadata.packages_distributions()
    found = {package for root in roots for package in known.get(root, ())}
    return {package: importlib.metadata.version(package) for package in sorted(found)}


def _versions_told(caught: list[warnings.WarningMessage], findings: list[str]) -> dict[str, str]:
    """scikit-learn warns when a model was saved with another version; say it once."""
    saved: dict[str, str] = {}
    for warning in caught:
        if type(warning.message).__name__ != "InconsistentVersionWarning":
            continue
        message = warning.message
        old = str(getattr(message, "original_sklearn_version", "another version"))
        new = str(getattr(message, "current_sklearn_version", "this one"))
        if "scikit-learn" not in saved:
            findings.append(
                f"It was saved with scikit-learn {old} and loads here with {new}; predictions may "
                f"differ: compare some, or save it again with {new}."
            )
        saved["scikit-learn"] = old
    return saved


_LOOKS = {
    "joblib": _pickled,
    "pickle": _pickled,
    "skops": _skops,
    "onnx": _onnx,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "torch": _torch,
}
