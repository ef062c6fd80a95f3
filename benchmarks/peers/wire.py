"""A prediction over a kept connection, by hand: what the loads of asyncio send and read."""

from __future__ import annotations

import asyncio

from benchmarks.peers.servers import Server


def request(server: Server, rows: int = 1) -> bytes:
    """The bytes of one POST with so many rows."""
    body = server.body(rows)
    return (
        f"POST {server.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes, timeout_s: float
) -> bytes:
    """Send a request and read its answer whole. Gives the answer's head in lower case."""
    writer.write(sent)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout_s)).lower()
    length = head.split(b"content-length:")[1].split(b"\r\n")[0]
    await asyncio.wait_for(reader.readexactly(int(length)), timeout_s)
    return head
