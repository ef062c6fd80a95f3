"""What is in a PyTorch archive, before PyTorch reads it.

`torch.export.load` trusts its file: it resolves operators by dotted name from the module `torch`,
evaluates shapes as Python, unpickles what a setting says is pickled, and loads compiled libraries
(PyTorch's documentation: "never load data from an untrusted source"). TorchScript has operators
that read and write files. So all of that is held to lists here; where PyTorch 2.13 does these
things: torch/export/pt2_archive/_package.py and torch/_export/serde/serialize.py, read 2026-11-23.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from .errors import ModelError, RefusedModelError

MOST_BYTES = 4_000_000_000  # of one archive, unpacked
MOST_DEPTH = 2  # archives in archives


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DUNDERS = "and|or|xor|lshift|rshift|iand|ior|ixor|ilshift|irshift"
_TARGETS = re.compile(
    r"torch\.ops\.(aten|prims|prim|quantized_decomposed|quantized)"
    rf"\.([A-Za-z]\w*|_[A-Za-z]\w*|__({_DUNDERS})__)(\.[A-Za-z]\w*)?"
    r"|torch\.ops\.higher_order\.(cond|while_loop|map_impl|scan|associative_scan|"
    r"wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\._?sym_[a-z_]+|torch\._C\._set_grad_enabled"
    r"|math\.[a-z][a-z0-9]*"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|lt|le|gt|ge|eq|ne|"
    r"and_|or_|xor|not_|lshift|rshift|index|truth)"
)
_FILES = re.compile(r"\.(from_file|save|load)(\.|$)")
_SHAPE = re.compile(r"[A-Za-z0-9_ +\-*/%(),.<>=!&|~]*")
_SYMBOL = re.compile(r"[a-z]{1,4}[0-9]+")
# How sympy writes these; what they stand for may stand in a formula.
_WRITTEN = re.compile(
    r"Symbol\('[a-z]{1,4}[0-9]+'(, [a-z]+=(True|False|None))*\)"
    r"|Float\('-?[0-9.e+-]{1,40}', precision=[0-9]{1,4}\)"
)
_SHAPE_WORDS = _words(
    "FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt FloorToInt CeilDiv LShift "
    "RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator "
    "TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat Identity Min Max Eq Ne Le Lt Ge Gt "
    "And Or Not Abs True False floor ceiling int_oo Integer Rational Add Mul Pow true false "
    "GreaterThan LessThan StrictGreaterThan StrictLessThan Equality Unequality"
)
# In a script's code: files, and what prints a request into the log.
_SCRIPT_FILES = re.compile(r"\b(?:torch|ops\.aten|aten)\.(save|load|from_file)\s*\(|\bprint\s*\(")
_PLAIN_PARTS = re.compile(
    r"(archive_format|archive_version|byteorder|version|\.data/\w+|models/[^/]+\.json"
    r"|data/(weights|constants)/[^/]+|data/sample_inputs/[^/]+\.pt|extra/.*|extra_files/.*"
    r"|serialized_exported_program\.json|serialized_(state_dict|constants|example_inputs)\.pt)"
)


def check_export(path: Path) -> None:
    """Look at a torch.export archive. Raises RefusedModelError, or ModelError for a damaged one."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        top = "" if "version" in names else names[0].split("/", 1)[0] + "/"
        for name in names:
            part = name.removeprefix(top)
            if "aotinductor" in name:
                _refuse("holds a compiled library, which would run as it is")
            if not name.startswith(top) or not _PLAIN_PARTS.fullmatch(part):
                _refuse(f"holds {part[:80]!r}, which torch.export does not write")
            if part.startswith("models/") or part == "serialized_exported_program.json":
                _check_program(_json(archive, name))
            elif part.startswith(("data/weights/", "data/constants/")) and part.endswith(".json"):
                _check_payloads(_json(archive, name))


def check_script(archive: zipfile.ZipFile) -> None:
    """Look at the code in a TorchScript archive: its operators are PyTorch's, and some are files."""
    for name in archive.namelist():
        if name.endswith(".py"):
            text = archive.read(name).decode("utf-8", "replace")
            if found := _SCRIPT_FILES.search(text):
                _refuse(f"calls {found[0].rstrip('( ')}, which reads, writes or prints")


def pickles_in(source: Any, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every pickle in an archive and in the archives within."""
    with zipfile.ZipFile(source) as archive:
        names = archive.namelist()
        if len(set(names)) != len(names):
            _refuse("holds an archive with two files of the same name")
        if sum(e.file_size for e in archive.infolist()) > MOST_BYTES:
            _refuse("unpacks to more than 4 GB")
        check_script(archive)
        for name in names:
            if name.endswith(".pkl"):
                yield name, archive.read(name)
            elif name.endswith(".pt") and (data := archive.read(name)):
                # Before 2020 torch.save wrote several pickles one after the other.
                if data[:2] != b"PK" or depth >= MOST_DEPTH:
                    _refuse(f"holds {name[-60:]!r} in a form that PyTorch no longer writes")
                yield from pickles_in(io.BytesIO(data), depth + 1)


def _check_program(program: Any) -> None:
    """Operators by name, shapes as expressions, wherever they stand."""
    todo = [program]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo.extend(item)
        if not isinstance(item, dict):
            continue
        todo.extend(item.values())
        target, shape = item.get("target"), item.get("expr_str")
        if isinstance(target, str) and (not _TARGETS.fullmatch(target) or _FILES.search(target)):
            _refuse(f"calls {target[:80]!r}, which is no operator that a model needs")
        if shape is not None and not _is_shape(shape):
            _refuse(f"has a shape that is no formula: {str(shape)[:60]!r}")


def _is_shape(text: Any) -> bool:
    if not isinstance(text, str) or len(text) > 10_000:
        return False
    text = _WRITTEN.sub("s0", text)
    if not _SHAPE.fullmatch(text):
        return False
    if re.search(r"[A-Za-z_)]\s*\.|\.\s*[A-Za-z_]|\*\*\s*\d{4}|\d{40}", text):
        return False
    words = re.findall(r"[A-Za-z_]\w*", text)
    return all(w in _SHAPE_WORDS or _SYMBOL.fullmatch(w) for w in words)


def _check_payloads(settings: Any) -> None:
    config = settings.get("config") if isinstance(settings, dict) else None
    for name, one in config.items() if isinstance(config, dict) else ():
        file = str(one.get("path_name", "")) if isinstance(one, dict) else ""
        if not isinstance(one, dict) or one.get("use_pickle") is not False:
            _refuse(f"keeps {name[:60]!r} as a pickle; save it as a plain tensor")
        if not re.fullmatch(r"(weight|tensor)_\d+", file):
            _refuse(f"keeps {name[:60]!r} in {file[:60]!r}, which is no tensor")


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return json.loads(archive.read(name))
    except (ValueError, RecursionError) as broken:
        raise ModelError(f"{name[-60:]} in the PyTorch archive is damaged: {broken}") from broken


def _refuse(why: str) -> NoReturn:
    raise RefusedModelError(
        f"the PyTorch archive {why}; do not load it: ask where it came from, or export the model "
        "to ONNX at its source"
    )
