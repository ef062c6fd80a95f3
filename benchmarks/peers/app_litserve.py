"""LitServe.   python app_litserve.py MODEL FOLDER PORT BATCH_ROWS (1: no batching)"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import litserve
import models
import numpy as np

NAME, FOLDER, PORT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
ROWS = int(sys.argv[4])


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = models.load(NAME, FOLDER)

    def decode_request(self, request):  # annotated, it would be a query field
        return np.asarray(request["instances"])

    def predict(self, rows: Any) -> Any:
        return self.model(rows)

    def encode_response(self, output: Any) -> Any:
        return {"predictions": output.tolist()}


class Batched(Api):
    def batch(self, inputs: list[Any]) -> Any:
        return np.concatenate(inputs)

    def unbatch(self, output: Any) -> Any:  # the benchmark sends one row a request
        return [row[None, :] for row in output]


if __name__ == "__main__":
    api = Batched(max_batch_size=ROWS, batch_timeout=0.005) if ROWS > 1 else Api()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=PORT, num_api_servers=1, log_level="error",
        generate_client_file=False,
    )  # fmt: skip
