"""BentoML, its access log off.   MODEL, FOLDER and BATCH_ROWS come from the environment."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import models
import numpy as np

ROWS = int(os.environ["BATCH_ROWS"])


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Service:
    def __init__(self) -> None:
        self.model = models.load(os.environ["MODEL"], Path(os.environ["FOLDER"]))

    @bentoml.api(route="/predict", batchable=ROWS > 1, max_batch_size=max(ROWS, 2),
                 max_latency_ms=5000)  # fmt: skip
    def predict(self, instances: np.ndarray) -> np.ndarray:
        return np.asarray(self.model(instances))
