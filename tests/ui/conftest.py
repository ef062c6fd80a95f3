"""The app under AppTest, with a home of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from here import Here
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# After the path to it.
from advisor.whatif import Changes  # noqa: E402
from ui import advice, jobs  # noqa: E402
from ui.components import later  # noqa: E402

LIMIT_S = 180  # a guard against hanging, not against busy machines


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(later, "_IDLE_S", 0.0)  # nobody here answers on
    before = Path.cwd()
    os.chdir(ROOT)  # where .streamlit/config.toml is
    yield
    os.chdir(before)


@pytest.fixture
def open_app() -> Callable[..., AppTest]:
    """Open the app at an address; `page` is a file of ui/views."""

    def start(params: dict[str, str] | None = None, page: str | None = None) -> AppTest:
        app = AppTest.from_file(str(ROOT / "ui" / "main.py"), default_timeout=LIMIT_S)
        if page is not None:
            app.switch_page(f"views/{page}.py")
        for name, value in (params or {}).items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return start


@pytest.fixture
def flips_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flips ask for a hundred verdicts; they have tests of their own below advisor."""
    monkeypatch.setattr(jobs, "changes", lambda *_, **__: Changes())
    monkeypatch.setattr(advice, "WORKERS", Here())
    advice.forget()
