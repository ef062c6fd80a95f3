"""More files that try to do harm: by odd pickle instructions, by archives that readers take
differently, and by what the frameworks' own formats allow. Builders as in `malicious`."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from malicious import Builder, by_name, dump, touch

SPARSE_BYTES = 1_900_000_000


def harm(canary: str) -> bytes:
    """A pickle of protocol 0, which may begin anywhere."""
    return b"cposix\nsystem\n(S'" + touch(canary).encode() + b"'\ntR."


def _text(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def _long_text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _pickle(make: Callable[[str], bytes]) -> Builder:
    return lambda folder, canary: dump(folder / "model.pkl", make(canary))


def _logistic(state: bytes) -> bytes:
    name = _text("sklearn.linear_model._logistic") + _text("LogisticRegression")
    return b"\x80\x04" + name + b"\x93)\x81" + state + b"b."


def memmap_elsewhere(folder: Path, canary: str) -> Path:
    """joblib's wrapper that names a file of its own and how to open it."""
    import numpy as np

    state = b"".join(
        (_text("subclass"), _text("numpy"), _text("memmap"), b"\x93", _text("shape"), b"K\x04\x85",
         _text("order"), _text("C"), _text("dtype"), pickle.dumps(np.dtype("f8"), 4)[2:-1],
         _text("filename"), _text(canary), _text("mmap_mode"), _text("w+"))
    )  # fmt: skip
    wrapper = _text("joblib.numpy_pickle") + _text("NumpyArrayWrapper")
    body = b"\x80\x04" + wrapper + b"\x93)\x81}(" + state + b"ub" + bytes(32) + b"."
    return dump(folder / "model.joblib", body)


def zipped(entries: dict[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def script(canary: str) -> dict[str, bytes | str]:
    return {"m/data.pkl": harm(canary), "m/constants.pkl": b"\x80\x02).", "m/version": b"3\n"}


def two_archives(folder: Path, canary: str) -> Path:
    """One end, two directories: PyTorch reads the first by its offset, Python the one before the
    end."""
    wanted = zipped(script(canary))
    shown = zipped({"m/data.pkl": b"\x80\x02}.", "m/constants.pkl": b"\x80\x02)."})
    end = bytearray(shown[shown.index(b"PK\x05\x06") :])
    end[16:20] = struct.pack("<I", wanted.index(b"PK\x01\x02"))
    at = shown.index(b"PK\x05\x06")
    return dump(folder / "model.pt", wanted + shown[:at] + bytes(end))


def files_over_files(folder: Path, canary: str) -> Path:
    """Two thousand names for the same 50 MB, none of which says so."""
    out = io.BytesIO()
    archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
    archive.writestr("schema.json", b"{}")
    archive.writestr("a.npy", bytes(50_000_000))
    for number in range(2000):
        twin = copy.copy(archive.getinfo("a.npy"))
        twin.filename, twin.file_size = f"b{number}.npy", 100
        archive.filelist.append(twin)
        archive.NameToInfo[twin.filename] = twin
    archive.close()
    return dump(folder / "model.skops", out.getvalue())


def zip64_lie(folder: Path, canary: str) -> Path:
    """Sizes of 2**62 in the fields for large archives."""
    data = zipped({"schema.json": b"{}"})
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry, tail = bytearray(data[at:end]), bytearray(data[end:])
    more = struct.pack("<HHQQ", 1, 16, 1 << 62, 1 << 62)
    entry[20:28], entry[30:32] = b"\xff" * 8, struct.pack("<H", len(more))
    tail[12:16] = struct.pack("<I", len(entry) + len(more))
    return dump(folder / "model.skops", data[:at] + bytes(entry) + more + bytes(tail))


def small_lie(folder: Path, canary: str) -> Path:
    """It says ten bytes and unpacks to 300 MB."""
    data = bytearray(zipped({"schema.json": b" " * 300_000_000 + b"{}"}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = data[22:26] = struct.pack("<I", 10)
    return dump(folder / "model.skops", bytes(data))


def _flagged(local: int, central: int, value: int) -> Builder:
    """A number in the header of its one file, set in both places."""

    def build(folder: Path, canary: str) -> Path:
        data = bytearray(zipped({"schema.json": b"{}"}))
        data[local] = data[data.index(b"PK\x01\x02") + central] = value
        return dump(folder / "model.skops", bytes(data))

    return build


def nul_name(folder: Path, canary: str) -> Path:
    """Python ends a name at the NUL, others do not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = zipped({"m/data.pklXx": harm(canary), "m/constants.pkl": b"\x80\x02)."})
    return dump(folder / "model.pt", data.replace(b"data.pklXx", b"data.pkl\x00x"))


def _zip(name: str, make: Callable[[str], dict[str, bytes | str]]) -> Builder:
    return lambda folder, canary: dump(folder / name, zipped(make(canary)))


def skops_objects(canary: str) -> dict[str, bytes | str]:
    """An array whose values are pickled."""
    import numpy as np

    out = io.BytesIO()
    np.save(out, np.array([None], dtype=object), allow_pickle=True)
    head = out.getvalue()[: out.getvalue().index(b"\n") + 1]
    return {"schema.json": _array_node("a.npy"), "a.npy": head + harm(canary)}


def _array_node(file: str) -> str:
    return json.dumps(
        {"__module__": "numpy", "__class__": "ndarray", "__loader__": "NdArrayNode",
         "type": "numpy", "file": file, "protocol": 2, "_skops_version": "0.16"}
    )  # fmt: skip


def export(
    *, target: str = "torch.ops.aten.relu.default", shape: str = "s0", weights: Any = None,
    more: dict[str, bytes | str] | None = None,
) -> bytes:  # fmt: skip
    """As torch.export writes it, as far as it is read before anything is refused."""
    graph = {
        "nodes": [{"target": target, "inputs": []}],
        "sym_int_values": {"a": {"as_expr": {"expr_str": shape}}},
    }
    program = {"graph_module": {"graph": graph}}
    return zipped(
        {"m/archive_format": "pt2", "m/archive_version": "0", "m/byteorder": "little",
         "m/models/model.json": json.dumps(program),
         "m/data/weights/model_weights_config.json": json.dumps({"config": weights or {}}),
         "m/data/constants/model_constants_config.json": json.dumps({"config": {}}),
         **(more or {})}
    )  # fmt: skip


def _export(**given: Any) -> Builder:
    def build(folder: Path, canary: str) -> Path:
        more = {
            name: content(canary) if callable(content) else content
            for name, content in given.get("more", {}).items()
        }
        return dump(folder / "model.pt2", export(**(given | {"more": more})))

    return build


def real_export(folder: Path, canary: str) -> Path:
    """A real program whose weights are said to be a pickle: torch.export.load unpickles them."""
    import torch

    plain = folder / "plain.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(2, 1), (torch.zeros(1, 2),)), plain)
    entries: dict[str, bytes | str] = {}
    with zipfile.ZipFile(plain) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith("weights_config.json"):
                content = content.replace(b'"use_pickle": false', b'"use_pickle": true')
            entries[name] = harm(canary) if name.endswith("weight_0") else content
    plain.unlink()
    path = folder / "model.pt2"
    with zipfile.ZipFile(path, "w") as out:
        for name, content in entries.items():
            out.writestr(name, content)
    return path


def _script(code: str) -> Builder:
    def build(folder: Path, canary: str) -> Path:
        entries: dict[str, bytes | str] = {
            "m/data.pkl": b"\x80\x02}.", "m/constants.pkl": b"\x80\x02).",
            "m/code/__torch__.py": code.replace("CANARY", canary),
        }  # fmt: skip
        return dump(folder / "model.pt", zipped(entries))

    return build


def _onnx(nodes: list[Any], functions: list[Any] | None = None, **graph: Any) -> bytes:
    from onnx import TensorProto, helper

    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 1]) for n in "xy"]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], **graph)
    return bytes(
        helper.make_model(
            made, functions=functions or [], opset_imports=imports
        ).SerializeToString()
    )


def _function(name: str, calls: list[tuple[str, str, str]]) -> Any:
    from onnx import helper

    nodes = [
        helper.make_node(op, [a], [b], domain="com.microsoft" if op[0] == "F" else "")
        for op, a, b in calls
    ]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_function("com.microsoft", name, ["a"], ["b"], nodes, imports)


def onnx_calls_itself(folder: Path, canary: str) -> Path:
    from onnx import helper

    nodes = [helper.make_node("F0", ["x"], ["y"], domain="com.microsoft")]
    own = [_function("F0", [("F1", "a", "b")]), _function("F1", [("F0", "a", "b")])]
    return dump(folder / "model.onnx", _onnx(nodes, own))


def onnx_function_bomb(folder: Path, canary: str) -> Path:
    """Forty functions, each calling the one before twice: 2**39 operators."""
    from onnx import helper

    own = [_function("F0", [("Identity", "a", "b")])]
    own += [
        _function(f"F{i}", [(f"F{i - 1}", "a", "m"), (f"F{i - 1}", "m", "b")]) for i in range(1, 40)
    ]
    nodes = [helper.make_node("F39", ["x"], ["y"], domain="com.microsoft")]
    return dump(folder / "model.onnx", _onnx(nodes, own))


def _elsewhere(location: str) -> Any:
    from onnx import TensorProto

    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def onnx_link(folder: Path, canary: str) -> Path:
    """The weights lie beside the model, as a link to a file of the machine."""
    from onnx import helper

    link = folder / "w.bin"
    link.symlink_to("/etc/passwd")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    return dump(folder / "model.onnx", _onnx(nodes, initializer=[_elsewhere(link.name)]))


def onnx_sparse_elsewhere(folder: Path, canary: str) -> Path:
    from onnx import SparseTensorProto, TensorProto, helper

    at = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse = SparseTensorProto(values=_elsewhere("/etc/passwd"), indices=at, dims=[1, 1])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return dump(folder / "model.onnx", _onnx(nodes, sparse_initializer=[sparse]))


def no_bytes(folder: Path, canary: str) -> Path:
    """UBJSON with forty million times nothing, which takes no bytes each."""
    body = b"{L" + struct.pack(">q", 7) + b"learner[$N#L" + struct.pack(">q", 40_000_000)
    path = dump(folder / "model.ubj", body)
    os.truncate(path, 40_000_100)
    return path


def _lightgbm(width: int, leaves: int) -> Builder:
    text = (
        f"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
        f"max_feature_idx={width}\nobjective=regression\nfeature_names=a b\n"
        f"feature_infos=none none\ntree_sizes=50\n\nTree=0\nnum_leaves={leaves}\nnum_cat=0\n"
        "leaf_value=1\n\nend of trees\n"
    )
    return lambda folder, canary: dump(folder / "model.txt", text.encode())


def hard_link(folder: Path, canary: str) -> Path:
    path = folder / "model.pt"
    with tarfile.open(path, "w") as out:
        entry = tarfile.TarInfo("data.pkl")
        entry.type, entry.linkname = tarfile.LNKTYPE, "/etc/passwd"
        out.addfile(entry)
    return path


def _sparse(name: str, head: bytes) -> Builder:
    """A few bytes and a hole of almost 2 GB."""

    def build(folder: Path, canary: str) -> Path:
        path = dump(folder / name, head)
        os.truncate(path, SPARSE_BYTES)
        return path

    return build


_PICKLED = {"w": {"path_name": "weight_0", "is_param": True, "use_pickle": True}}
_OPAQUE = {"w": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False}}
CORPUS: dict[str, Builder] = {
    "names from the memo": _pickle(
        lambda c: b"\x80\x04" + _text("posix") + b"\x940" + _text("system") + b"\x940h\x00h\x01\x93"
        + _text(touch(c)) + b"\x85R."
    ),
    "OBJ": _pickle(lambda c: b"\x80\x02(cposix\nsystem\n" + _long_text(touch(c)) + b"o."),
    "registered extension": _pickle(
        lambda c: b"\x80\x02ccopyreg\nadd_extension\n(" + _long_text("posix") + _long_text("system")
        + b"K\x07tR0\x82\x07" + _long_text(touch(c)) + b"\x85R."
    ),
    "class through slots": _pickle(
        lambda c: _logistic(b"N}" + _text("__class__") + _text("posix") + _text("system")
                            + b"\x93s\x86")
    ),
    "attribute named by an object": _pickle(
        lambda c: _logistic(b"}" + _text("numpy") + _text("str_") + b"\x93" + _text("__class__")
                            + b"\x85R" + _text("numpy") + _text("exp") + b"\x93s")
    ),
    "endless fraction": _pickle(lambda c: by_name("fractions", "Fraction", "1e999999999")),
    "list of a range": _pickle(
        lambda c: b"\x80\x04" + _text("builtins") + _text("list") + b"\x93" + _text("builtins")
        + _text("range") + b"\x93\x8a\x05" + (10**11).to_bytes(5, "little") + b"\x85R\x85R."
    ),
    "memmap elsewhere": memmap_elsewhere,
    "harm after the end": _pickle(lambda c: pickle.dumps({"a": 1}) + harm(c)),
    "pickle before an archive": lambda folder, canary: dump(
        folder / "model.skops", harm(canary) + zipped({"schema.json": "{}"})
    ),
    "two archives": two_archives,
    "files over files": files_over_files,
    "zip64 lie": zip64_lie,
    "small lie": small_lie,
    "odd names": _zip("model.skops", lambda c: {"schema.json": "{}", "a\nb\u202egpj.npy": b""}),
    "NUL in a name": nul_name,
    "encrypted": _flagged(6, 8, 1),
    "odd packing": _flagged(8, 10, 99),
    "skops array of objects": _zip("model.skops", skops_objects),
    "skops path outside": _zip("model.skops", lambda c: {"schema.json": _array_node("../../x")}),
    "export weights as a pickle": _export(weights=_PICKLED, more={"m/data/weights/weight_0": harm}),
    "export opaque object": _export(weights=_OPAQUE, more={"m/data/constants/opaque_obj_0": harm}),
    "export calls os": _export(target="torch.os.system"),
    "export reads a file": _export(target="torch.ops.aten.from_file.default"),
    "export reaches inside": _export(target="torch.ops.aten.__class__.__init__.__globals__"),
    "export shape is code": _export(shape="__import__('os').system('true')"),
    "export shape calls": _export(shape="exec(s0)"),
    "export compiled library": _export(more={"m/data/aotinductor/model/a.so": b"\x7fELF"}),
    "export old pickle": _export(
        more={"m/data/sample_inputs/model.pt": lambda c: pickle.dumps(1) * 3 + harm(c)}
    ),
    "export old settings": lambda folder, canary: dump(
        folder / "model.pt2",
        zipped({"version": "8.8", "serialized_exported_program.json": "{}",
                "serialized_state_dict.json": harm(canary)}),
    ),
    "script writes a file": _script("def f(x):\n  _0 = torch.save(x, 'CANARY')\n"),
    "script reads a file": _script("def f(x):\n  return ops.aten.from_file('/etc/passwd', True)\n"),
    "onnx function calls itself": onnx_calls_itself,
    "onnx function bomb": onnx_function_bomb,
    "onnx link": onnx_link,
    "onnx sparse elsewhere": onnx_sparse_elsewhere,
    "xgboost values of no bytes": no_bytes,
    "lightgbm two billion leaves": _lightgbm(1, 2_147_483_647),
    "lightgbm two billion features": _lightgbm(2_147_483_646, 1),
    "tar with a hard link": hard_link,
    "sparse pickle": _sparse("model.joblib", b"\x80\x04\x8e" + struct.pack("<Q", SPARSE_BYTES - 11)),
    "sparse onnx": _sparse("model.onnx", b"\x08\x08\x3a\xf4\xb6\xff\x89\x07"),
}  # fmt: skip
