"""The decision record in MADR's form (adr.github.io/madr), complete enough to be committed as is.

One content, three formats: `markdown`, `pdf`, `as_json`. Each format escapes every text itself.
"""

from __future__ import annotations

from typing import Unpack

from advisor.recommendation import Recommendation
from advisor.record import as_markdown, blocks
from advisor.record.as_json import DecisionRecord as DecisionRecord
from advisor.record.as_json import make, render
from advisor.record.as_json import schema as schema
from advisor.record.as_markdown import escape as escape
from advisor.record.content import Labels as Labels
from advisor.record.content import RecordText as RecordText
from advisor.record.content import compose as compose
from advisor.record.words import answer_value as answer_value
from advisor.record.words import as_clause as as_clause
from advisor.record.words import expected_response as expected_response
from advisor.record.words import money_range as money_range
from advisor.record.words import quantity as quantity
from advisor.record.words import size_of as size_of
from advisor.record.words import unit_price as unit_price
from advisor.record.words import usd as usd
from advisor.requirements import Requirements


def markdown(need: Requirements, answer: Recommendation, **labels: Unpack[Labels]) -> str:
    """The record as Markdown (CommonMark with tables)."""
    said = compose(need, answer, **labels)
    return as_markdown.render(said, blocks.blocks(need, answer, said))


def pdf(need: Requirements, answer: Recommendation, **labels: Unpack[Labels]) -> bytes:
    """The record as PDF, with the JSON record attached. The same input gives the same bytes.

    Raises InputError when ADVISOR_PDF_FONTS names something that cannot be embedded.
    """
    from advisor.record import as_pdf  # its font tools take half a second to import

    said = compose(need, answer, **labels)
    attached = render(make(need, answer, said))
    return as_pdf.render(said, blocks.blocks(need, answer, said), attached)


def document(
    need: Requirements, answer: Recommendation, **labels: Unpack[Labels]
) -> DecisionRecord:
    """The record as data."""
    return make(need, answer, compose(need, answer, **labels))


def as_json(need: Requirements, answer: Recommendation, **labels: Unpack[Labels]) -> str:
    """The record as JSON text; `python -m advisor schema record` prints its schema."""
    return render(document(need, answer, **labels))
