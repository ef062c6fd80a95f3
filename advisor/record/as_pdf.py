"""The record as PDF: A4, page numbers, tables that go on over pages, the JSON record attached."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time

from fpdf import FPDF
from fpdf.enums import Align, TableBordersLayout, TableCellFillMode, WrapMode, XPos, YPos
from fpdf.fonts import FontFace
from fpdf.prefs import ViewerPreferences

from advisor.plain_text import one_line
from advisor.record import pdf_bars
from advisor.record.blocks import Bars, Block, Bullets, Code, Heading, Paragraph, Table
from advisor.record.content import RecordText
from advisor.record.pdf_fonts import MONO, TEXT, Font, fonts, needs_shaping, written

ATTACHMENT = "decision-record.json"
_MARGIN, _LINE = 18.0, 5.2  # mm
_BODY, _SMALL = 10.0, 8.0  # points
_HEADING = {1: (19.0, 8.0, 2.0), 2: (14.0, 6.4, 5.0), 3: (11.0, 5.4, 3.0)}  # size, line, room above
_INK, _QUIET, _RULE, _SHADE = (23, 32, 51), (75, 87, 104), (213, 220, 230), (243, 246, 250)


def render(said: RecordText, found: Iterable[Block], attached_json: str) -> bytes:
    """The PDF's bytes; the same input gives the same bytes.

    Raises InputError when ADVISOR_PDF_FONTS names something that is no font.
    """
    blocks = list(found)
    page = _Paper(said, blocks)
    page.add_page()
    for block in blocks:
        page.block(block)
        if isinstance(block, Heading) and block.level == 1:
            page.state()
    page.embed_file(
        bytes=attached_json.encode(),
        basename=ATTACHMENT,
        desc="The same decision as data: python -m advisor recommend reads it",
        mime_type="application/json",
        modification_date=page.moment,
    )
    return bytes(page.output())


class _Paper(FPDF):
    """A sheet that knows the blocks."""

    def __init__(self, said: RecordText, found: list[Block]) -> None:
        super().__init__(format="A4", unit="mm")
        self.said = said
        self.moment = datetime.combine(said.date, time(), UTC)
        self.held: tuple[Font, ...] = fonts(f"{said.title}{said.deciders}{found}")
        for font in self.held:
            self.add_font(font.family, font.style, font.path, collection_font_number=font.number)
        others = [f.family for f in self.held if f.family not in (TEXT, MONO)]
        self.set_fallback_fonts([TEXT, *others], exact_match=False)
        self.set_margins(_MARGIN, _MARGIN, _MARGIN)
        self.set_auto_page_break(True, margin=_MARGIN + 4)
        self.set_title(one_line(said.title))
        self.set_author(one_line(said.deciders) or "Model Deployment Advisor")
        self.set_subject("Decision record")
        self.set_keywords("decision record, MADR, model deployment")
        self.set_creator("Model Deployment Advisor")
        self.set_lang("en")
        self.viewer_preferences = ViewerPreferences(display_doc_title=True)  # not the file's name
        self.set_creation_date(self.moment)

    def header(self) -> None:
        if self.page_no() > 1:
            self._line_of_page(self.said.title, Align.L)
            self.ln(8)

    def footer(self) -> None:
        self.set_y(-_MARGIN + 4)
        self._line_of_page(f"{self.said.date.isoformat()} · page {self.page_no()}", Align.R)

    def block(self, block: Block) -> None:
        if isinstance(block, Heading):
            self._heading(block)
        elif isinstance(block, Paragraph):
            self._text(block.text)
            self.ln(1.5)
        elif isinstance(block, Bullets):
            self._bullets(block)
        elif isinstance(block, Bars):
            if self.will_page_break(pdf_bars.height(block)):
                self.add_page()
            pdf_bars.draw(self, block, self._drawn)
        elif isinstance(block, Table):
            self._table(block)
        else:
            self._code(block)

    def state(self) -> None:
        """Under the title: what the front matter says in Markdown."""
        deciders = one_line(self.said.deciders) or "to be named"
        self.set_font(TEXT, "", _BODY)
        self.set_text_color(*_QUIET)
        self._write(
            f"Status: {self.said.status} · Date: {self.said.date.isoformat()} · "
            f"Decision-makers: {deciders}"
        )
        self.ln(1)

    def _heading(self, heading: Heading) -> None:
        size, line, above = _HEADING[heading.level]
        self.set_font(TEXT, "B", size)
        self.set_text_color(*_INK)
        if self.will_page_break(above + line + 3 * _LINE):
            self.add_page()  # a heading never stands alone at the foot of a page
        elif heading.level > 1:
            self.ln(above)
        self.start_section(self._drawn(heading.text), level=heading.level - 1)
        self._write(heading.text, line)
        self.ln(1)

    def _text(self, text: str, size: float = _BODY) -> None:
        self.set_font(TEXT, "", size)
        self.set_text_color(*_INK)
        self._write(text)

    def _bullets(self, bullets: Bullets) -> None:
        for item in bullets.items:
            self.set_font(TEXT, "", _BODY)
            self.set_text_color(*_INK)
            if self.will_page_break(_LINE):
                self.add_page()
            self.cell(5, _LINE, "•", align=Align.C)
            self.set_left_margin(_MARGIN + 5)
            self._write(item)
            self.set_left_margin(_MARGIN)
            self.set_x(_MARGIN)
        self.ln(1.5)

    def _table(self, table: Table) -> None:
        self.set_font(TEXT, "", _SMALL)
        self.set_text_color(*_INK)
        self.set_draw_color(*_RULE)
        rows = [table.columns, *table.rows]
        self._shape("".join(cell for row in rows for cell in row))
        with self.table(
            [[self._drawn(cell) for cell in row] for row in rows],
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            cell_fill_color=_SHADE,
            cell_fill_mode=TableCellFillMode.NONE,
            col_widths=table.shares or None,
            headings_style=FontFace(emphasis="BOLD", fill_color=_SHADE),
            line_height=4.2,
            padding=(0.7, 1),
            text_align=tuple(
                "RIGHT" if i in table.right else "LEFT" for i in range(len(table.columns))
            ),
            v_align="TOP",
            wrapmode=WrapMode.WORD,
        ):
            pass
        self.set_text_shaping(False)
        self.ln(2)

    def _code(self, code: Code) -> None:
        self.set_font(MONO, "", _SMALL)
        self.set_text_color(*_INK)
        self.set_fill_color(*_SHADE)
        for line in code.text.rstrip().splitlines():
            drawn = written(line, self.held)
            self._shape(drawn)
            self.multi_cell(
                0, 4.2, drawn or " ", fill=True, align=Align.L, wrapmode=WrapMode.CHAR,
                new_x=XPos.LMARGIN, new_y=YPos.NEXT,
            )  # fmt: skip
        self.set_text_shaping(False)
        self.ln(2)

    def _write(self, text: str, line: float = _LINE) -> None:
        drawn = self._drawn(text)
        self._shape(drawn)
        self.multi_cell(0, line, drawn, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_text_shaping(False)

    def _line_of_page(self, text: str, align: Align) -> None:
        self.set_font(TEXT, "", _SMALL)
        self.set_text_color(*_QUIET)
        drawn = self._drawn(text if len(text) <= 100 else f"{text[:99]}…")
        self._shape(drawn)
        self.cell(0, 4, drawn, align=align)
        self.set_text_shaping(False)

    def _drawn(self, text: str) -> str:
        return written(one_line(text), self.held)

    def _shape(self, text: str) -> None:
        """Work out the order and joining of letters only where a script needs it: it is slow."""
        self.set_text_shaping(needs_shaping(text))
