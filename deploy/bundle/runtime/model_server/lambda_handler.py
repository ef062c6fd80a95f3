"""The same application on AWS Lambda, through the Runtime Interface Client and Mangum.

`model_server.lambda_handler.handler` answers API Gateway (HTTP and REST), function URL and load
balancer events, and events that are themselves {"instances": [...]} from a direct invoke.
"""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any

from mangum import Mangum

from .app import App
from .errors import RequestError
from .service import Service
from .settings import Settings

# Lambda gives one request at a time to an instance: no workers, and nothing to wait for.
_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
_service = Service(Settings.from_env())
gc.disable()  # importing the model's library makes next to no garbage; loading enables it again
_service.load(inline_only=True)  # during the instance's start, before the first event
_http = Mangum(
    App(_service), lifespan="off", api_gateway_base_path=os.environ.get("API_BASE_PATH", "/")
)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One event. Raises ValueError with a sentence for a direct invoke that cannot be answered."""
    try:
        if "instances" in event and "requestContext" not in event:
            return _direct(event)
        found: dict[str, Any] = _http(event, context)
        return found
    finally:
        _service.log.flush()  # the instance may be frozen before a timer fires


def _direct(event: dict[str, Any]) -> dict[str, Any]:
    if _service.decoder is None or _service.engine is None:
        raise ValueError("the model is not loaded")
    try:
        if not isinstance(event["instances"], list):
            raise RequestError(422, "instances", "instances is a list of rows")
        method = _service.decoder.method(event.get("parameters"))
        batch = _service.decoder.batch(event["instances"])
        output = _loop.run_until_complete(_answer(batch, method))
    except RequestError as wrong:
        raise ValueError(wrong.message) from wrong
    return {"predictions": output.as_json()}


async def _answer(batch: Any, method: Any) -> Any:
    engine = _service.engine
    if engine is None:
        raise RequestError(503, "loading", "the model is not loaded")
    return await engine.submit(batch, method)
