"""The internet as the emulated account sees it: what an HTTP API's authorizer asks an issuer for."""

from __future__ import annotations

import ssl
import urllib.request
from typing import Any

from ministack.services import apigateway


def open_internet(proxy: str, authority: str) -> None:
    """Issuers of tokens are found through this proxy, and trusted by this authority's certificate.

    What was read of them before is forgotten.
    """
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": proxy}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)),
    )

    def opened(url: Any, timeout_s: float) -> Any:
        with opener.open(url, timeout=timeout_s) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()

    apigateway._urlopen_sync = opened
    apigateway._jwks_cache.clear()
    apigateway._oidc_config_cache.clear()
