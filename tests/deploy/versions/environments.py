"""Environments with older libraries, and the models that they save."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tools import side_venv

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[2] / ".venv-versions"
WANTED: dict[str, list[str]] = yaml.safe_load((HERE / "environments.yaml").read_text("utf-8"))


def trained(name: str, into: Path) -> dict[str, Any]:
    """Train with the libraries of one environment; what each file is expected to predict.

    Raises RuntimeError with pip's last line when the environment cannot be made.
    """
    why = side_venv.ensure(FOLDER / name, WANTED[name])
    if why is not None:
        raise RuntimeError(f"{name} cannot be installed: {why}")
    python = side_venv.python(FOLDER / name)
    done = subprocess.run([str(python), str(HERE / "train.py"), str(into)],
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name} cannot train: {done.stderr.strip().splitlines()[-1]}")
    return dict(json.loads((into / "expected.json").read_text("utf-8")))
