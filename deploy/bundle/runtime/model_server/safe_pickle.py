"""Loads pickles and joblib files, and only what the allow-list permits.

Python's own pure unpickler is walked here with its dangerous steps replaced: looking up a name,
calling it, making an instance, filling one. Arrays that joblib writes between the pickle's
instructions are read here as well; joblib's reader would start an unchecked pickle for arrays of
objects (joblib before 1.6) and open files that the pickle names.

`trace` runs the same walk with inert stand-ins: it imports and calls nothing, and tells which
names the file uses. `load` builds the model.
"""

from __future__ import annotations

import functools
import lzma
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

from . import rebuild
from .allowlist import NotAllowedError, Use, explain, resolve, use_of
from .errors import ModelError, RefusedModelError, one_line
from .unpack import open_stream, read_claimed

WRAPPER = "NumpyArrayWrapper"
RENAMED_MODULES = {
    # Protocols up to 2 keep the names that Python 2 had.
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    # Some versions of scikit-learn compiled their losses under a short name.
    "_loss": rebuild.LOSSES,
}


class Names(Protocol):
    """What a name stands for, and what may be done with it."""

    def find(self, module: str, name: str) -> Any: ...
    def call(self, found: Any, args: tuple[Any, ...]) -> Any: ...
    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...
    def may_fill(self, instance: Any, kinds: tuple[type, ...]) -> bool: ...


def load(path: Path) -> Any:
    """The object in a pickle or joblib file, compressed or not.

    Raises RefusedModelError when it needs a name outside the allow-list, ModelError when it is
    damaged or needs a library that is not installed.
    """
    with open_stream(path) as stream:
        return _run(Walker(stream, LiveNames()), path)


def trace(path: Path) -> list[tuple[str, str]]:
    """Every (module, name) that the file refers to, in order, without importing any of them.

    Raises ModelError when the file is damaged.
    """
    with open_stream(path) as stream:
        return trace_stream(stream, path)


def trace_stream(
    stream: IO[bytes], path: Path, *, stored_elsewhere: bool = False
) -> list[tuple[str, str]]:
    """As `trace`, for an open stream; `stored_elsewhere`: data may lie beside the pickle."""
    names = TraceNames()
    _run(Walker(stream, names, stored_elsewhere=stored_elsewhere), path)
    return names.seen


def refused_of(names: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """(module, name, why) for each name that the allow-list refuses, each once."""
    bad = [(m, n) for m, n in dict.fromkeys(names) if use_of(m, n) is None]
    return [(m, n, explain(m, n)) for m, n in bad]


_BUILD: Callable[[Any], None] = pickle._Unpickler.dispatch[pickle.BUILD[0]]


class Walker(pickle._Unpickler):
    """Python's unpickler with every step that could run code put under `names`."""

    stack: list[Any]
    metastack: list[list[Any]]
    _unframer: Any
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream: IO[bytes], names: Names, *, stored_elsewhere: bool = False) -> None:
        super().__init__(stream)
        self._file_read = lambda size: read_claimed(stream, size)  # of super(), for every length
        self.stream = stream
        self.names = names
        self.stored_elsewhere = stored_elsewhere

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("__builtin__", "xrange"):
            name = "range"
        return self.names.find(RENAMED_MODULES.get(module, module), name)

    def persistent_load(self, pid: Any) -> Any:
        if self.stored_elsewhere:  # torch keeps tensors beside the pickle
            return StandIn("storage", "storage")
        raise ModelError("the pickle refers to data outside the file; save the whole model in it")

    def _bytearray8(self) -> None:
        size = int.from_bytes(self._unframer.read(8), "little")
        self.stack.append(bytearray(self._unframer.read(size)))

    def _reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.names.call(self.stack[-1], args)

    def _newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.names.new(self.stack[-1], args, {})

    def _newobj_ex(self) -> None:
        kwargs = self.stack.pop()
        args = self.stack.pop()
        self.stack[-1] = self.names.new(self.stack[-1], args, kwargs)

    def _build(self) -> None:
        state, instance = self.stack[-1], self.stack[-2]
        if isinstance(instance, rebuild.ArrayHeader):
            self.stack.pop()
            instance.fill(state)
            self.stack[-1] = self._read_array(instance)
        elif rebuild.is_dtype(instance):
            self.stack.pop()
            rebuild.fill_dtype(instance, state)
        elif isinstance(instance, functools.partial):
            self.stack.pop()
            rebuild.fill_partial(instance, state)
        elif isinstance(instance, StandIn):
            self.stack.pop()
        else:
            rebuild.check_state(instance, state)
            _BUILD(self)

    def _read_array(self, header: rebuild.ArrayHeader) -> Any:
        if header.holds_objects:
            inner = Walker(self.stream, self.names, stored_elsewhere=self.stored_elsewhere)
            return inner.load()
        frame = self._unframer.current_frame
        if frame is not None and frame.read(1):
            raise ModelError("the joblib file is damaged: an array starts in the middle of a frame")
        keep = not isinstance(self.names, TraceNames)
        return header.read(self.stream, keep=keep)

    def _guarded(opcode: bytes, at: int, kinds: tuple[type, ...]) -> Callable[[Any], None]:  # type: ignore[misc]
        original: Callable[[Any], None] = pickle._Unpickler.dispatch[opcode[0]]

        def step(self: Walker) -> None:
            target = self.metastack[-1][-1] if at == 0 else self.stack[-at]
            if not self.names.may_fill(target, kinds):
                raise RefusedModelError(
                    f"the pickle tries to fill a {type(target).__name__} as if it were a "
                    f"{kinds[0].__name__}; a saved model does not do that"
                )
            original(self)

        return step

    def _refuse(self) -> None:
        raise RefusedModelError(
            "the pickle uses an instruction that saved models do not need (an old-style instance "
            "or a registered extension); save the model again with a current version of joblib"
        )

    import collections as _c

    dispatch[pickle.BYTEARRAY8[0]] = _bytearray8
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _newobj
    dispatch[pickle.NEWOBJ_EX[0]] = _newobj_ex
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.APPEND[0]] = _guarded(pickle.APPEND, 2, (list, _c.deque))
    dispatch[pickle.APPENDS[0]] = _guarded(pickle.APPENDS, 0, (list, _c.deque))
    dispatch[pickle.SETITEM[0]] = _guarded(pickle.SETITEM, 3, (dict,))
    dispatch[pickle.SETITEMS[0]] = _guarded(pickle.SETITEMS, 0, (dict,))
    dispatch[pickle.ADDITEMS[0]] = _guarded(pickle.ADDITEMS, 0, (set,))
    for _op in (pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_op[0]] = _refuse


class StandIn:
    """Something that would have been built, in a trace."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def append(self, item: Any) -> None: ...
    def extend(self, items: Any) -> None: ...
    def add(self, item: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None: ...


class TraceNames:
    """Names stand for inert stand-ins; only dtypes are real, to know how long arrays are."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def find(self, module: str, name: str) -> Any:
        self.seen.append((module, name))
        return StandIn(module, name)

    def call(self, found: Any, args: tuple[Any, ...]) -> Any:
        if isinstance(found, StandIn) and (found.module, found.name) == ("numpy", "dtype"):
            return rebuild.new_dtype(*args)
        return StandIn("", "")

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(cls, StandIn) and cls.name == WRAPPER and cls.module.startswith(
            ("joblib.", "sklearn.externals.joblib.")
        ):  # fmt: skip
            return rebuild.ArrayHeader()
        return StandIn("", "")

    def may_fill(self, instance: Any, kinds: tuple[type, ...]) -> bool:
        return isinstance(instance, (StandIn, *kinds))


class LiveNames:
    """Names stand for what the allow-list resolves them to."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, str, Use, Any]] = {}

    def find(self, module: str, name: str) -> Any:
        try:
            found, use = resolve(module, name)
        except NotAllowedError as refused:
            raise RefusedModelError(
                f"the file refers to {refused.name}, which {refused.why}", [refused.name]
            ) from refused
        except ModuleNotFoundError as missing:
            raise ModelError(_missing(module, missing)) from missing
        except (ImportError, AttributeError) as gone:
            if module == rebuild.LOSSES and name.startswith("__pyx_unpickle_"):
                self._known[id(rebuild.old_loss)] = (module, name, Use.CALL, rebuild.old_loss)
                return rebuild.old_loss
            if "failed to map segment" in str(gone):  # how a library without room is reported
                raise MemoryError(str(gone)) from gone
            raise ModelError(
                f"the file needs {module}.{name}, which the installed {module.split('.')[0]} does "
                "not have; install the version that the model was saved with, or save it again"
            ) from gone
        self._known[id(found)] = (module, name, use, found)
        return found

    def call(self, found: Any, args: tuple[Any, ...]) -> Any:
        module, name, _ = self._allowed(found, (Use.CALL,), "call")
        guard = rebuild.GUARDS.get(name) if module.split(".")[0] in rebuild.GUARDED_ROOTS else None
        if name in ("_reconstructor", "newObj"):
            for part in args:
                if isinstance(part, type):
                    self._allowed(part, (Use.CLASS, Use.CALL), "make an instance of")
        return guard(*args) if guard else found(*args)

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module, name, _ = self._allowed(cls, (Use.CLASS, Use.CALL), "make an instance of")
        if not isinstance(cls, type):
            raise RefusedModelError(f"the pickle makes an instance of {module}.{name}, no class")
        if name == WRAPPER:
            return rebuild.ArrayHeader()
        return cls.__new__(cls, *args, **kwargs)

    def may_fill(self, instance: Any, kinds: tuple[type, ...]) -> bool:
        return isinstance(instance, kinds)

    def _allowed(self, found: Any, uses: tuple[Use, ...], verb: str) -> tuple[str, str, Use]:
        known = self._known.get(id(found))
        if known is None or known[2] not in uses:
            label = f"{known[0]}.{known[1]}" if known else f"a {type(found).__name__}"
            raise RefusedModelError(
                f"the pickle tries to {verb} {label}; a saved model only holds it", [label]
            )
        return known[0], known[1], known[2]


def _run(walker: Walker, path: Path) -> Any:
    """The walk, with damage told in a sentence."""
    try:
        return walker.load()
    except (ModelError, MemoryError):
        raise
    except (EOFError, zlib.error, lzma.LZMAError) as short:
        raise ModelError(
            f"{path.name} is damaged or cut short ({short or 'it ends too early'}); copy it again"
        ) from short
    except (pickle.UnpicklingError, KeyError, IndexError, ValueError, TypeError, OSError,
            AttributeError, AssertionError, OverflowError, UnicodeDecodeError,
            ImportError, RecursionError) as broken:  # fmt: skip
        raise ModelError(
            f"{path.name} does not load as a saved model ({type(broken).__name__}: "
            f"{one_line(broken)}); save it again, with the library versions installed here"
        ) from broken


def _missing(module: str, error: ModuleNotFoundError) -> str:
    root = (error.name or module).split(".")[0]
    package = {"sklearn": "scikit-learn"}.get(root, root)
    if error.name and "." in error.name:
        return (
            f"the file needs the module {error.name}, which the installed {package} does not have; "
            f"install the {package} version that the model was saved with, or save it again"
        )
    return f"the file needs {package}, which is not installed; pip install {package}"
