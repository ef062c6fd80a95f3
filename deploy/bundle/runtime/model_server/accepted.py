"""Classes and functions of a person's own, which that person has accepted for one model.

The allow-list knows the libraries. What it does not know is refused, unless somebody decided to
have it loaded: then the decision names every class and function (in the bundle's manifest), and
they may be made into instances or held, not called by the file. What a harmful file would name is
never accepted, whoever decides.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ModelError, RefusedModelError

SCRIPTS = ("__main__", "__mp_main__")
# Ways to code or commands that are no standard library; and libraries whose useful names are on
# the allow-list, so that another one is an attempt at something else.
NEVER = frozenset(
    " ".join(
        (
            "numpy scipy sklearn pandas joblib skops xgboost lightgbm torch torchvision onnx",
            "onnxruntime tensorflow keras cloudpickle dill setuptools pkg_resources distutils",
            "_distutils_hack pip wheel IPython ipykernel cffi numexpr jinja2 fabric paramiko invoke",
            "sh pexpect plumbum psutil requests httpx urllib3 aiohttp boto3 botocore yaml uvicorn",
            "picklescan model_server model_check deploy advisor ui streamlit",
        )
    ).split()
)
MOST_CODE_BYTES = 5_000_000
MOST_CODE_FILES = 500

_told: dict[tuple[str, str], str] = {}  # (module, name) -> the module that defines it


def can_be(module: str, name: str) -> bool:
    """Whether a person may accept the name at all."""
    root = module.split(".")[0]
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        return False
    if name.startswith("__"):
        return False
    return root in SCRIPTS or (root not in NEVER and root not in sys.stdlib_module_names)


def take(told: Mapping[str, Any] | None, code: Path | None) -> None:
    """Know the names of a decision ({"names": [[module, name, home], ...]}) from now on.

    `code`: the folder of the person's own modules; it comes last in the search, so that it stands
    for no library. Raises RefusedModelError for a name that nobody may accept.
    """
    _told.clear()
    if not told:
        return
    for module, name, home in told["names"]:
        if not can_be(module, name) or not can_be(home, name) or home in SCRIPTS:
            raise RefusedModelError(f"{module}.{name} is nothing that anybody may accept")
        _told[module, name] = home
    if code is not None and code.is_dir() and str(code) not in sys.path:
        sys.path.append(str(code))


def holds(module: str, name: str) -> bool:
    """Whether the name is accepted for the model that is being loaded."""
    return (module, name) in _told


def find(module: str, name: str) -> Any:
    """The class or function itself. Raises ModelError; what importing its module raises is told."""
    home = _told[module, name]
    try:
        found = getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] == home.split(".")[0]:
            raise ModelError(
                f"the file needs {home}.{name}, which is not installed here; install its package, "
                "or give the folder that holds its code with --code"
            ) from missing
        raise ModelError(
            f"the code of {home} needs {missing.name}, which is not installed here; pip install it"
        ) from missing
    except AttributeError as gone:
        raise ModelError(
            f"the module {home} has no {name}; give the code that the model was trained with"
        ) from gone
    except Exception as broken:
        raise ModelError(
            f"the code of {home} does not start here ({type(broken).__name__}: {broken})"
        ) from broken
    if not isinstance(found, (type, types.FunctionType)):
        raise RefusedModelError(f"{home}.{name} is neither a class nor a function")
    if str(found.__module__).split(".")[0] != home.split(".")[0]:
        raise RefusedModelError(f"{home}.{name} really comes from {found.__module__}")
    return found


def homes(names: list[tuple[str, str]], code: Path | None) -> list[tuple[str, str, str]]:
    """(module, name, the module that defines it): a training script's names are looked for in
    `code`, by reading it, not by running it. Raises ModelError for one that is not there once."""
    defined = _defined_in(code) if code is not None else {}
    found = []
    for module, name in dict.fromkeys(names):
        home = module
        if module.split(".")[0] in SCRIPTS:
            places = defined.get(name, [])
            if not places:
                where = f"{code.name} does not define it" if code else "its code is not in the file"
                raise ModelError(
                    f"the file refers to {name}, which was defined in the training script, and "
                    f"{where}; give the folder with the .py file that defines it (--code)"
                )
            if len(places) > 1:
                raise ModelError(
                    f"{name} is defined in {', '.join(places)}; leave one of them in the folder"
                )
            home = places[0]
        found.append((module, name, home))
    return found


def code_files(code: Path) -> list[Path]:
    """The .py files of a folder, sorted, as paths below it. Raises ModelError."""
    found, size = [], 0
    for path in sorted(code.rglob("*.py")):
        if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts:
            continue
        found.append(path.relative_to(code))
        size += path.stat().st_size
        if len(found) > MOST_CODE_FILES or size > MOST_CODE_BYTES:
            raise ModelError(
                f"{code.name} holds more than {MOST_CODE_FILES} files or "
                f"{MOST_CODE_BYTES // 1_000_000} MB of code; give a folder with the model's own only"
            )
    if not found:
        raise ModelError(f"{code.name} holds no .py file; give the folder with the model's code")
    return found


def imported_by(code: Path | None) -> set[str]:
    """The top-level names of what the code imports, read and not run."""
    found: set[str] = set()
    for tree in _trees(code).values() if code is not None else ():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.split(".")[0])
    return found


def _defined_in(code: Path) -> dict[str, list[str]]:
    """Name of a class or function -> the modules that define it."""
    found: dict[str, list[str]] = {}
    for module, tree in _trees(code).items():
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found.setdefault(node.name, []).append(module)
    return found


def _trees(code: Path) -> dict[str, ast.Module]:
    found = {}
    for path in code_files(code):
        parts = path.with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            found[module] = ast.parse((code / path).read_bytes())
        except (SyntaxError, ValueError) as broken:
            raise ModelError(f"{path} is no Python code: {broken}") from broken
    return found
