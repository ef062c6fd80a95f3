"""How a load test reaches an endpoint: plain HTTP here, or the target's own signed way.

Only endpoints of ours are loaded: a deployment by its name or address, or something on this
machine. Everything else is refused, because a load test of a stranger is an attack.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from advisor.errors import AdvisorError, DeployError, InputError
from deploy.loadtest.plain_http import NoAnswerError, PlainHttp
from deploy.target import Plan

PREDICT = "/invocations"
PING = "/ping"
LOCAL = "local"
TOLD = 200
LANES = 64  # threads where a call blocks
CALLERS = 128  # connections from the start on, where they are kept; more come as needed
UNREACHABLE, TOO_LATE = "no connection", "no answer in time"


class Road(BaseModel):
    """Where to, and how: `url` with plain HTTP on this machine, else the plan's target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["http", "target"]
    shown: str  # for people
    url: str | None = None
    plan: Plan | None = None


class Way(Protocol):
    """An open way to the endpoint."""

    async def send(self, body: bytes, content_type: str) -> tuple[str, str]:
        """("200", "") for an answer; else a status or what happened, and the endpoint's words."""

    async def ping(self) -> bool:
        """A request that the model has no part in; False where there is no such thing."""


def road_to(place: str) -> Road:
    """The road to a deployment's name or to an address.

    Raises InputError for an address that is neither on this machine nor one of our deployments',
    DeploymentNotFoundError for an unknown name, DeployError for a deployment that does not run.
    """
    if "://" not in place:
        from deploy import runs

        return _of_plan(runs.deployment(place).plan)
    try:
        parts = urlsplit(place)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InputError(
            f"{place[:100]!r} is no address; give a deployment's name, or an address like "
            "http://127.0.0.1:8080"
        ) from None
    if parts.username or parts.password:
        raise InputError("the address holds a user name; give it without, nothing else is sent")
    if _is_loopback(host):
        if parts.scheme not in ("http", "https"):
            raise InputError(f"{parts.scheme}:// is not loaded; give an http:// address")
        base = f"{parts.scheme}://{parts.netloc}"
        path = parts.path if parts.path not in ("", "/") else PREDICT
        return Road(kind="http", shown=f"{host}:{port or 80}", url=base + path)
    plan = _deployed_at(place)
    if plan is None:
        raise InputError(
            f"{host or place[:100]} is neither this machine nor a deployment of ours, and others "
            "are never loaded; give a name that `python -m deploy list` shows"
        )
    if parts.scheme != "https":
        raise InputError(f"{host} is asked over {parts.scheme}; give its https:// address")
    return _of_plan(plan)


@asynccontextmanager
async def way(road: Road, timeout_s: float, most_in_flight: int) -> AsyncIterator[Way]:
    """The way of a road, open: connections are kept and used again."""
    if road.kind == "target":
        if road.plan is None:
            raise DeployError(f"the road to {road.shown} has no plan")
        with ThreadPoolExecutor(min(LANES, most_in_flight)) as pool:
            yield _TargetWay(road.plan, pool)
        return
    # One connection for each request in flight: a pool that makes requests wait would hide load.
    if urlsplit(road.url or "").scheme == "http":
        lean = PlainHttp(road.url or "", PING, timeout_s)
        try:
            await lean.open(CALLERS)
            yield _PlainWay(lean)
        finally:
            lean.close()
        return
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=300, force_close=False),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        auto_decompress=False,
    ) as session:
        yield _HttpWay(session, road.url or "")


class _PlainWay:
    """This machine's own, whose processors the sender takes from the server."""

    def __init__(self, lines: PlainHttp) -> None:
        self._lines = lines

    async def send(self, body: bytes, content_type: str) -> tuple[str, str]:
        try:
            status, read = await self._lines.post(body, content_type)
        except TimeoutError:
            return TOO_LATE, ""
        except NoAnswerError as gone:
            return UNREACHABLE, str(gone)[:TOLD]
        return str(status), "" if status == 200 else read[:TOLD].decode("utf-8", "replace")

    async def ping(self) -> bool:
        try:
            return await self._lines.ping() == 200
        except (NoAnswerError, TimeoutError):
            return False


class _HttpWay:
    def __init__(self, session: object, url: str) -> None:
        import aiohttp

        if not isinstance(session, aiohttp.ClientSession):
            raise TypeError("a ClientSession is needed")
        self._session, self._url = session, url
        parts = urlsplit(url)
        self._ping_url = f"{parts.scheme}://{parts.netloc}{PING}"
        self._headers: dict[str, dict[str, str]] = {}

    async def send(self, body: bytes, content_type: str) -> tuple[str, str]:
        import aiohttp

        headers = self._headers.setdefault(content_type, {"content-type": content_type})
        try:
            async with self._session.post(self._url, data=body, headers=headers) as answer:
                read = await answer.read()
                if answer.status == 200:
                    return "200", ""
                return str(answer.status), read[:TOLD].decode("utf-8", "replace")
        except TimeoutError:
            return TOO_LATE, ""
        except (aiohttp.ClientError, OSError) as gone:
            return UNREACHABLE, str(gone)[:TOLD]

    async def ping(self) -> bool:
        import aiohttp

        try:
            async with self._session.get(self._ping_url) as answer:
                await answer.read()
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


class _TargetWay:
    """The target's own `predict`, which signs; it blocks, so it has threads."""

    def __init__(self, plan: Plan, pool: ThreadPoolExecutor) -> None:
        from deploy.registry import target

        self._plan, self._pool, self._target = plan, pool, target(plan.target)

    async def send(self, body: bytes, content_type: str) -> tuple[str, str]:
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, self._call, body, content_type
        )

    async def ping(self) -> bool:
        return False

    def _call(self, body: bytes, content_type: str) -> tuple[str, str]:
        try:
            self._target.predict(self._plan, body, content_type)
        except AdvisorError as error:
            said = str(error)
            answered = re.search(r"answered (\d{3})", said)
            return (answered.group(1) if answered else UNREACHABLE), said[:TOLD]
        return "200", ""


def _of_plan(plan: Plan) -> Road:
    from deploy.registry import target

    if plan.target != LOCAL:
        return Road(kind="target", shown=plan.name, plan=plan)
    status = target(plan.target).status(plan)
    if status.endpoint is None:
        raise DeployError(f"{plan.name} cannot be loaded: {status.message}")
    return Road(kind="http", shown=plan.name, url=status.endpoint + PREDICT, plan=plan)


def _deployed_at(place: str) -> Plan | None:
    from deploy import runs

    host = urlsplit(place).hostname
    for found in runs.deployments():
        if found.endpoint and urlsplit(found.endpoint).hostname == host:
            return found.plan
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
