"""Where refreshed price books stand, and how one takes the place of another.

A shelf is a directory: `current` names the book in use, `books/` holds it and the one before it
(a reader that has begun with the old book can finish). Replacing `current` is one rename, so a
reader sees the old book or the new one and never half of either.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import lru_cache
from pathlib import Path

from advisor.errors import InputError

SHIPPED = Path(__file__).parent / "data"
BOOK_VARIABLE = "ADVISOR_PRICES"  # a shelf, or a directory with the files of a book
CURRENT = "current"
SNAPSHOT = "snapshot.txt"  # in a refreshed book: the snapshot that it was made from
_KEPT_BOOKS = 2


def default_shelf() -> Path:
    """$ADVISOR_PRICES, else `prices` in $ADVISOR_HOME, else in the user's data directory."""
    named = os.environ.get(BOOK_VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("ADVISOR_HOME")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return (Path(home) if home else Path(base) / "model-deployment-advisor") / "prices"


def book_in_use() -> Path:
    """The directory of the book that answers: the refreshed one where there is one that fits.

    A refreshed book in the default place that was made from another snapshot than the one that
    ships now (the product was upgraded) is passed over; `passed_over` says so. What
    $ADVISOR_PRICES names is taken as it is.
    """
    shelf = default_shelf()
    if os.environ.get(BOOK_VARIABLE):
        return current_book(shelf) or shelf
    found = current_book(shelf)
    return found if found and _fits(found) else SHIPPED


def passed_over() -> str:
    """A sentence when a refreshed book is there and not used, else an empty one."""
    found = None if os.environ.get(BOOK_VARIABLE) else current_book(default_shelf())
    if found is None or _fits(found):
        return ""
    return (
        f"The refreshed prices in {found} were made from another release of the product and are "
        "not used; refresh the prices again."
    )


def current_book(shelf: Path) -> Path | None:
    """The directory of the book that a shelf points at, None where it points at none."""
    try:
        name = (shelf / CURRENT).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read {shelf / CURRENT} ({error}); repair it or remove {shelf}"
        ) from None
    return shelf / "books" / name


def check_shelf(shelf: Path) -> None:
    """Raises InputError for a place that holds something else than refreshed prices."""
    if shelf.is_dir() and any(shelf.iterdir()) and not (shelf / "books").is_dir():
        raise InputError(
            f"{shelf} is not empty and holds no refreshed prices; name a new directory with --out"
        )
    if shelf.exists() and not shelf.is_dir():
        raise InputError(f"{shelf} is not a directory; name another one with --out")


def put(shelf: Path, book: Path) -> Path:
    """Make `book`, a finished directory in `books/`, the one in use; drop those before the last."""
    previous = current_book(shelf)
    _sync(book)
    aside = shelf / f".{CURRENT}.{os.getpid()}"
    with aside.open("w", encoding="utf-8") as file:
        file.write(book.name + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(shelf / CURRENT)
    kept = {book, previous} if previous else {book}
    for other in sorted((shelf / "books").iterdir(), reverse=True):
        if other not in kept and len(kept) >= _KEPT_BOOKS:
            shutil.rmtree(other, ignore_errors=True)
    return book


@lru_cache(maxsize=1)
def snapshot_id() -> str:
    """The SHA-256 of the book that ships; a refreshed book remembers what it was made from."""
    digest = hashlib.sha256()
    for path in sorted(SHIPPED.rglob("*")):
        if path.suffix in (".csv", ".npz"):
            digest.update(f"{path.relative_to(SHIPPED)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _fits(book: Path) -> bool:
    try:
        return (book / SNAPSHOT).read_text(encoding="utf-8").strip() == snapshot_id()
    except OSError:
        return False


def _sync(book: Path) -> None:
    """Let the book reach the disk before anything points at it."""
    for path in [*book.rglob("*"), book]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
