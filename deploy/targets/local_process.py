"""Server processes on this machine: start one, know it again, stop that one and no other."""

from __future__ import annotations

import os
import platform
import site
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import psutil
from pydantic import BaseModel, ConfigDict

from advisor.errors import DeployError

LOOPBACK = "127.0.0.1"
MODULE = "model_server"
POLL_S = 0.1
DRAIN_S = 10  # less than the grace before SIGKILL
TOLD_EVERY_S = 2.0
LOG_TAIL_BYTES = 8192
TOLD_LOG_CHARACTERS = 400


class Server(BaseModel):
    """What is written down about a started server; `identity` outlives a reuse of the pid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pid: int
    identity: str
    port: int
    bundle: str  # directory name under the deployment's own
    bundle_hash: str
    model_digest: str
    started_at: str
    former: str = ""  # directory name of the bundle that served before, kept to go back to it

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def process(self) -> psutil.Process | None:
        """The live process itself; None if it ended or the pid now belongs to another."""
        if identity(self.pid) != self.identity:
            return None
        try:
            return psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            return None


def identity(pid: int) -> str | None:
    """When this very process started; None if there is none or only its remains.

    On Linux the kernel's start tick and boot id (proc(5), field 22 of /proc/PID/stat), which no
    change of the clock moves; elsewhere the start time in seconds.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if platform.system() != "Linux":
            return f"started {process.create_time():.2f}"
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold blanks and brackets: fields count from after the last bracket.
    return f"boot {boot} tick {stat.rpartition(')')[2].split()[19]}"


def start(
    bundle: Path, port: int, log: Path, home: Path, *, settings: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the bundle's server, detached: own session, own log, nothing of our environment.

    `settings` are of the server, like WORKERS.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", MODULE, "serve"],
            cwd=bundle,
            env=_environment(bundle, port, home) | dict(settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_ready(
    server: Server, *, limit_s: float, log: Path, tell: Callable[[float], None]
) -> float:
    """Seconds until the server itself answered /ready. `tell` is called every two seconds.

    Raises DeployError with the last log lines when the server ends or is late, or when it listens
    on anything but the loopback address. Stops nothing.
    """
    began = time.monotonic()
    told = began
    while True:
        process = server.process()
        if process is None:
            raise DeployError(f"the server ended while it was loading the model{log_tail(log)}")
        if server.port in listening(process, loopback_only=True) and is_ready(server.port):
            return time.monotonic() - began
        now = time.monotonic()
        if now - began > limit_s:
            raise DeployError(
                f"the server was not ready after {limit_s:g} s{log_tail(log)}; if the model only "
                "needs longer, raise model.load_time_s and plan again"
            )
        if now - told >= TOLD_EVERY_S:
            told = now
            tell(now - began)
        time.sleep(POLL_S)


def is_ready(port: int) -> bool:
    """Does something on this port answer /ready with 200?"""
    try:
        with httpx.Client(trust_env=False, timeout=5) as client:
            return client.get(f"http://{LOOPBACK}:{port}/ready").status_code == 200
    except httpx.TransportError:
        return False


def stop(process: psutil.Process, grace_s: float) -> None:
    """SIGTERM, wait, SIGKILL: this process and its children, never a later owner of the pid."""
    family = _family(process)
    _signal([process], psutil.Process.terminate)
    alive = _alive_after(family, grace_s)
    _signal(alive, psutil.Process.kill)
    alive = _alive_after(alive, grace_s)
    if alive:
        pids = ", ".join(str(p.pid) for p in alive)
        raise DeployError(f"process {pids} does not end, not even on SIGKILL; restart the machine")


def strays(directory: Path) -> list[psutil.Process]:
    """Servers that run out of this directory, whether or not anybody wrote them down.

    Without the processes that they started themselves: those end with them, and only so.
    """
    found = {}
    for process in psutil.process_iter():
        try:
            if MODULE in process.cmdline() and Path(process.cwd()).is_relative_to(directory):
                found[process.pid] = (process, process.ppid())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # ended meanwhile, or another user's: not one of ours
    return [process for process, parent in found.values() if parent not in found]


def listening(process: psutil.Process, *, loopback_only: bool = False) -> set[int]:
    """The TCP ports on which a process and its children listen.

    With `loopback_only` an address that others can reach raises DeployError.
    """
    ports = set()
    for member in _family(process):
        try:
            connections = member.net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            continue
        for connection in connections:
            if connection.status != psutil.CONN_LISTEN:
                continue
            if loopback_only and connection.laddr.ip != LOOPBACK:
                raise DeployError(
                    f"the server listens on {connection.laddr.ip}:{connection.laddr.port}, not "
                    f"only on {LOOPBACK}; it was not left running"
                )
            ports.add(connection.laddr.port)
    return ports


def is_free(port: int) -> bool:
    """Can a server listen on this port of the loopback address?"""
    with socket.socket() as probe:
        # As servers do: an old connection in TIME_WAIT is no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def holder(port: int) -> str:
    """Who listens on a port, in words, as far as this user may see."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if not connection.laddr or connection.status != psutil.CONN_LISTEN:
            continue
        if connection.laddr.port == port:
            if connection.pid is None:
                break
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                break
    return "a process that this user may not see"


def log_tail(log: Path) -> str:
    """The end of a log as the end of a sentence: ': ...', or '' when there is nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    said = " / ".join(" ".join(line.split()) for line in lines if line.strip())
    if not said:
        return ""
    return ": " + (said if len(said) <= TOLD_LOG_CHARACTERS else "…" + said[-TOLD_LOG_CHARACTERS:])


def _environment(bundle: Path, port: int, home: Path) -> dict[str, str]:
    kept = {k: os.environ[k] for k in ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ") if k in os.environ}
    kept.setdefault("PATH", os.defpath)
    kept.setdefault("LANG", "C.UTF-8")
    return kept | {
        "HOME": str(home),  # so that no SDK inside finds this user's keys by default
        "PYTHONUSERBASE": site.getuserbase(),  # packages of `pip install --user` hang on HOME
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # a bundle stays byte for byte what was hashed
        "HOST": LOOPBACK,
        "PORT": str(port),
        "MODEL_DIR": str(bundle / "model"),
        "DRAIN_S": str(DRAIN_S),
        "ACCESS_LOG": "off",  # nobody rotates this log
    }


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return [process]


def _alive_after(processes: list[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Those that still run after the limit; returns as soon as none does.

    A zombie has ended: whether anybody collects its exit code (in a container nobody may) is not
    waited for, as psutil.wait_procs would.
    """
    give_up_at = time.monotonic() + limit_s
    while True:
        alive = [p for p in processes if _runs(p)]
        psutil.wait_procs([p for p in processes if p not in alive], timeout=0)  # our own children
        if not alive or time.monotonic() >= give_up_at:
            return alive
        time.sleep(POLL_S / 2)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(processes: list[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.NoSuchProcess:
            continue  # it ended by itself
