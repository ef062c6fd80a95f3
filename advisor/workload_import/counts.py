"""How a column writes its counts: what sets thousands apart, and what decimals stand after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from advisor.errors import TrafficError

Decimal = Literal["point", "comma"]
_MARKS: dict[Decimal, str] = {"point": ".", "comma": ","}
_OTHER: dict[Decimal, Decimal] = {"point": "comma", "comma": "point"}
# These set thousands apart wherever they are used: blanks of four widths and two apostrophes.
_BLANKS = " \u00a0\u202f\u2009'\u2019"
_PLAIN = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_TWO_WAYS = re.compile(r"^[+-]?[1-9]\d{0,2}[.,]\d{3}$")  # 1,200: thousands or decimals
_WHOLE = re.compile(r"^\+?\d+$")
_FEW = 0.01  # of the cells may be written the other way; they are then left out as bad rows


@dataclass(frozen=True)
class CountFormat:
    """Which mark decimals stand after; the other one, blanks and apostrophes set thousands apart."""

    decimal: Decimal = "point"
    said: str = ""  # how a count was read that another reader could take for another number

    def plain(self, cells: pa.Array) -> pa.Array:
        """The cells with a decimal point and nothing between thousands; null for what is no number
        written this way, but other cells stay where the mark is a point."""
        marks = f"[,{_BLANKS}]"  # most files have none, and one look is quicker than the rest
        if self.decimal == "point" and not pc.any(pc.match_substring_regex(cells, marks)).as_py():
            return cells
        apart = pc.match_substring_regex(cells, _grouped(self.decimal))
        joined = pc.replace_substring_regex(cells, f"[{_MARKS[_OTHER[self.decimal]]}{_BLANKS}]", "")
        cells = pc.if_else(apart, joined, cells)
        if self.decimal == "point":
            return cells
        fits = pc.match_substring_regex(cells, r"^[+-]?\d+(,\d*)?$")
        return pc.if_else(fits, pc.replace_substring(cells, ",", "."), pa.scalar(None, pa.string()))


def is_count(cell: str) -> bool:
    """Whether a cell is a number in one of the ways that people write them."""
    bare = _bare(cell)
    return any(_fits(bare, decimal) for decimal in _MARKS)


def find_format(
    cells: Sequence[str], name: str, *, delimiter: str, alone: bool, asked: Decimal | None = None
) -> CountFormat:
    """How these counts are written. `delimiter` separates the columns, `alone` says there is one.

    Raises TrafficError where '1.200' may be 1200 or 1.2 and neither the file nor `asked` tells.
    """
    given = [bare for cell in cells if (bare := _bare(cell))]
    unsure = [cell for cell in given if _TWO_WAYS.match(cell)]
    decimal = asked or _told(given, unsure, name, delimiter, alone)
    if not unsure:
        return CountFormat(decimal)
    seen = unsure[0]
    mark = _MARKS[decimal]
    value = seen.replace(mark, ".") if mark in seen else re.sub("[.,]", "", seen)
    return CountFormat(decimal, f"A count written {seen!r} is read as {float(value):g}.")


def _told(
    given: Sequence[str], unsure: Sequence[str], name: str, delimiter: str, alone: bool
) -> Decimal:
    """The decimal mark that the cells show."""
    only: dict[Decimal, list[str]] = {
        decimal: [c for c in given if _fits(c, decimal) and not _fits(c, _OTHER[decimal])]
        for decimal in _MARKS
    }
    more: Decimal = "comma" if len(only["comma"]) > len(only["point"]) else "point"
    fewer = only[_OTHER[more]]
    if only[more]:
        if len(fewer) > _FEW * len(given):
            raise TrafficError(
                f"{name}: some counts have decimals after a point and some after a comma "
                f"({only[more][0]!r}, {fewer[0]!r}); write them all the same way"
            )
        return more
    marks = {cell[-4] for cell in unsure}
    if not marks:
        return "point"
    if len(marks) == 1:
        mark: Decimal = "comma" if "," in marks else "point"
        whole = [cell for cell in given if _WHOLE.match(cell)]
        if any(len(cell.lstrip("+")) > 3 for cell in whole):
            return mark  # nobody sets the thousands of some numbers apart, and of others not
        if delimiter == "," and (mark == "comma" or not alone):
            return "point"  # where commas separate columns, decimals stand after a point
        if whole:
            return _OTHER[mark]  # numbers under a thousand have no decimals, so these have none
    raise TrafficError(
        f"{name}: whether the count {unsure[0]!r} means {re.sub('[.,]', '', unsure[0])} or "
        f"{float(unsure[0].replace(',', '.')):g} cannot be told from the file; say whether decimals "
        "stand after a point or a comma (in a terminal with --decimal), or export it without "
        "thousands separators"
    )


def _fits(cell: str, decimal: Decimal) -> bool:
    mark = re.escape(_MARKS[decimal])
    if decimal == "point" and _PLAIN.match(cell):
        return True
    return bool(re.match(rf"^[+-]?\d+({mark}\d*)?$", cell) or re.match(_grouped(decimal), cell))


def _grouped(decimal: Decimal) -> str:
    """A number with thousands set apart, each by the same sign; also as India does, 12,34,000."""
    apart = (_MARKS[_OTHER[decimal]], *_BLANKS)
    ways = "|".join(rf"(?:{re.escape(s)}\d{{2,3}})*{re.escape(s)}\d{{3}}" for s in apart)
    return rf"^[+-]?[1-9]\d{{0,2}}(?:{ways})(?:{re.escape(_MARKS[decimal])}\d*)?$"


def _bare(cell: str) -> str:
    return cell.strip(" \t\"'\u00a0\u202f")
