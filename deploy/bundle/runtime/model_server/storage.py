"""Where batch input is read from and results are written to: folders, or s3:// with boto3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from .errors import ModelError

ENDINGS = (".csv", ".jsonl", ".ndjson", ".json")


class Storage(Protocol):
    """Files below one place, by their names relative to it."""

    def names(self) -> list[str]: ...
    def lines(self, name: str) -> Iterator[bytes]: ...
    def exists(self, name: str) -> bool: ...
    def put(self, name: str, done: Path) -> None: ...
    def scratch(self, name: str) -> Path: ...


def storage(place: str) -> Storage:
    """The storage behind a path or an s3:// address. Raises ModelError when it cannot be used."""
    if place.startswith("s3://"):
        return S3(place)
    if "://" in place:
        raise ModelError(f"{place} is neither a path nor an s3:// address; mount it, or use s3://")
    return Folder(Path(place))


class Folder:
    """A folder, or a single file in it."""

    def __init__(self, place: Path) -> None:
        self._only = place.name if place.is_file() else None
        self._root = place.parent if self._only else place

    def names(self) -> list[str]:
        """Input files, sorted. Raises ModelError when there are none."""
        if self._only:
            return [self._only]
        if not self._root.is_dir():
            raise ModelError(f"there is no input at {self._root}; check the path")
        found = sorted(
            p.relative_to(self._root).as_posix()
            for p in self._root.rglob("*")
            if p.is_file() and p.suffix.lower() in ENDINGS
        )
        return _some(found, str(self._root))

    def lines(self, name: str) -> Iterator[bytes]:
        with (self._root / name).open("rb") as file:
            yield from file

    def exists(self, name: str) -> bool:
        return (self._root / name).is_file()

    def scratch(self, name: str) -> Path:
        """Where the unfinished result goes: beside the finished one, so that moving is atomic."""
        path = self._root / f"{name}.{os.getpid()}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, name: str, done: Path) -> None:
        done.replace(self._root / name)


class S3:
    """Objects below a prefix of a bucket."""

    def __init__(self, place: str) -> None:
        try:
            import boto3
        except ModuleNotFoundError as missing:
            raise ModelError(
                f"{place} needs boto3, which is not installed; pack the bundle as the batch variant"
            ) from missing
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        self._bucket, self._client = bucket, boto3.client("s3")
        single = prefix.lower().endswith(ENDINGS)
        self._only = prefix.rpartition("/")[2] if single else None
        folder = prefix.rpartition("/")[0] if single else prefix.rstrip("/")
        self._prefix = f"{folder}/" if folder else ""

    def names(self) -> list[str]:
        if self._only:
            return [self._only]
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        keys = [o["Key"] for page in pages for o in page.get("Contents", [])]
        found = sorted(k[len(self._prefix) :] for k in keys if k.lower().endswith(ENDINGS))
        return _some(found, f"s3://{self._bucket}/{self._prefix}")

    def lines(self, name: str) -> Iterator[bytes]:
        found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
        for line in found["Body"].iter_lines():
            yield line + b"\n"

    def exists(self, name: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                return False
            raise ModelError(
                f"s3://{self._bucket}/{self._prefix}{name} cannot be looked at: {error}"
            ) from error
        return True

    def scratch(self, name: str) -> Path:
        import tempfile

        return Path(tempfile.mkdtemp(prefix="batch-")) / Path(name).name

    def put(self, name: str, done: Path) -> None:
        """One upload: the object appears whole or not at all."""
        self._client.upload_file(str(done), self._bucket, self._prefix + name)
        done.unlink()


def _some(names: list[str], where: str) -> list[str]:
    if not names:
        raise ModelError(f"there are no {', '.join(ENDINGS)} files at {where}")
    return names
