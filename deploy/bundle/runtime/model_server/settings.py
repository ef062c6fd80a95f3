"""What the environment says. Every setting has a default that is right for a container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from .cgroup import processors
from .errors import ModelError

WORKER_KINDS = ("auto", "threads", "processes")


@dataclass(frozen=True)
class Settings:
    """Settings of the server; times in seconds, sizes in bytes."""

    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside; HOST overrides it
    port: int = 8080
    workers: int = 1  # predictions that run at once
    workers_chosen: bool = False  # by a person: not made fewer to save memory
    worker_kind: str = "auto"  # "threads" or "processes"; auto: what the model gains from
    threads: int = 1  # processor threads of one prediction
    queue_size: int | None = None  # requests that may wait; None: what five seconds can serve
    max_batch_rows: int = 64
    max_body: int = 100_000_000
    head_timeout: float = 20.0  # from a request's first byte to the end of its head
    body_timeout: float = 60.0  # for a whole request; also for a client to fetch its answer
    predict_timeout: float = 3600.0  # of one prediction; no platform waits for longer
    drain: int = 25
    keep_alive: int = 620  # longer than any load balancer's idle timeout, so that none is cut off
    token: str | None = None
    model_name: str = "model"
    health_route: str | None = None
    predict_route: str | None = None
    access_log: bool = True
    parent: int | None = None  # the process that this server must not outlive

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read HOST, PORT or AIP_HTTP_PORT, WORKERS, WORKER_KIND, MODEL_THREADS, QUEUE_SIZE,
        MAX_BATCH_ROWS, MAX_BODY_MB, HEAD_TIMEOUT_S, BODY_TIMEOUT_S, PREDICT_TIMEOUT_S, DRAIN_S,
        KEEP_ALIVE_S, MODEL_SERVER_TOKEN, MODEL_NAME, AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE, ACCESS_LOG and
        END_WITH_PID. Raises ModelError for a value that is no number, or no kind."""
        env = os.environ if env is None else env
        queue = env.get("QUEUE_SIZE")
        return cls(
            host=env.get("HOST") or cls.host,
            port=_whole(env, "PORT", _whole(env, "AIP_HTTP_PORT", cls.port, 0, 65535), 0, 65535),
            workers=_whole(env, "WORKERS", processors(), 1, 512),
            workers_chosen=bool(env.get("WORKERS")),
            worker_kind=_one_of(env, "WORKER_KIND", WORKER_KINDS),
            threads=_whole(env, "MODEL_THREADS", 1, 1, 512),
            queue_size=_whole(env, "QUEUE_SIZE", 0, 0, 1_000_000) if queue else None,
            max_batch_rows=_whole(env, "MAX_BATCH_ROWS", cls.max_batch_rows, 1, 100_000),
            max_body=_whole(env, "MAX_BODY_MB", cls.max_body // 1_000_000, 1, 10_000) * 1_000_000,
            head_timeout=_whole(env, "HEAD_TIMEOUT_S", int(cls.head_timeout), 1, 3600),
            body_timeout=_whole(env, "BODY_TIMEOUT_S", int(cls.body_timeout), 1, 86_400),
            predict_timeout=_whole(env, "PREDICT_TIMEOUT_S", int(cls.predict_timeout), 1, 86_400),
            drain=_whole(env, "DRAIN_S", cls.drain, 0, 3600),
            keep_alive=_whole(env, "KEEP_ALIVE_S", cls.keep_alive, 1, 86_400),
            token=env.get("MODEL_SERVER_TOKEN") or None,
            model_name=env.get("MODEL_NAME") or cls.model_name,
            health_route=env.get("AIP_HEALTH_ROUTE") or None,
            predict_route=env.get("AIP_PREDICT_ROUTE") or None,
            access_log=env.get("ACCESS_LOG", "on").lower() not in ("off", "0", "false", "no"),
            parent=_whole(env, "END_WITH_PID", 0, 0, 2**31) or None,
        )


def _one_of(env: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The first of `known` where nothing is said."""
    value = env.get(name) or known[0]
    if value not in known:
        raise ModelError(f"{name} is {value!r}; it is one of {', '.join(known)}")
    return value


def _whole(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ModelError(f"{name} is {text!r}; it is a whole number from {low} to {high}")
    return value
