"""`python -m model_server batch --input PLACE --output PLACE`: many rows, no server.

Input: .jsonl (or .ndjson, .json with one row a line) and .csv files. Each gives one result file of
JSON lines, a prediction a row in the same order, written under another name and moved into place
when it is whole; what is there already is skipped, so a job that was stopped goes on where it was.
In an array job (AWS_BATCH_JOB_ARRAY_INDEX and AWS_BATCH_JOB_ARRAY_SIZE) each child takes every
n-th file, or every n-th chunk of each file when there are fewer files than children.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from .errors import ModelError, RequestError
from .loaders import Model, load
from .locate import locate
from .log import Log
from .parsing import csv_rows, parse_json
from .payload import Decoder
from .settings import Settings
from .storage import Storage, storage

ENCODE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True)
class Shard:
    """Which part of the work is this job's: `index` of `count`."""

    index: int = 0
    count: int = 1

    @classmethod
    def from_env(cls) -> Shard:
        index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX")
        if index is None:
            return cls()
        size = os.environ.get("AWS_BATCH_JOB_ARRAY_SIZE", "")
        if not index.isdigit() or not size.isdigit() or int(index) >= int(size):
            raise ModelError(
                f"AWS_BATCH_JOB_ARRAY_INDEX is {index!r} and AWS_BATCH_JOB_ARRAY_SIZE is {size!r}; "
                "the index is a number below the size"
            )
        return cls(int(index), int(size))


def main(arguments: list[str]) -> int:
    """Exit codes: 0 all rows predicted, 1 more bad rows than allowed, 2 wrong input."""
    options = _options(arguments)
    settings = Settings.from_env()
    log = Log()
    located = locate()
    model = load(located.format, located.path, located.signature, settings.threads)
    job = Job(
        model, storage(options.input), storage(options.output), Shard.from_env(), log,
        chunk_rows=options.chunk_rows, max_errors=options.max_errors,
        method=options.method, again=options.overwrite,
    )  # fmt: skip
    done = job.run()
    log.event("batch done", counts=done)
    return 0


class Job:
    """One job, or one child of an array job."""

    def __init__(
        self,
        model: Model,
        source: Storage,
        target: Storage,
        shard: Shard,
        log: Log,
        *,
        chunk_rows: int = 1000,
        max_errors: int = 0,
        method: str = "default",
        again: bool = False,
    ) -> None:
        self._model, self._source, self._target = model, source, target
        self._decoder = Decoder(model.signature)
        self._shard, self._log = shard, log
        self._chunk_rows, self._max_errors, self._again = chunk_rows, max_errors, again
        self._method = Decoder.method({"method": method})
        self._errors = 0

    def run(self) -> dict[str, int]:
        """Counts of files, rows, errors and files skipped. Raises ModelError when too many rows
        are bad; finished files stay, the unfinished one is removed."""
        names = self._source.names()
        by_file = len(names) >= self._shard.count
        rows = files = skipped = 0
        for number, name in enumerate(names):
            if by_file and number % self._shard.count != self._shard.index:
                continue
            split = Shard() if by_file else self._shard
            result = _result_name(name, split)
            if not self._again and self._target.exists(result):
                skipped += 1
                self._log.event("skipped", file=name, because="its result is there already")
                continue
            count = self._file(name, result, split)
            rows, files = rows + count, files + 1
            self._log.event("file done", file=name, result=result, rows=count)
        return {"files": files, "rows": rows, "errors": self._errors, "skipped": skipped}

    def answers(self, name: str) -> Iterator[Any]:
        """The predictions of one input file, in order, without writing them."""
        for chunk in _chunks(self._rows(name), self._chunk_rows):
            yield from self._predict(name, chunk)

    def _file(self, name: str, result: str, split: Shard) -> int:
        count = 0
        part = self._target.scratch(result)
        try:
            with part.open("wb") as out:
                chunks = enumerate(_chunks(self._rows(name), self._chunk_rows))
                for number, chunk in chunks:
                    if number % split.count == split.index:
                        for answer in self._predict(name, chunk):
                            out.write(orjson.dumps(answer, option=ENCODE))
                        count += len(chunk)
                out.flush()
                os.fsync(out.fileno())
            self._target.put(result, part)
        finally:
            part.unlink(missing_ok=True)
        return count

    def _rows(self, name: str) -> Iterator[tuple[int, Any]]:
        """(line number, row or the error that its line gave)."""
        lines = self._source.lines(name)
        if name.lower().endswith(".csv"):
            yield from self._csv(lines)
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield number, parse_json(line)
                except RequestError as wrong:
                    yield number, wrong

    def _csv(self, lines: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
        texts = (line.decode("utf-8-sig" if i == 0 else "utf-8") for i, line in enumerate(lines))
        reader = csv.reader(texts, strict=True)
        header: list[str] | None = None
        known = set(self._model.signature.feature_names or ())
        while (cells := _next_line(reader)) is not None:
            if not cells:
                continue
            if header is None:
                header = cells if set(cells) & known else []
                if header:
                    continue
            try:
                both = [header, cells] if header else [cells]
                yield reader.line_num, csv_rows(both, self._model.signature)[0]
            except RequestError as wrong:
                yield reader.line_num, wrong

    def _predict(self, name: str, chunk: list[tuple[int, Any]]) -> list[Any]:
        """Answers of a chunk; when one row spoils it, each row by itself."""
        rows = [row for _, row in chunk]
        if not any(isinstance(row, RequestError) for row in rows):
            try:
                return self._model.predict(self._decoder.batch(rows), self._method).as_json()
            except (RequestError, ValueError, TypeError, KeyError, IndexError):
                pass  # one by one below, to name the row
        answers = []
        for line, row in chunk:
            try:
                if isinstance(row, RequestError):
                    raise row
                found = self._model.predict(self._decoder.batch([row]), self._method)
                answers.append(found.as_json()[0])
            except (RequestError, ValueError, TypeError, KeyError, IndexError) as wrong:
                self._errors += 1
                if self._errors > self._max_errors:
                    raise ModelError(
                        f"{name}, line {line}: {wrong}; correct it, or allow bad rows with "
                        "--max-errors"
                    ) from wrong
                answers.append({"error": f"line {line}: {wrong}"})
        return answers


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model_server batch",
        description="Predict every row of CSV and JSON lines files.",
    )
    parser.add_argument("--input", required=True, help="file, folder or s3:// address")
    parser.add_argument("--output", required=True, help="folder or s3:// address")
    parser.add_argument("--chunk-rows", type=int, default=1000, help="rows in one model call")
    parser.add_argument("--max-errors", type=int, default=0, help="bad rows to let pass")
    parser.add_argument(
        "--method", default="default", choices=("default", "predict", "predict_proba")
    )
    parser.add_argument("--overwrite", action="store_true", help="redo what is there already")
    options = parser.parse_args(arguments)
    if options.chunk_rows < 1:
        parser.error(f"--chunk-rows is {options.chunk_rows}; it is at least 1")
    return options


def _next_line(reader: Any) -> list[str] | None:
    try:
        cells: list[str] | None = next(reader, None)
    except (csv.Error, UnicodeDecodeError) as broken:
        raise ModelError(f"line {reader.line_num + 1} is no CSV text: {broken}") from broken
    return cells


def _chunks(rows: Iterator[tuple[int, Any]], size: int) -> Iterator[list[tuple[int, Any]]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def _result_name(name: str, split: Shard) -> str:
    part = f".part-{split.index:05d}-of-{split.count:05d}" if split.count > 1 else ""
    return f"{name}{part}.predictions.jsonl"
