"""The cost chart of the PDF: one bar for each option, its amounts written beside it."""

from __future__ import annotations

from collections.abc import Callable

from fpdf import FPDF
from fpdf.enums import Align

from advisor.record.blocks import Bars
from advisor.record.pdf_fonts import TEXT

# Apart in lightness as well as in colour, so that a black and white print can be read.
_FILLS = ((11, 95, 204), (168, 200, 240), (71, 85, 105), (203, 213, 225))
_INK = (23, 32, 51)
_ROW, _BAR, _LEGEND = 6.0, 3.8, 6.0  # mm
_NAMES, _AMOUNTS, _GAP = 52.0, 46.0, 2.0  # mm left and right of the bars
_POINTS = 8.0


def height(bars: Bars) -> float:
    """Of the whole chart in mm."""
    return _LEGEND + _ROW * len(bars.rows) + _GAP


def draw(page: FPDF, bars: Bars, written: Callable[[str], str]) -> None:
    """Draw it at the page's place, and move on below it; it must fit on the page.

    `written` gives the text as the page's fonts can draw it.
    """
    page.set_text_color(*_INK)
    _legend(page, bars)
    width = page.epw - _NAMES - _AMOUNTS - 2 * _GAP
    longest = max((sum(row.values) for row in bars.rows), default=0.0) or 1.0
    for number, row in enumerate(bars.rows):
        top = page.get_y()
        page.set_font(TEXT, "B" if number == 0 else "", _POINTS)
        page.cell(_NAMES, _ROW, _fitting(page, written(row.name)), align=Align.L)
        left = page.l_margin + _NAMES + _GAP
        for value, fill in zip(row.values, _FILLS, strict=False):
            long = width * max(value, 0.0) / longest
            page.set_fill_color(*fill)
            page.rect(left, top + (_ROW - _BAR) / 2, long, _BAR, style="F")
            left += long
        page.set_x(page.l_margin + page.epw - _AMOUNTS)
        page.cell(_AMOUNTS, _ROW, written(row.said), align=Align.R)
        page.set_xy(page.l_margin, top + _ROW)
    page.set_fill_color(255, 255, 255)  # a table without a fill of its own would take the last one
    page.ln(_GAP)


def _legend(page: FPDF, bars: Bars) -> None:
    page.set_font(TEXT, "", _POINTS)
    page.set_x(page.l_margin + _NAMES + _GAP)
    for name, fill in zip(bars.parts, _FILLS, strict=False):
        page.set_fill_color(*fill)
        page.rect(page.get_x(), page.get_y() + 1.6, 2.8, 2.8, style="F")
        page.set_x(page.get_x() + 3.6)
        page.cell(page.get_string_width(name) + 5, _LEGEND, name)
    page.ln(_LEGEND)


def _fitting(page: FPDF, name: str) -> str:
    if page.get_string_width(name) <= _NAMES - 2:
        return name
    while name and page.get_string_width(f"{name}…") > _NAMES - 2:
        name = name[:-1]
    return f"{name}…"
