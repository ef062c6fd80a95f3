"""A server under test, and a Chromium to look at it with."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Violations in markup that Streamlit 1.67 makes itself and that no option of its API changes.
STREAMLITS_OWN = {
    "presentation-role-conflict": "the drop zone of st.file_uploader has a role and a label",
}
COLOURS = ["color-contrast", "link-in-text-block"]  # what axe looks at in colours, AA
_STANDS = (
    "!document.querySelector('[data-testid=stSkeleton]') && "
    "[...document.querySelectorAll('[data-testid=stMain] [data-testid=stElementContainer]')]"
    ".length > 0"
)
START_LIMIT_S = 60.0
SLOW_MS = 60_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _environment(home: Path) -> dict[str, str]:
    """This process's, with a home of its own and no way into anybody's AWS account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = str(home / "no-aws")
    return kept | {
        "ADVISOR_HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
    }


@contextmanager
def server(
    home: Path, port: int | None = None, *, more: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The app as a user starts it, with its own home; the address it answers on.

    `more`: environment on top of that, say the way into an emulated account.
    """
    port = port or free_port()
    log = home / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "streamlit"),
                "run", "streamlit_app.py", "--server.port", str(port),
            ],
            cwd=ROOT,
            env=_environment(home) | dict(more or {}),
            stdout=out,
            stderr=out,
        )  # fmt: skip
    try:
        _await(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def open_page(page: Page, url: str) -> None:
    """Go there and wait until the page stands; it may still look for what would change it."""
    page.goto(url)
    page.locator("h1").first.wait_for(timeout=SLOW_MS)
    page.wait_for_function(f"() => {_STANDS}", timeout=SLOW_MS)


def latency_box(page: Page) -> Locator:
    """The question for the latency target (its help button carries the same label)."""
    return page.get_by_role("spinbutton", name="Answer within (ms)")


def choose_example(page: Page, name: str) -> None:
    """Press an example and wait until its answers are in the address."""
    before = page.evaluate("location.href")
    page.locator(".st-key-preset").get_by_text(name, exact=True).click()
    page.wait_for_url(lambda url: url != before, timeout=SLOW_MS)


def violations(page: Page, *, colours_only: bool = False) -> dict[str, list[object]]:
    """What axe finds wrong by rule, with the places; without what is Streamlit's own."""
    options = {"runOnly": {"type": "rule", "values": COLOURS}} if colours_only else None
    found = Axe().run(page, options=options).response["violations"]
    return {
        violation["id"]: [node["target"] for node in violation["nodes"]][:5]
        for violation in found
        if violation["id"] not in STREAMLITS_OWN
    }


def settle(page: Page) -> None:
    """Until nothing runs any more."""
    page.wait_for_function(
        f"() => {_STANDS} && document.querySelector('[data-test-script-state=notRunning]')",
        timeout=SLOW_MS,
    )


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"the app did not start: {log.read_text()[-2000:]}")


def verdict_text(page: Page) -> str:
    """What the verdict card says once all of it is there, what would change it included."""
    settle(page)
    card = page.locator(".st-key-verdict")
    expect(card).to_contain_text(re.compile(r"Changes if\s(?!…)"))
    return card.inner_text()
