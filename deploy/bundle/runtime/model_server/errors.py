"""What can go wrong, with a sentence for a person."""

from __future__ import annotations

from typing import Any


def one_line(error: BaseException, limit: int = 200) -> str:
    """What a library said, on one line and not longer than `limit` characters."""
    return " ".join(str(error).split())[:limit]


class ModelError(Exception):
    """The model cannot be loaded or run here; the sentence says why and what to do."""


class RefusedModelError(ModelError):
    """The model file asks for code outside the allow-list. `refused` holds the names."""

    def __init__(self, message: str, refused: list[str] | None = None) -> None:
        self.refused = refused or []
        super().__init__(message)


class RequestError(Exception):
    """A request that cannot be answered: HTTP status, a short code, and a sentence."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        """For its way from another process."""
        return RequestError, (self.status, self.code, self.message, self.headers)
