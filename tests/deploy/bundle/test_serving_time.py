"""What the server around a model takes for a request, of real servers."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from deploy import serving_time
from deploy.bundle.pack import Bundle
from deploy.serving_time import http_ms_of, loop_ms_of, thread_ms

ROW = json.dumps({"instances": [[1.0]]}).encode()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_time, "HTTP_SECONDS", 0.3)
    monkeypatch.setattr(serving_time, "LEAST_ASKED", 12)


def test_the_loop_takes_a_little_of_a_long_request(slow_bundle: Bundle, start_server) -> None:
    server = start_server(slow_bundle.path, WORKERS="1")
    loop = loop_ms_of(ROW, server.port, server.process.pid)
    empty = http_ms_of(server.port, server.process.pid)
    assert loop is not None
    assert empty is not None
    # The model takes tens of milliseconds, in a thread that does not count.
    assert 0.02 < loop < 15
    assert 0.01 < empty < 15


def test_a_row_that_is_refused_tells_nothing(slow_bundle: Bundle, start_server) -> None:
    server = start_server(slow_bundle.path, WORKERS="1")
    assert loop_ms_of(b'{"instances": [["text"]]}', server.port, server.process.pid) is None
    assert loop_ms_of(None, server.port, server.process.pid) is None


def test_only_the_first_thread_counts() -> None:
    def work(seconds: float) -> None:
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass

    before = thread_ms(os.getpid())
    other = threading.Thread(target=work, args=(0.3,))
    other.start()
    other.join(60)
    between = thread_ms(os.getpid())
    work(0.3)
    after = thread_ms(os.getpid())
    assert before is not None
    assert between is not None
    assert after is not None
    assert between - before < 150
    assert after - between >= 290


def test_a_process_that_is_gone_has_no_time() -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    assert thread_ms(gone) is None
