"""Service times of the tabular model classes, measured on this machine.

    python benchmarks/model_class_times.py

Each model is trained on 20,000 made-up rows of 30 features and then asked for one row at a time on
one thread, in a process of its own. Prints the median, the coefficient of variation over the
fastest 95 %, the size of the saved file and the resident memory. XGBoost and LightGBM are measured
where they are installed. `advisor/sizing/data/model_classes.yaml` quotes the medians and says how
they are translated to the reference machine.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
ROWS, FEATURES = 20_000, 30


def main() -> None:
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]), flush=True)
        return
    print(f"{'model':26} {'median ms':>10} {'cv':>6} {'file MB':>9} {'resident MB':>12}")
    for name, (module, _, _) in MODELS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{name:26} {module} is not installed")
            continue
        subprocess.run(
            [sys.executable, __file__, name], env={**os.environ, **ONE_THREAD}, check=True
        )


def measure(name: str) -> str:
    """One line of the table; meant for a process of its own."""
    import joblib
    import numpy as np
    import psutil
    from sklearn.datasets import make_classification

    _, build, calls = MODELS[name]
    rows, labels = make_classification(ROWS, FEATURES, n_informative=15, random_state=0)
    model = build()
    model.fit(rows, labels)
    one = rows[:1]
    warnings.simplefilter("ignore")
    for _ in range(max(5, calls // 10)):
        model.predict_proba(one)
    times = np.empty(calls)
    for i in range(calls):
        start = time.perf_counter()
        model.predict_proba(one)
        times[i] = (time.perf_counter() - start) * 1000
    kept = np.sort(times)[: int(calls * 0.95)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        joblib.dump(model, path)
        file_mb = path.stat().st_size / 1e6
    resident_mb = psutil.Process().memory_info().rss / 1e6
    return (
        f"{name:26} {np.median(times):10.3f} {kept.std() / kept.mean():6.2f} "
        f"{file_mb:9.2f} {resident_mb:12.0f}"
    )


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def _gradient_boosting() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=100, max_depth=3)


def _hist_gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=100)


def _forest(trees: int) -> Callable[[], Any]:
    def build() -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(trees, max_depth=12, n_jobs=1)

    return build


def _xgboost() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=200, max_depth=6, n_jobs=1)


def _lightgbm() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=200, num_leaves=31, n_jobs=1, verbose=-1)


# name -> (module it needs, how to build it, calls to time)
MODELS: dict[str, tuple[str, Callable[[], Any], int]] = {
    "linear": ("sklearn", _linear, 3000),
    "gradient-boosting": ("sklearn", _gradient_boosting, 3000),
    "hist-gradient-boosting": ("sklearn", _hist_gradient_boosting, 2000),
    "random-forest-100": ("sklearn", _forest(100), 400),
    "random-forest-500": ("sklearn", _forest(500), 100),
    "xgboost": ("xgboost", _xgboost, 2000),
    "lightgbm": ("lightgbm", _lightgbm, 2000),
}

if __name__ == "__main__":
    main()
