"""The server around the page."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.browser


def test_health_and_headers(app: str) -> None:
    answer = httpx.get(f"{app}/healthz", trust_env=False)
    assert answer.json() == {"status": "ok"}
    page = httpx.get(app, trust_env=False)
    for name, value in {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
    }.items():
        assert page.headers[name] == value
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_no_page_is_served_around_the_front_door(app: str) -> None:
    """A folder of views beside the script must not become pages of their own."""
    for path in ("advise.py", "ui/views/deploy.py", "app/static/main.py", "static/../ui/main.py"):
        answer = httpx.get(f"{app}/{path}", trust_env=False)
        assert "import streamlit" not in answer.text
