"""Who may deploy from this page: nobody but this machine, while there is no sign-in.

Looking at advice is open to whoever reaches the page. Starting, calling and removing things is
not: each handler asks `refusal()` again, whatever the page showed.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache

import psutil
import streamlit as st

from advisor.errors import PreflightError

_LATELY_S = 30
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def refusal() -> str | None:
    """One sentence saying why deploying is refused here, or None when it is allowed."""
    return judge(bound_addresses(), dict(st.context.headers))


def refusal_to_show() -> str | None:
    """The same for a page that is only looked at: the operating system is asked now and then."""
    return judge(_bound_lately(int(time.monotonic() // _LATELY_S)), dict(st.context.headers))


def require() -> None:
    """For the handlers. Raises PreflightError with the sentence of `refusal`."""
    sentence = refusal()
    if sentence:
        raise PreflightError(sentence)


def judge(bound: Iterable[str], headers: Mapping[str, str]) -> str | None:
    """The decision itself: addresses the server listens on, and the browser's request headers."""
    open_to = sorted({address for address in bound if not is_loopback(address)})
    if open_to:
        return (
            f"Deploying is refused: the app listens on {', '.join(open_to)}, where others reach "
            "it, and there is no sign-in; start it with --server.address 127.0.0.1."
        )
    lower = {key.lower(): value for key, value in headers.items()}
    passed_on = [key for key in _FORWARDED if key in lower]
    if passed_on:
        return (
            f"Deploying is refused: the request came through a proxy ({passed_on[0]} header), and "
            "there is no sign-in; open the app on the machine that runs it."
        )
    host = lower.get("host")
    if host is not None and not is_loopback(_without_port(host)):
        return (
            f"Deploying is refused: the page was opened as {_without_port(host)!r}, which is not "
            "this machine, and there is no sign-in; open it at http://127.0.0.1."
        )
    return None


def bound_addresses() -> list[str]:
    """The addresses this process really listens on; the configured one where it listens on none.

    Asking the operating system holds whichever way the server was started.
    """
    listening = [
        connection.laddr.ip
        for connection in psutil.Process().net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    ]
    return listening or [str(st.get_option("server.address") or "0.0.0.0")]  # noqa: S104


@lru_cache(maxsize=1)
def _bound_lately(moment: int) -> tuple[str, ...]:
    return tuple(bound_addresses())


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.split("]")[0].strip("[")
    return re.sub(r":\d+$", "", host)
