"""An MLServer runtime: a V2 tensor in, probabilities out. Its folder holds the settings files."""

from __future__ import annotations

import os
from pathlib import Path

import models
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):
    async def load(self) -> bool:
        self.predictor = models.load(os.environ["MODEL"], Path(os.environ["FOLDER"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("predict", self.predictor(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
