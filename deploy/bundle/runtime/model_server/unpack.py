"""Reads model files, compressed or not, without believing how long they say they are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import IO, Any

from .errors import RefusedModelError

COMPRESSED = {b"\x78": "zlib", b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x5d\x00": "lzma",
              b"\xfd7zXZ\x00": "xz"}  # fmt: skip
# A model that unpacks to more than this many times its file, and to over 250 MB, is a bomb.
MAX_RATIO = 200
FREE_UNPACKED = 250_000_000
STEP = 1 << 20  # bytes that are asked for without knowing whether they are there


def compression(head: bytes) -> str | None:
    """The compression that a file's first bytes announce, or None."""
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            return name
    return None


def open_stream(path: Path) -> IO[bytes]:
    """The file's content, unpacked, with a limit on how much it may unpack to."""
    size = path.stat().st_size
    raw = path.open("rb")
    kind = compression(raw.read(6))
    raw.seek(0)
    inner: Any
    if kind is None:
        return raw
    if kind == "gzip":
        inner = gzip.GzipFile(fileobj=raw)
    elif kind == "bz2":
        inner = bz2.BZ2File(raw)
    elif kind in ("lzma", "xz"):
        inner = lzma.LZMAFile(raw)  # noqa: SIM115 - closed by the reader around it
    else:
        inner = io.BufferedReader(_Zlib(raw))
    return io.BufferedReader(_Limited(inner, max(FREE_UNPACKED, MAX_RATIO * size)), 1 << 16)


def read_claimed(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes of the stream; room is made for what is there, not for what the file claims.

    Raises EOFError when fewer are left, but for a single byte: it is then empty, as at any end.
    """
    if size <= STEP:
        data = stream.read(size)
    elif stream.seekable():
        here = stream.tell()
        left = stream.seek(0, io.SEEK_END) - here
        stream.seek(here)
        data = stream.read(min(size, left))
    else:  # only unpacking tells how much there is
        parts, missing = [], size
        while missing and (part := stream.read(min(missing, STEP))):
            parts.append(part)
            missing -= len(part)
        data = b"".join(parts)
    if len(data) < size and size > 1:
        raise EOFError(f"it claims {size} bytes where {len(data)} are left")
    return data


class _Zlib(io.RawIOBase):
    """A zlib stream as a readable file; the standard library has none."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._inflate, self._left = raw, zlib.decompressobj(), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._raw.read(1 << 16)
            if not packed:
                raise EOFError("the compressed data ends too early")
            self._left = memoryview(self._inflate.decompress(packed, 1 << 20))
        part = self._left[: len(buffer)]
        self._left = self._left[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Limited(io.RawIOBase):
    """A stream that refuses to yield more than `limit` bytes."""

    def __init__(self, inner: Any, limit: int) -> None:
        self._inner, self._limit, self._left = inner, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._inner.read(min(len(buffer), 1 << 20))
        self._left -= len(part)
        if self._left < 0:
            raise RefusedModelError(
                f"the file unpacks to more than {self._limit // 1_000_000} MB, far more than its "
                "size allows for; save it without compression if it is really that large"
            )
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._inner.close()
        super().close()
