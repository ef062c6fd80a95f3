"""Azure ML batch endpoints call init() once and run(mini_batch) with paths of files.

Source: Azure Machine Learning documentation, "Author scoring scripts for batch deployments".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .batch import Job, Shard
from .errors import ModelError
from .loaders import Model, load
from .locate import locate
from .log import Log
from .settings import Settings
from .storage import storage

_model: Model | None = None


def init() -> None:
    """Load the model. Raises ModelError."""
    global _model
    located = locate()
    _model = load(located.format, located.path, located.signature, Settings.from_env().threads)


def run(mini_batch: list[str]) -> list[Any]:
    """One prediction for each row of the files, in order. Raises ModelError naming a bad row."""
    if _model is None:
        raise ModelError("init() was not called before run()")
    answers: list[Any] = []
    for path in map(Path, mini_batch):
        place = storage(str(path))
        job = Job(_model, place, place, Shard(), Log())
        answers += job.answers(path.name)
    return answers
