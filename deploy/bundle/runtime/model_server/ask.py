"""`python -m model_server ask URL`: one request from where this container runs, to prove a private
endpoint from inside its network. The answer is one line of JSON, for the log.

ASK_BODY is the request's body in base64, ASK_TYPE its content type.
"""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.error
import urllib.request

from .errors import ModelError

TIMEOUT_S = 120.0
LONGEST = 200_000  # characters of an answer that one line of a log surely takes


def main(arguments: list[str]) -> int:
    """Exit codes: 0 answered, whatever the status; 1 no answer; 2 wrong input."""
    if len(arguments) != 1 or not arguments[0].startswith(("http://", "https://")):
        raise ModelError(f"ask takes one http address, not {' '.join(arguments) or 'none'}")
    body = base64.b64decode(os.environ.get("ASK_BODY", ""))
    headers = {"Content-Type": os.environ.get("ASK_TYPE", "application/json")}
    if token := os.environ.get("MODEL_SERVER_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(arguments[0], data=body, headers=headers, method="POST")  # noqa: S310 - checked above
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            status, kind, content = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, kind, content = error.code, error.headers, error.read()
    except OSError as error:  # URLError among them
        print(json.dumps({"answer": None, "because": str(error)}), flush=True)
        return 1
    text = content.decode(errors="replace")
    told = {
        "status": status,
        "content_type": kind.get("content-type", ""),
        "latency_ms": round((time.perf_counter() - began) * 1000, 3),
        "body": text[:LONGEST],
        "cut": len(text) > LONGEST,
    }
    print(json.dumps({"answer": told}), flush=True)
    return 0
