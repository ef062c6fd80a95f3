"""The OpenAPI description, made by FastAPI. The lean application in front answers the routes."""

from __future__ import annotations

from typing import Any

from fastapi import Body, FastAPI, HTTPException
from pydantic import BaseModel, Field

from .locate import Located
from .payload import Decoder
from .service import Service


class Parameters(BaseModel):
    """What to answer with."""

    method: str = Field(
        "default",
        description='"predict": labels or values alone; "predict_proba": lists of probabilities '
        "in class order; default: both for classifiers",
    )


class PredictRequest(BaseModel):
    """Rows to predict."""

    instances: list[Any]
    parameters: Parameters | None = None


class PredictResponse(BaseModel):
    """One element for each row, in the same order."""

    predictions: list[Any]


class ErrorResponse(BaseModel):
    """What was wrong and what to do."""

    error: str
    code: str
    request_id: str


def build(service: Service, version: str) -> FastAPI:
    """A FastAPI application that serves /openapi.json for this model."""
    located, settings = service.located, service.settings
    app = FastAPI(
        title=f"Model server: {settings.model_name}",
        version=version,
        description=_about(located),
        docs_url=None,  # its page loads scripts from elsewhere; see docs_page
        redoc_url=None,
    )
    example: dict[str, Any] = {"instances": []}
    if located and located.signature.example is not None:
        example = {"instances": [located.signature.example]}
    errors: dict[int | str, dict[str, Any]] = {
        code: {"model": ErrorResponse} for code in (400, 401, 413, 415, 422, 429, 503)
    }

    async def predict(
        request: PredictRequest = Body(..., examples=[example]),  # noqa: B008 - FastAPI's way
    ) -> PredictResponse:
        """Rows in, predictions out. A bare JSON list of rows, one row, an object of feature names,
        CSV (text/csv), JSON lines and NumPy files (application/x-npy) are taken too, and answered with
        a bare list."""
        if service.decoder is None or service.engine is None:
            raise HTTPException(503, "the model is still being loaded")
        method = Decoder.method(request.parameters.model_dump() if request.parameters else None)
        output = await service.engine.submit(service.decoder.batch(request.instances), method)
        return PredictResponse(predictions=output.as_json())

    def health() -> dict[str, bool]:
        """200 once the model is loaded and warm, 503 before."""
        if not service.ready:
            raise HTTPException(503, "the model is still being loaded")
        return {"ready": True}

    name = settings.model_name
    posts = ["/predict", "/invocations", "/score", f"/v1/models/{name}:predict"]
    if settings.predict_route and settings.predict_route not in posts:
        posts.append(settings.predict_route)
    for path in posts:
        app.post(path, response_model=PredictResponse, responses=errors, tags=["predict"])(predict)
    for path in ("/ping", "/ready", "/v2/health/ready"):
        app.get(path, tags=["health"])(health)
    return app


def _about(located: Located | None) -> str:
    if located is None:
        return "The model is still being loaded."
    signature = located.signature
    lines = [f"`{located.path.name}` ({located.format}, {signature.task})."]
    if signature.n_features:
        lines.append(f"Takes {signature.n_features} features a row.")
    if signature.feature_names:
        lines.append(
            "In order: " + ", ".join(f"`{n}`" for n in signature.feature_names[:100]) + "."
        )
    if signature.classes:
        lines.append("Classes: " + ", ".join(f"`{c}`" for c in signature.classes[:50]) + ".")
    return "\n\n".join(lines)
