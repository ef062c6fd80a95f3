"""The yardstick: a Starlette route, orjson, and the model called on the event loop. No validation,
metrics, request ids, queue or log.   python app_lean.py MODEL FOLDER PORT"""

from __future__ import annotations

import sys
from pathlib import Path

import models
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

name, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
predict = models.load(name, folder)


async def answer(request: Request) -> Response:
    rows = orjson.loads(await request.body())["instances"]
    found = orjson.dumps({"predictions": predict(rows)}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(found, media_type="application/json")


app = Starlette(routes=[Route("/predict", answer, methods=["POST"])])
if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
