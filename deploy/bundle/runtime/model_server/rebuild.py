"""Rebuilds arrays, dtypes and small values from a pickle without trusting what it says of them.

A pickle can claim a dtype whose flags lie about holding objects, or an array longer than its
bytes; numpy believes some of that. Here every claim is recomputed or checked first.
"""

from __future__ import annotations

import fractions
import functools
import math
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import IO, Any

from .errors import ModelError, RefusedModelError

CHUNK = 1 << 24
CHECK_SETTINGS = frozenset({"dtype", "ensure_all_finite", "force_all_finite"})
LOSSES = "sklearn._loss._loss"


def is_dtype(value: Any) -> bool:
    import numpy as np

    return isinstance(value, np.dtype)


def new_dtype(spec: Any, *_: Any) -> Any:
    """A fresh dtype from its short name ("f8", "V64"); never numpy's shared instance."""
    import numpy as np

    if not isinstance(spec, str) or len(spec) > 64:
        raise RefusedModelError("the pickle makes a dtype from something else than its name")
    return np.dtype(spec, copy=True)


def fill_dtype(dtype: Any, state: Any) -> None:
    """Set byte order and fields of a fresh dtype to what numpy itself computes for them."""
    import numpy as np

    if not isinstance(state, tuple) or len(state) < 8 or state[1] not in ("<", ">", "|", "="):
        raise ModelError("the file holds a dtype that numpy did not write")
    order, subarray, names, fields = state[1], state[2], state[3], state[4]
    if subarray is not None:
        base, shape = subarray
        wanted = np.dtype((_checked(base), tuple(shape)))
    elif names:
        parts = [fields[name] for name in names]
        wanted = np.dtype(
            {
                "names": list(names),
                "formats": [_checked(part[0]) for part in parts],
                "offsets": [int(part[1]) for part in parts],
                "itemsize": int(state[5]),
            },
            align=bool(int(state[7]) & 0x80),
        )
    elif len(state) > 8 and isinstance(state[8], tuple) and dtype.kind in "mM":
        unit, count = state[8][1][0], int(state[8][1][1])
        unit = unit.decode("ascii") if isinstance(unit, bytes) else unit
        wanted = np.dtype(f"{dtype.kind}8[{count}{unit}]") if unit != "generic" else dtype
    else:
        wanted = dtype if order in "|=" else dtype.newbyteorder(order)
    written = wanted.__reduce__()[2]
    dtype.__setstate__(written)
    if dtype != wanted:
        raise RefusedModelError("the file holds a dtype whose description contradicts itself")


class ArrayHeader:
    """joblib's description of an array whose bytes follow in the file."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.order: Any = "C"
        self.dtype: Any = None
        self.aligned = False

    def fill(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise ModelError("the joblib file describes an array in a way that joblib does not")
        shape, self.order, self.dtype = state.get("shape"), state.get("order"), state.get("dtype")
        self.aligned = state.get("numpy_array_alignment_bytes") is not None
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ModelError(f"the joblib file holds an array of shape {str(shape)[:60]}")
        if self.order not in ("C", "F") or not is_dtype(self.dtype):
            raise ModelError("the joblib file describes an array in a way that joblib does not")
        self.shape = shape

    @property
    def holds_objects(self) -> bool:
        return bool(self.dtype.hasobject)

    def read(self, stream: IO[bytes], *, keep: bool) -> Any:
        """The array; with `keep` false its bytes are only skipped and None returned."""
        import numpy as np

        if self.aligned:
            pad = stream.read(1)
            stream.read(pad[0] if pad else 0)
        size = math.prod(self.shape) * self.dtype.itemsize
        data = bytearray()
        got = 0
        while got < size:  # in parts: a length that lies then costs no memory
            part = stream.read(min(CHUNK, size - got))
            if not part:
                raise EOFError(f"an array of {size} bytes has only {got}")
            got += len(part)
            if keep:
                data += part
        if not keep:
            return None
        flat = np.frombuffer(data, dtype=self.dtype) if size else np.empty(0, dtype=self.dtype)
        if not size:
            return np.empty(self.shape, dtype=self.dtype)
        return flat.reshape(self.shape, order=self.order)


def check_state(instance: Any, state: Any) -> None:
    """Refuse to fill what is no plain instance, and arrays whose bytes do not fit their shape."""
    import numpy as np

    if isinstance(instance, (type, types.FunctionType, types.BuiltinFunctionType, np.ufunc,
                             types.ModuleType, types.MethodType)):  # fmt: skip
        raise RefusedModelError("the pickle tries to change a class or a function")
    if isinstance(instance, np.ndarray):
        _check_array_state(state)
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict) and not isinstance(instance, np.ndarray):
            for key in part:
                if isinstance(key, str) and key.startswith("__") and key.endswith("__"):
                    raise RefusedModelError(f"the pickle tries to replace {key} of an object")
    _check_booster(instance, state)


def _check_array_state(state: Any) -> None:
    if not isinstance(state, tuple) or len(state) not in (4, 5, 7):
        raise ModelError("the file holds an array that numpy did not write")
    shape, dtype, _, raw = state[1:5] if len(state) > 4 else state
    if not isinstance(shape, tuple) or not is_dtype(dtype):
        raise ModelError("the file holds an array that numpy did not write")
    count = math.prod(int(n) for n in shape)
    if min(shape, default=0) < 0:
        raise RefusedModelError(f"the file holds an array of shape {shape}")
    if dtype.hasobject:
        fits = isinstance(raw, list) and len(raw) == count
    else:
        fits = isinstance(raw, (bytes, str)) and (
            isinstance(raw, str) or len(raw) == count * dtype.itemsize
        )
    if len(state) == 7:  # a masked array: one byte of mask for each plain value
        mask = state[5]
        fits = fits and not dtype.names and isinstance(mask, bytes) and len(mask) == count
    if not fits:
        raise RefusedModelError("the file holds an array whose bytes do not fit its shape")


def _check_booster(instance: Any, state: Any) -> None:
    """Boosters carry their library's own file inside; look at it before the library does."""
    if type(instance).__name__ != "Booster" or not isinstance(state, dict):
        return
    from . import boosters

    root = type(instance).__module__.split(".")[0]
    if root == "xgboost" and state.get("handle") is not None:
        boosters.check_xgboost(bytes(state["handle"]))
    elif root == "lightgbm":
        text = state.get("_handle", state.get("handle"))
        if text is not None:
            boosters.check_lightgbm(str(text))


def _reconstruct(subtype: Any, shape: Any, kind: Any) -> Any:
    """An empty array, to be filled by the next instruction; the claimed shape is not used."""
    import numpy as np

    return np.ndarray((0,), dtype="b")


def _masked(*_: Any) -> Any:
    """An empty masked array, to be filled by the next instruction."""
    import numpy as np

    return np.ma.MaskedArray.__new__(
        np.ma.MaskedArray, np.ndarray((0,), "b"), mask=np.ndarray((0,), "?"), dtype="b"
    )


def _scalar(dtype: Any, raw: Any = None) -> Any:
    from numpy._core.multiarray import scalar

    _checked(dtype)
    if dtype.hasobject:
        raise RefusedModelError("the file holds a numpy scalar made of an object")
    if not isinstance(raw, (bytes, str)):
        raise ModelError("the file holds a numpy scalar without its bytes")
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if len(data) != dtype.itemsize:
        raise RefusedModelError("the file holds a numpy scalar whose bytes do not fit its type")
    return scalar(dtype, data)


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> Any:
    import numpy as np

    _checked(dtype)
    if dtype.hasobject or not isinstance(buffer, (bytes, bytearray, memoryview)):
        raise RefusedModelError("the file holds an array of objects written as plain bytes")
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if str(encoding).lower().replace("-", "") not in ("latin1", "iso88591", "utf8", "ascii"):
        raise RefusedModelError(f"the pickle encodes text as {str(encoding)[:40]}")
    return str(text).encode(encoding)


def _defaultdict(factory: Any = None, *rest: Any) -> Any:
    if factory not in (None, int, float, str, list, dict, set, tuple, bool, OrderedDict):
        raise RefusedModelError("the pickle makes a defaultdict with a factory of its own")
    return defaultdict(factory, *rest)


def _tree(n_features: Any, n_classes: Any, n_outputs: Any) -> Any:
    """scikit-learn reads `n_outputs` numbers from `n_classes` without looking at its length."""
    import numpy as np
    from sklearn.tree._tree import Tree

    counts = np.ascontiguousarray(n_classes, dtype=np.intp)
    if counts.ndim != 1 or len(counts) != int(n_outputs) or not 0 < int(n_features) < 2**31:
        raise RefusedModelError("the file holds a decision tree whose sizes contradict each other")
    return Tree(int(n_features), counts, int(n_outputs))


def partial_check(func: Any = None, *rest: Any) -> Any:
    """The one partial that a model needs: scikit-learn's check of an array."""
    from sklearn.utils.validation import check_array

    if func is not check_array or rest:
        raise RefusedModelError(
            "the file refers to functools.partial, which wraps any function", ["functools.partial"]
        )
    return functools.partial(check_array)


def fill_partial(made: functools.partial[Any], state: Any) -> None:
    """Its settings, as a copy that the file cannot reach afterwards."""
    fits = isinstance(state, tuple) and len(state) == 4 and state[0] is made.func
    if not fits or state[1] != () or state[3] or set(state[2]) - CHECK_SETTINGS:
        raise RefusedModelError(
            "the file fills a functools.partial otherwise than scikit-learn does",
            ["functools.partial"],
        )
    made.keywords.update(state[2])


def old_loss(cls: Any, _checksum: Any = None, state: Any = None) -> Any:
    """A compiled loss as scikit-learn before 1.6 wrote it: its class, and its numbers if any."""
    numbers = state if isinstance(state, tuple) else ()
    if (
        not isinstance(cls, type)
        or cls.__module__ not in ("_loss", LOSSES)
        or not all(isinstance(n, (int, float)) for n in numbers)
    ):
        raise RefusedModelError("the file holds a loss function that scikit-learn did not write")
    return cls(*numbers)


def _fraction(*args: Any) -> Any:
    """A text can have an exponent: "1e999999999" is a number of a billion digits."""
    if not all(isinstance(a, int) or (isinstance(a, str) and "e" not in a.lower()) for a in args):
        raise RefusedModelError("the pickle makes a fraction out of something else than its parts")
    return fractions.Fraction(*args)


def _bounded(kind: Callable[..., Any]) -> Callable[..., Any]:
    """bytes(n) and bytearray(n) would make memory out of a number."""

    def make(*args: Any) -> Any:
        if args and isinstance(args[0], int):
            raise RefusedModelError("the pickle makes a block of memory from a number")
        return kind(*args)

    return make


GUARDED_ROOTS = frozenset({"builtins", "_codecs", "collections", "numpy", "sklearn", "fractions"})
GUARDS: dict[str, Callable[..., Any]] = {
    "dtype": new_dtype,
    "_reconstruct": _reconstruct,
    "_mareconstruct": _masked,
    "scalar": _scalar,
    "_frombuffer": _frombuffer,
    "encode": _encode,
    "defaultdict": _defaultdict,
    "Tree": _tree,
    "Fraction": _fraction,
    "bytes": _bounded(bytes),
    "bytearray": _bounded(bytearray),
}


def _checked(dtype: Any) -> Any:
    if not is_dtype(dtype):
        raise ModelError("the file holds a dtype that numpy did not write")
    return dtype
