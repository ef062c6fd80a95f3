"""The load generator's own requests: what an endpoint may do to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.loadtest.plain_http import NoAnswerError, PlainHttp

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@asynccontextmanager
async def lines_to(answer: Answer, timeout_s: float = 20) -> AsyncIterator[tuple[PlainHttp, list]]:
    """A client of an endpoint that gives `answer` to each request, and the connections it took."""
    met: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                sizes = [x for x in head.split(b"\r\n") if x.startswith(b"content-length")]
                body = await reader.readexactly(int(sizes[0].split(b":")[1])) if sizes else b""
                await answer(head + body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    lines = PlainHttp(f"http://127.0.0.1:{port}/invocations/ä b?a=1&b=%20", "/ping", timeout_s)
    try:
        yield lines, met
    finally:
        lines.close()
        server.close()


def test_one_connection_serves_what_comes_one_after_the_other() -> None:
    asked: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append(request)
        writer.write(GOOD)

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            for _ in range(3):
                assert await lines.post(b"[1]", "text/csv") == (200, b"{}")
            assert await lines.ping() == 200
            assert len(met) == 1

    asyncio.run(told())
    assert asked[0].startswith(
        b"POST /invocations/%C3%A4%20b?a=1&b=%20 HTTP/1.1\r\nhost: 127.0.0.1:"
    )
    assert b"content-type: text/csv\r\ncontent-length: 3\r\n\r\n[1]" in asked[0]
    assert asked[3].startswith(b"GET /ping HTTP/1.1\r\n")


def test_open_connections_share_the_requests() -> None:
    """As if each were another caller's: a server that spreads connections over its copies would
    have all the work in one of them otherwise."""
    asked: Counter[int] = Counter()

    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        asked[id(writer)] += 1
        writer.write(GOOD)

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            await lines.open(8)
            await lines.open(8)  # there are as many
            for _ in range(400):
                await lines.post(b"", "text/csv")
            assert len(met) == 8

    asyncio.run(told())
    assert len(asked) == 8
    assert min(asked.values()) > 20  # of 50; less happens once in a hundred thousand times
    assert max(asked.values()) < 90


def test_a_server_that_closes_each_connection_gets_no_more_than_it_is_asked() -> None:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        writer.close()

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            await lines.open(5)
            assert len(met) == 5
            assert await lines.post(b"", "text/csv") == (200, b"{}")
            assert len(met) == 6

    asyncio.run(told())


def test_a_server_for_one_connection_at_a_time_is_asked_over_one() -> None:
    """It hears the second caller only when the first has left."""
    busy = asyncio.Lock()
    holder: list[asyncio.StreamWriter] = []

    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        if holder != [writer]:
            await busy.acquire()
            holder[:] = [writer]
        writer.write(GOOD)

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            await lines.open(5)
            assert len(met) == 2  # the second was given up
            for _ in range(3):
                assert await lines.post(b"", "text/csv") == (200, b"{}")
            assert len(met) == 2

    asyncio.run(told())


def test_nobody_there_is_told_by_the_requests() -> None:
    async def told() -> None:
        lines = PlainHttp("http://127.0.0.1:9/invocations", "/ping", 5)
        await lines.open(5)
        with pytest.raises(NoAnswerError):
            await lines.post(b"", "text/csv")

    asyncio.run(told())


def test_what_is_under_way_at_once_has_a_connection_each() -> None:
    everybody = asyncio.Event()
    waiting: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        waiting.append(request)
        if len(waiting) == 5:
            everybody.set()
        await everybody.wait()
        writer.write(GOOD)

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            found = await asyncio.gather(*(lines.post(b"", "text/csv") for _ in range(5)))
            assert [status for status, _ in found] == [200] * 5
            assert len(met) == 5

    asyncio.run(told())


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([b"HTTP/1.1 429 X\r\ncontent-le", b"ngth: 4\r\n\r\nbu", b"sy"], (429, b"busy")),
        (
            [
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                b"2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n",
            ],
            (200, b"[1]"),
        ),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", GOOD], (200, b"{}")),
    ],
    ids=["in pieces", "chunked", "announced"],
)  # fmt: skip
def test_answers_in_other_shapes(parts: list[bytes], found: tuple[int, bytes]) -> None:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            assert await lines.post(b"[]", "text/csv") == found
            assert await lines.post(b"[]", "text/csv") == found
            assert len(met) == 1

    asyncio.run(told())


def test_a_connection_that_the_endpoint_ends_is_not_used_again() -> None:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            for _ in range(3):
                assert await lines.post(b"[]", "text/csv") == (200, b"")
            assert len(met) == 3

    asyncio.run(told())


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n[1]")
        await writer.drain()
        writer.close()

    async def told() -> None:
        async with lines_to(answer) as (lines, _met):
            assert await lines.post(b"[]", "text/csv") == (200, b"[1]")

    asyncio.run(told())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1", "closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP"),
    ],
    ids=["nothing", "half an answer", "something else"],
)
def test_no_answer_is_said_and_the_next_request_has_another_connection(
    said: bytes, why: str
) -> None:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD if len(tries) else said)
        await writer.drain()
        if not tries:
            writer.close()

    tries: list[int] = []

    async def told() -> None:
        async with lines_to(answer) as (lines, met):
            with pytest.raises(NoAnswerError, match=why):
                await lines.post(b"[]", "text/csv")
            tries.append(1)
            assert await lines.post(b"[]", "text/csv") == (200, b"{}")
            assert len(met) == 2

    asyncio.run(told())


def test_a_late_answer_is_given_up_and_never_taken_for_the_next() -> None:
    later = asyncio.Event()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if b"late" in request:
            await later.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
        else:
            writer.write(GOOD)

    async def told() -> None:
        async with lines_to(answer, timeout_s=0.2) as (lines, _met):
            with pytest.raises(TimeoutError):
                await lines.post(b"late", "text/csv")
            later.set()
            assert await lines.post(b"soon", "text/csv") == (200, b"{}")

    asyncio.run(told())


def test_nobody_there() -> None:
    async def told() -> None:
        async with lines_to(lambda *_: asyncio.sleep(0)) as (lines, _met):
            port = lines._port
        nobody = PlainHttp(f"http://127.0.0.1:{port}/", "/ping", 5)
        with pytest.raises(NoAnswerError):
            await nobody.post(b"[]", "text/csv")

    asyncio.run(told())
