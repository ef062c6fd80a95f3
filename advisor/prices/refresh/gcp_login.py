"""Who asks the Cloud Billing Catalog: an API key, else this machine's own Google credentials."""

from __future__ import annotations

import importlib
import os
from typing import Any

from advisor.errors import PriceRefreshError

KEY_VARIABLE = "ADVISOR_GCP_API_KEY"
_SCOPE = "https://www.googleapis.com/auth/cloud-billing.readonly"
_WAY_OUT = (
    f"set {KEY_VARIABLE} to an API key with the Cloud Billing API, or install google-auth and run "
    "gcloud auth application-default login"
)


def headers() -> dict[str, str]:
    """The headers that identify the caller. Raises PriceRefreshError where there is nobody."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if key:
        return {"X-Goog-Api-Key": key}
    try:
        auth: Any = importlib.import_module("google.auth")
        transport: Any = importlib.import_module("google.auth.transport.requests")
    except ImportError:
        raise PriceRefreshError(
            f"the Cloud Billing Catalog needs to know who asks; {_WAY_OUT}"
        ) from None
    try:
        credentials, _project = auth.default(scopes=[_SCOPE])
        credentials.refresh(transport.Request())
    except auth.exceptions.GoogleAuthError as error:
        raise PriceRefreshError(f"no Google credentials ({error}); {_WAY_OUT}") from None
    return {"Authorization": f"Bearer {credentials.token}"}
