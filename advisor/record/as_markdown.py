"""The record as Markdown (CommonMark with tables), in MADR's form.

Every text is escaped before it meets Markdown: what a person typed stays what they typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from advisor.plain_text import one_line
from advisor.record.blocks import Bars, Block, Bullets, Code, Heading, Paragraph, Table
from advisor.record.content import RecordText

_ADDRESS = re.compile(r"https?://[^\s<>\"')\]|`\\]*[^\s<>\"')\]|`\\.,;:]")
# A mark inside a word (service_time_ms) is a letter to Markdown; elsewhere it could open emphasis.
_MARK = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[\\`*\[\]|~]|&(?=#?\w+;)")
_LINE_START = re.compile(r"^([#>+=-]|\d{1,9}[.)](?=\s|$))")


def render(said: RecordText, found: Iterable[Block]) -> str:
    """The front matter and the blocks."""
    head = (
        f"---\nstatus: {said.status}\ndate: {said.date.isoformat()}\n"
        f"decision-makers: {_yaml(said.deciders) or 'to be named'}\n---\n"
    )
    return "\n".join([head, *(_block(block) for block in found)]).rstrip() + "\n"


def escape(text: str) -> str:
    """Any text, safe inside Markdown: no markup, no HTML, one line; addresses become links."""
    flat = one_line(text)
    out, end = [], 0
    for match in _ADDRESS.finditer(flat):
        out += [_plain(flat[end : match.start()]), f"<{match[0]}>"]
        end = match.end()
    out.append(_plain(flat[end:]))
    return _LINE_START.sub(_escaped_start, "".join(out))


def _plain(text: str) -> str:
    marked = _MARK.sub(lambda m: "&amp;" if m[0] == "&" else f"\\{m[0]}", text)
    return marked.replace("<", "&lt;")


def _escaped_start(match: re.Match[str]) -> str:
    return f"{match[0][:-1]}\\{match[0][-1]}"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {escape(block.text)}\n"
    if isinstance(block, Paragraph):
        return f"{escape(block.text)}\n"
    if isinstance(block, Bullets):
        return "\n".join(f"* {escape(item)}" for item in block.items) + "\n"
    if isinstance(block, Bars):
        return _table(block.table)
    if isinstance(block, Table):
        return _table(block)
    return _code(block)


def _table(table: Table) -> str:
    rules = ["---:" if i in table.right else "---" for i in range(len(table.columns))]
    rows = [table.columns, *table.rows]
    lines = [f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows]
    return "\n".join([lines[0], f"| {' | '.join(rules)} |", *lines[1:]]) + "\n"


def _code(code: Code) -> str:
    """Fenced by more backticks than the text has in a row."""
    longest = max((len(run) for run in re.findall("`+", code.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{code.language}\n{code.text.rstrip()}\n{fence}\n"


def _yaml(text: str) -> str:
    return re.sub(r"[^\w ,.@'-]", "", one_line(text)).strip()
