"""`python -m model_server serve | batch ... | ask URL | health`. Without an argument it serves."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TextIO


def main(arguments: list[str]) -> int:
    """Exit codes: 0 done, 2 wrong input or settings, 1 anything else."""
    from .errors import ModelError

    command = arguments[0] if arguments else "serve"
    try:
        if command == "serve":
            return serve()
        if command == "batch":
            from .batch import main as batch

            return batch(arguments[1:])
        if command == "ask":
            from .ask import main as ask

            return ask(arguments[1:])
        if command == "health":
            return health()
        print(f"{command!r} is no command; use serve, batch, ask or health", file=sys.stderr)
    except ModelError as wrong:
        print(str(wrong), file=sys.stderr)
    return 2


def serve() -> int:
    """Listen until SIGTERM or SIGINT, then finish what has begun (up to DRAIN_S, 25 s)."""
    from .settings import Settings

    settings = Settings.from_env()
    gc.disable()  # until the model is loaded; importing makes next to no garbage
    _limit_threads(settings.threads)
    _warn_once()

    import logging

    from .app import App
    from .errors import ModelError
    from .listen import Copy, Listener
    from .log import Told
    from .service import Service

    failed: list[ModelError] = []

    def stop(wrong: ModelError) -> None:
        failed.append(wrong)
        server.should_exit = True

    app = App(Service(settings), stop, live=lambda app, line: Copy(app, line).run())
    server = Listener(app)
    logging.getLogger().addHandler(Told(app.service.log))
    # uvicorn hands the signal on after draining; taken here, the process ends with 0.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    if settings.parent:
        _end_with(settings.parent)
    app.service.log.event("listening", host=settings.host, port=settings.port)
    try:
        server.run()
    except KeyboardInterrupt:  # uvicorn hands Ctrl+C on after it has drained
        pass
    except SystemExit as refused:  # the port is taken, and uvicorn has said so
        return int(refused.code or 0) or 1
    finally:
        app.service.log.flush()
    code = 0 if server.started else 1
    if failed:
        print(str(failed[0]), file=sys.stderr, flush=True)
        code = 1
    if app.unfinished:  # a thread that does not come to an end would hold the exit back
        os._exit(1 if app.service.ready else code)
    return code


def health() -> int:
    """0 when the server in this container is ready; for HEALTHCHECK."""
    from http.client import HTTPConnection

    from .settings import Settings

    connection = HTTPConnection("127.0.0.1", Settings.from_env().port, timeout=3)
    try:
        connection.request("GET", "/ready")
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1
    finally:
        connection.close()


def _end_with(parent: int) -> None:
    """Stop as at SIGTERM when the process that started this one is gone, however it went."""
    import threading
    import time

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def _warn_once() -> None:
    """Each warning once, whatever libraries do to the filters: scikit-learn resets them on every
    call, which two worker threads at once turn into a line a tree and request."""
    import warnings

    seen: set[tuple[str, str, int]] = set()
    show = warnings.showwarning

    def once(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        place = (category.__name__, filename, lineno)
        if place not in seen:
            seen.add(place)
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = once


def _limit_threads(threads: int) -> None:
    """Numeric libraries read these when they are first imported, so it is done before."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
