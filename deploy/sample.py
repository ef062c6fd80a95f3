"""A request that a model should be able to answer, made from its signature alone."""

from __future__ import annotations

import json
from dataclasses import dataclass

from deploy.artifact import Signature

FROM_SIGNATURE = "one row of neutral values, made from the model's signature"


@dataclass(frozen=True)
class Sample:
    """One request of one row, and in words where its values come from."""

    body: bytes
    content_type: str
    note: str


def sample_request(signature: Signature | None) -> Sample | None:
    """A request with the signature's example row; None when the file tells of none.

    It proves that the endpoint answers, not that the answer means anything.
    """
    if signature is None or signature.example is None:
        return None
    body = json.dumps({"instances": [signature.example]}).encode()
    return Sample(body, "application/json", FROM_SIGNATURE)
