"""Text from people made plain: one line, nothing invisible, nothing that turns the page around."""

from __future__ import annotations

import re
import unicodedata

# Overrides and isolates that would reorder what stands beside the text; letters keep their own
# direction without them.
_DIRECTION = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def one_line(text: str) -> str:
    """The text on one line, without control characters, direction overrides or half characters."""
    whole = text.encode("utf-8", "replace").decode()
    kept = "".join(
        char for char in re.sub(r"\s", " ", whole)
        if unicodedata.category(char) != "Cc" and ord(char) not in _DIRECTION
    )  # fmt: skip
    return re.sub(" +", " ", kept).strip()


def lines(text: str) -> str:
    """The same for a text of several lines; empty lines at its ends are left out."""
    return "\n".join(one_line(line) for line in text.splitlines()).strip()
