"""From a whole body to a whole answer: what every road by which a request comes shares."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from . import kserve
from .errors import RequestError
from .http_parts import ENCODE, JSON, encode
from .payload import Request, check_encoding
from .service import Service
from .values import Output


@dataclass(slots=True)
class Asked:
    """A request for predictions that has been read and validated."""

    request: Request
    infer: bool  # by the V2 protocol
    own_id: str | None = None  # the id that a V2 request carries in its body


class Predictions:
    """Reads requests for one model and writes its answers. Knows no connection."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._name = settings.model_name
        self.infer = f"/v2/models/{self._name}/infer"
        self.paths = {
            "/invocations", "/predict", "/score", f"/v1/models/{self._name}:predict", self.infer
        }  # fmt: skip
        if settings.predict_route:
            self.paths.add(settings.predict_route)

    def read(self, path: str, body: bytes, content_type: str, encoding: str = "") -> Asked:
        """Raises RequestError: 429 when the queue is full, before the body is looked at; 503 while
        the model is loaded; 415 for a packed body; else what `Decoder.decode` raises."""
        service = self._service
        if service.engine is not None:
            service.engine.check_room()
        if service.decoder is None:
            raise RequestError(
                503, "loading", "the model is still being loaded; try again", {"retry-after": "1"}
            )
        if encoding:
            check_encoding(encoding)
        if path == self.infer:
            request, own_id = kserve.decode(body, service.decoder)
            return Asked(request, True, own_id)
        return Asked(service.decoder.decode(body, content_type), False)

    def encode(self, asked: Asked, output: Output, accept: str) -> tuple[bytes, bytes]:
        """(body, content type)"""
        if asked.infer:
            answer = kserve.encode(output, self._name, asked.own_id)
            return orjson.dumps(answer, option=ENCODE), JSON
        return encode(output, asked.request, accept)


def refusal(wrong: RequestError, request_id: str) -> bytes:
    """The JSON body of a request that cannot be answered."""
    return orjson.dumps({"error": wrong.message, "code": wrong.code, "request_id": request_id})
