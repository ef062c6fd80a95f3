"""The bytes of a traffic file, read so that no file can harm: bounded in every direction."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from advisor.errors import TrafficError

MAX_TEXT_BYTES = 20_000_000_000
MAX_LINE_BYTES = 100_000
MAX_GZIP_RATIO = 200  # a table of times packs 5 to 30 times
RATIO_FROM_BYTES = 50_000_000
HEAD_BYTES = 1_000_000
READ_BYTES = 1 << 20

Progress = Callable[[int, int], None]  # bytes read of the file as stored, and its size

_PACKED = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; save the sheet as CSV, or unpack it",
    b"BZh": "packed with bzip2; unpack it, or use gzip",
    b"\xfd7zXZ": "packed with xz; unpack it, or use gzip",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it, or use gzip",
    b"%PDF": "a PDF; export the figures as CSV",
    b"PAR1": "a Parquet file; export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet; save the sheet as CSV",
}
_WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Source(io.RawIOBase):
    """A traffic file as UTF-8 text, unpacked on the way; `read` is all that a parser needs.

    Raises TrafficError for what is no text, for a line without end, and for a gzip file that
    unpacks to far more than a table of times would.
    """

    def __init__(self, path: Path, name: str, progress: Progress | None = None) -> None:
        self.name = name
        self._progress = progress
        try:
            self._size = path.stat().st_size
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise TrafficError(f"cannot read {name}: {error.strerror}; name a CSV file") from None
        start = self._file.read(8)
        self._file.seek(0)
        for magic, said in _PACKED.items():
            if start.startswith(magic):
                self._file.close()
                raise TrafficError(f"{name} is {said}")
        self.packed = start.startswith(b"\x1f\x8b")
        self._text: BinaryIO = gzip.GzipFile(fileobj=self._file) if self.packed else self._file  # type: ignore[assignment]
        self._read = 0
        self._line = 0  # bytes since the last end of a line
        self._lines = 0  # ended so far
        self._open_quotes = 0  # quotes in the line at hand, 0 or 1
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ahead = b""
        first = self._next()
        wide = next((name for bom, name in _WIDE.items() if first.startswith(bom)), None)
        if wide:
            self._decoder = codecs.getincrementaldecoder(wide)()
        self._ahead = self._checked(first)
        while len(self._ahead) < HEAD_BYTES:
            more = self._checked(self._next())
            if not more:
                break
            self._ahead += more
        self._ahead = self._ahead.removeprefix(codecs.BOM_UTF8)

    def head(self) -> str:
        """The first megabyte, whole lines only, without taking anything from the stream."""
        cut = self._ahead[:HEAD_BYTES]
        if len(self._ahead) > HEAD_BYTES and b"\n" in cut:
            cut = cut[: cut.rindex(b"\n") + 1]
        return cut.decode("utf-8", errors="replace")

    def tail(self) -> str:
        """The last hundred kilobytes of a plain file; "" of a packed one."""
        if self.packed or self._decoder or self._size <= HEAD_BYTES:
            return ""
        here = self._file.tell()
        self._file.seek(max(0, self._size - MAX_LINE_BYTES))
        text = self._file.read()
        self._file.seek(here)
        return text.partition(b"\n")[2].decode("utf-8", errors="replace")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; b"" at the end."""
        if not self._ahead:
            self._ahead = self._checked(self._next())
        wanted = len(self._ahead) if size is None or size < 0 else size
        out, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
        return out

    def close(self) -> None:
        self._text.close()
        self._file.close()
        super().close()

    def _next(self) -> bytes:
        try:
            data = self._text.read(READ_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise TrafficError(
                f"{self.name} is a damaged gzip file ({error}); pack it again"
            ) from None
        self._read += len(data)
        stored = self._file.tell()
        if self._progress:
            self._progress(min(stored, self._size), self._size)
        if self._read > MAX_TEXT_BYTES or (
            self.packed and self._read > max(RATIO_FROM_BYTES, MAX_GZIP_RATIO * stored)
        ):
            raise TrafficError(
                f"{self.name} unpacks to more than {self._read / 1e6:,.0f} MB from "
                f"{stored / 1e6:,.1f} MB, which no table of times does; check it"
            )
        return data

    def _checked(self, data: bytes) -> bytes:
        if self._decoder is not None:
            try:
                data = self._decoder.decode(data, final=not data).encode()
            except UnicodeDecodeError:
                raise TrafficError(
                    f"{self.name} is damaged UTF-16 text; save it as UTF-8"
                ) from None
        if b"\x00" in data:
            raise TrafficError(
                f"{self.name} is not text (it holds zero bytes); export it as CSV in UTF-8"
            )
        longest, self._line = _longest_line(data, self._line)
        if longest > MAX_LINE_BYTES:
            raise TrafficError(
                f"{self.name} has a line of more than {MAX_LINE_BYTES // 1000} kB, so it is no "
                "table of times; export a row for each request or hour"
            )
        self._check_quotes(data)
        if b"\r" in data and b"\n" not in data:  # ends of lines as old Macs wrote them
            return data.replace(b"\r", b"\n")
        return data

    def _check_quotes(self, data: bytes) -> None:
        """A quote that does not end within its line would swallow the rest of the file."""
        if not data or b'"' in data:
            cells = np.frombuffer(data, dtype=np.uint8)
            ends = np.flatnonzero(cells == ord("\n"))
            quotes = np.cumsum(cells == ord('"'))
            before = quotes[ends] + self._open_quotes
            odd = np.flatnonzero(np.diff(before, prepend=0) % 2)
            total = int(quotes[-1]) + self._open_quotes if len(cells) else self._open_quotes
            self._open_quotes = (total - (int(before[-1]) if len(ends) else 0)) % 2
            if len(odd) or (not data and self._open_quotes):
                line = self._lines + (int(odd[0]) if len(odd) else 0) + 1
                raise TrafficError(
                    f"{self.name}, line {line}: a quotation mark that does not end within its "
                    "line; remove it, or export without text columns"
                )
            self._lines += len(ends)
        else:
            ends_here = data.count(b"\n")
            if ends_here and self._open_quotes:
                raise TrafficError(
                    f"{self.name}, line {self._lines + 1}: a quotation mark that does not end "
                    "within its line; remove it, or export without text columns"
                )
            self._lines += ends_here


def _longest_line(data: bytes, before: int) -> tuple[int, int]:
    """The longest line that ends or grows in the data, and how long the open one is by now."""
    data = data.replace(b"\r", b"\n") if b"\r" in data else data
    first = data.find(b"\n")
    if first < 0:
        return before + len(data), before + len(data)
    longest, at = before + first, first
    while at >= 0 and len(data) - at > MAX_LINE_BYTES:
        # The last end of a line within reach: none there means a line that is too long.
        end = data.rfind(b"\n", at + 1, at + 2 + MAX_LINE_BYTES)
        if end < 0:
            return MAX_LINE_BYTES + 1, 0
        at = end
    return longest, len(data) - data.rfind(b"\n") - 1
