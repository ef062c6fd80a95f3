"""The names that a saved model may refer to, and what may be done with each.

A pickle is a program: it names functions and calls them. Here a name is either

- CALL: a function that rebuilds plain data (an array, a tree, a dictionary); it may be called,
- CLASS: a class whose instances may be made without running its constructor and then filled,
- VALUE: something that a model may hold (a ufunc, a scoring function, a dtype) but the file may
  not call.

Everything else is refused. Names are exact, or a class of scikit-learn found in one of the
sub-packages listed, in which case the class itself is looked at too (see `resolve`).
"""

from __future__ import annotations

import importlib
import re
import types
from enum import Enum
from typing import Any

from . import accepted, rebuild


class Use(Enum):
    CALL = "call"
    CLASS = "class"
    VALUE = "value"


class NotAllowedError(Exception):
    """`name` is not on the list; `why` is a clause for a person."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(f"{name}: {why}")


def _words(text: str) -> list[str]:
    return text.split()


_NUMPY_SCALARS = _words(
    "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 "
    "float64 longlong ulonglong intc uintc intp uintp long ulong complex64 complex128 "
    "str_ bytes_ datetime64 timedelta64 object_ ndarray"
)
_BIT_GENERATORS = (
    ("numpy.random._mt19937", "MT19937"),
    ("numpy.random._pcg64", "PCG64"),
    ("numpy.random._pcg64", "PCG64DXSM"),
    ("numpy.random._philox", "Philox"),
    ("numpy.random._sfc64", "SFC64"),
)
_SPARSE = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
_SCORE_FUNCTIONS = _words("f_classif f_regression r_regression chi2 f_oneway")
_MUTUAL = ["mutual_info_classif", "mutual_info_regression"]
_KERNELS = _words(
    "rbf_kernel linear_kernel polynomial_kernel sigmoid_kernel laplacian_kernel "
    "cosine_similarity cosine_distances euclidean_distances manhattan_distances "
    "chi2_kernel additive_chi2_kernel haversine_distances"
)

EXACT: dict[tuple[str, str], Use] = {
    # plain Python data
    **{
        ("builtins", n): Use.CALL
        for n in _words("set frozenset dict list tuple bytearray bytes complex slice range")
    },
    **{("builtins", n): Use.VALUE for n in ["int", "float", "str", "bool"]},
    ("builtins", "object"): Use.CLASS,
    ("_codecs", "encode"): Use.CALL,
    ("copyreg", "_reconstructor"): Use.CALL,
    ("collections", "OrderedDict"): Use.CALL,
    ("collections", "defaultdict"): Use.CALL,
    ("collections", "deque"): Use.CALL,
    ("collections", "Counter"): Use.CALL,
    **{("datetime", n): Use.CALL for n in ("date", "datetime", "timedelta", "timezone")},
    ("decimal", "Decimal"): Use.CALL,
    ("fractions", "Fraction"): Use.CALL,
    # arrays
    ("numpy", "dtype"): Use.CALL,
    **{
        (f"{core}.multiarray", n): Use.CALL
        for core in ("numpy.core", "numpy._core")
        for n in ("_reconstruct", "scalar")
    },
    ("numpy.core.numeric", "_frombuffer"): Use.CALL,
    ("numpy._core.numeric", "_frombuffer"): Use.CALL,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): Use.CLASS,
    ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"): Use.CLASS,
    **{("numpy", n): Use.VALUE for n in _NUMPY_SCALARS},
    **{("numpy", n): Use.VALUE for n in _words("mean median max min sum std var")},
    ("numpy.ma.core", "_mareconstruct"): Use.CALL,
    ("numpy.ma.core", "MaskedArray"): Use.VALUE,
    ("numpy.ma", "MaskedArray"): Use.VALUE,
    ("numpy", "memmap"): Use.VALUE,  # stands for ndarray: the real one opens files
    # random states
    ("numpy.random._pickle", "__randomstate_ctor"): Use.CALL,
    ("numpy.random._pickle", "__generator_ctor"): Use.CALL,
    ("numpy.random._pickle", "__bit_generator_ctor"): Use.CALL,
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"): Use.CALL,
    ("numpy.random.bit_generator", "SeedSequence"): Use.CLASS,
    ("numpy.random.mtrand", "RandomState"): Use.CLASS,
    ("numpy.random._generator", "Generator"): Use.CLASS,
    **dict.fromkeys(_BIT_GENERATORS, Use.CLASS),
    # scipy
    **{(f"scipy.sparse._{k}", f"{k}_matrix"): Use.CLASS for k in _SPARSE},
    **{(f"scipy.sparse._{k}", f"{k}_array"): Use.CLASS for k in _SPARSE},
    **{(f"scipy.sparse.{k}", f"{k}_matrix"): Use.CLASS for k in _SPARSE},
    ("scipy.interpolate._bsplines", "BSpline"): Use.CLASS,
    ("scipy.interpolate._interpolate", "interp1d"): Use.CLASS,
    ("scipy.special._ufuncs", "expit"): Use.VALUE,
    ("scipy.special._ufuncs", "logit"): Use.VALUE,
    ("scipy._lib.array_api_compat.numpy._aliases", "asarray"): Use.VALUE,
    # functions that scikit-learn models hold
    ("sklearn.cluster._kmeans", "_kmeans_single_lloyd"): Use.VALUE,
    ("sklearn.cluster._kmeans", "_kmeans_single_elkan"): Use.VALUE,
    **{("sklearn.feature_selection._univariate_selection", n): Use.VALUE for n in _SCORE_FUNCTIONS},
    **{("sklearn.feature_selection._mutual_info", n): Use.VALUE for n in _MUTUAL},
    **{("sklearn.metrics.pairwise", n): Use.VALUE for n in _KERNELS},
    ("sklearn.metrics._dist_metrics", "newObj"): Use.CALL,
    ("sklearn.neighbors._kd_tree", "newObj"): Use.CALL,
    ("sklearn.neighbors._ball_tree", "newObj"): Use.CALL,
    ("sklearn.tree._tree", "Tree"): Use.CALL,
    # HistGradientBoosting checks its numbers by a partial of check_array; `rebuild` makes no other
    ("functools", "partial"): Use.CALL,
    ("sklearn.utils.validation", "check_array"): Use.VALUE,
    # how ColumnTransformer was told its columns, and the kinds of numbers that it picks by
    ("sklearn.compose._column_transformer", "make_column_selector"): Use.CLASS,
    **{("numpy", n): Use.VALUE for n in _words("number integer floating generic inexact")},
    # pandas: column labels and small frames inside a pipeline
    ("pandas.core.frame", "DataFrame"): Use.CLASS,
    ("pandas.core.series", "Series"): Use.CLASS,
    ("pandas", "DataFrame"): Use.CLASS,
    ("pandas", "Series"): Use.CLASS,
    ("pandas", "Index"): Use.CLASS,
    ("pandas", "RangeIndex"): Use.CLASS,
    ("pandas", "StringDtype"): Use.CALL,
    ("pandas.core.arrays.string_", "StringDtype"): Use.CALL,
    ("pandas.core.indexes.base", "_new_Index"): Use.CALL,
    ("pandas.core.indexes.base", "Index"): Use.CLASS,
    ("pandas.core.indexes.range", "RangeIndex"): Use.CLASS,
    ("pandas.core.internals.managers", "BlockManager"): Use.CALL,
    ("pandas.core.internals.managers", "SingleBlockManager"): Use.CALL,
    ("pandas._libs.internals", "BlockManager"): Use.CLASS,
    ("pandas._libs.internals", "_unpickle_block"): Use.CALL,
    # xgboost and lightgbm wrappers
    **{
        ("xgboost.sklearn", n): Use.CLASS
        for n in _words(
            "XGBModel XGBClassifier XGBRegressor XGBRanker XGBRFClassifier XGBRFRegressor"
        )
    },
    ("xgboost.core", "Booster"): Use.CLASS,
    **{
        ("lightgbm.sklearn", n): Use.CLASS
        for n in ["LGBMModel", "LGBMClassifier", "LGBMRegressor", "LGBMRanker"]
    },
    ("lightgbm.basic", "Booster"): Use.CLASS,
}

SKLEARN_PACKAGES = frozenset(
    _words(
        "_loss base calibration cluster compose covariance cross_decomposition decomposition "
        "discriminant_analysis dummy ensemble feature_extraction feature_selection frozen "
        "gaussian_process impute isotonic kernel_approximation kernel_ridge linear_model "
        "manifold metrics mixture model_selection multiclass multioutput naive_bayes "
        "neighbors neural_network pipeline preprocessing random_projection semi_supervised "
        "svm tree"
    )
)
# Helper classes (no estimators) that fitted models hold; their modules run nothing of the file's.
SKLEARN_HELPERS = (
    "sklearn._loss.",
    "sklearn.calibration",
    "sklearn.cluster._birch",
    "sklearn.cluster._bisect_k_means",
    "sklearn.ensemble._hist_gradient_boosting.",
    "sklearn.gaussian_process.kernels",
    "sklearn.linear_model._sgd_fast",
    "sklearn.metrics._dist_metrics",
    "sklearn.metrics._scorer",
    "sklearn.model_selection._split",
    "sklearn.neighbors._kd_tree",
    "sklearn.neighbors._ball_tree",
    "sklearn.neural_network._stochastic_optimizers",
    "sklearn.utils._bunch",
    "sklearn.utils._metadata_requests",
)
# Compiled classes whose own pickling names the class and calls it with its numbers.
SKLEARN_CALLED = (
    "sklearn._loss._loss",
    "sklearn.linear_model._sgd_fast",
    "sklearn.utils._bunch",
)
_PYX = re.compile(r"^__pyx_unpickle_\w+$")
_PYX_MODULES = ("sklearn._loss.", "sklearn.metrics.", "sklearn.neighbors.", "sklearn.tree.",
                "sklearn.linear_model.", "pandas._libs.")  # fmt: skip
_WORD = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_UFUNC_MODULES = frozenset(
    ("numpy", "numpy._core._multiarray_umath", "numpy.core._multiarray_umath")
)
# What well-known attack payloads name, in words.
DANGERS = {
    "posix": "runs commands or touches files", "nt": "runs commands or touches files",
    "os": "runs commands or touches files", "subprocess": "starts programs",
    "pty": "starts programs", "socket": "opens network connections", "sys": "changes the process",
    "shutil": "changes files", "runpy": "runs other code", "importlib": "loads other code",
    "pydoc": "looks up any object by name", "timeit": "runs a string as code",
    "pickle": "loads another pickle without checks", "_pickle": "loads another pickle",
    "ctypes": "calls native code", "webbrowser": "starts a program", "code": "runs code",
    "operator": "reaches any attribute", "functools": "wraps any function",
    "types": "builds code objects", "marshal": "loads code", "bdb": "runs code",
    "cProfile": "runs a string as code", "profile": "runs a string as code",
    "urllib": "opens network connections", "requests": "opens network connections",
    "http": "opens network connections", "pip": "installs packages",
}  # fmt: skip
_BUILTIN_DANGERS = frozenset(
    _words(
        "eval exec compile open getattr setattr delattr __import__ globals locals vars type "
        "input breakpoint map filter apply execfile"
    )
)


def explain(module: str, name: str) -> str:
    """Why a name is refused, as a clause that follows the name."""
    if module in ("builtins", "__builtin__"):
        if name in _BUILTIN_DANGERS:
            return "runs code or reaches any object"
        return "is not a plain data type"
    if module in ("__main__", "__mp_main__"):
        return "was defined in the training script, so its code is not in the file"
    root = module.split(".")[0]
    if root in DANGERS:
        return DANGERS[root]
    if "." in name:
        return "is a dotted name, which can reach any attribute"
    if root in ("numpy", "scipy", "sklearn", "pandas", "joblib", "xgboost", "lightgbm"):
        return f"is a part of {root} that a saved model does not need"
    return "is code outside the libraries that this server knows"


def use_of(module: str, name: str) -> Use | None:
    """What may be done with a name, judged by the name alone; None: it is refused."""
    if not _WORD.match(name) or not all(_WORD.match(part) for part in module.split(".")):
        return None
    if (exact := EXACT.get((module, name))) is not None:
        return exact
    if accepted.holds(module, name):
        return Use.CLASS
    if _PYX.match(name):
        return Use.CALL if module.startswith(_PYX_MODULES) else None
    if module in _UFUNC_MODULES:
        return Use.VALUE if _is_ufunc(name) else None
    parts = module.split(".")
    if parts[0] != "sklearn" or "tests" in parts or name.startswith("__"):
        return None
    if module.startswith(SKLEARN_CALLED):
        return Use.CALL
    if len(parts) > 1 and (parts[1] in SKLEARN_PACKAGES or module.startswith(SKLEARN_HELPERS)):
        # Scoring functions live beside the metrics' classes; `resolve` tells them apart.
        return Use.VALUE if parts[1] == "metrics" and name[0].islower() else Use.CLASS
    return None


def resolve(module: str, name: str) -> tuple[Any, Use]:
    """The object behind an allowed name, after looking at the object itself.

    Raises NotAllowedError when the name is refused or resolves to something else than it should
    be; ImportError or AttributeError when this installation does not have it.
    """
    use = use_of(module, name)
    if use is None:
        raise NotAllowedError(f"{module}.{name}", explain(module, name))
    if accepted.holds(module, name):
        found = accepted.find(module, name)
        return found, Use.CLASS if isinstance(found, type) else Use.VALUE
    if (module, name) == ("numpy", "memmap"):
        name = "ndarray"
    if (module, name) == ("functools", "partial"):
        return rebuild.partial_check, use  # a function: of the class itself any could be made
    found = getattr(importlib.import_module(module), name)
    _check_home(module, name, found)
    if (module, name) in EXACT:
        return found, use
    if module in _UFUNC_MODULES or _PYX.match(name):
        return found, use
    if use is Use.VALUE:
        return _metric_function(module, name, found), use
    if not isinstance(found, type) or not _is_model_part(found):
        raise NotAllowedError(f"{module}.{name}", explain(module, name))
    return found, use


def _check_home(module: str, name: str, found: Any) -> None:
    """An allowed module may have imported something dangerous: look where the object is from."""
    if isinstance(found, types.ModuleType):
        raise NotAllowedError(f"{module}.{name}", "is a module, not a part of a model")
    home = getattr(found, "__module__", None)
    root = module.split(".")[0]
    homes = {root, "builtins"} if root in ("_codecs", "collections", "builtins") else {root}
    if root == "decimal":
        homes.add("_decimal")
    if home is not None and str(home).split(".")[0] not in homes:
        raise NotAllowedError(f"{module}.{name}", f"really comes from {home}")


def _is_ufunc(name: str) -> bool:
    import numpy as np

    return isinstance(getattr(np, name, None), np.ufunc)


def _metric_function(module: str, name: str, found: Any) -> Any:
    import sklearn.metrics

    if name not in sklearn.metrics.__all__ or isinstance(found, type):
        raise NotAllowedError(f"{module}.{name}", explain(module, name))
    return found


def _is_model_part(cls: type) -> bool:
    from sklearn.base import BaseEstimator

    return issubclass(cls, BaseEstimator) or f"{cls.__module__}".startswith(SKLEARN_HELPERS)
