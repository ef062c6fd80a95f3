"""Would you commit for a year or three, or run on spot machines? Each answer with its bill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from advisor.catalog.loader import option as load_option
from advisor.prices import PriceBook, load_book
from advisor.recommend import recommend
from advisor.recommendation import CostLine, PurchaseChoice, Ranked
from advisor.requirements import Requirements
from advisor.rules import Policy
from advisor.sizing.purchase import LABELS, ON_DEMAND, TERMS
from advisor.sizing.sized import Term

TERM_MONTHS: Final = {"1y": 12, "3y": 36}
SHORT_BY_USD: Final = 0.005  # less than a cent a month is no saving
NOTE_RULE: Final = "purchase-not-as-asked"


def purchase_choices(
    need: Requirements,
    option: str | None = None,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
) -> tuple[PurchaseChoice, ...]:
    """The bill of one option (of the winner, unless named) bought in each way that there is.

    All other answers stay. A way that the option does not have, or that would not lower the bill,
    is there with the reason and without a bill of its own. Empty when the option does not fit, or
    when there is nothing to choose: nodes of your own.
    Raises InputError for an unknown option.
    """
    book = book or load_book()
    if option is not None:
        load_option(option)
    name = option or recommend(need, policies=policies, book=book, doubt=False).winner
    if name is None or not load_option(name).purchase:
        return ()
    plain = _bought(need, name, ON_DEMAND, policies, book)
    if plain is None:
        return ()
    return tuple(_choice(term, plain, _bought(need, name, term, policies, book)) for term in TERMS)


def break_even_months(committed_usd: float, other_usd: float, plain_usd: float, term: int) -> float:
    """Months of use from which a commitment of `term` months has cost less than buying on demand.

    The committed part is owed for the whole term, what is bought beside it only while in use:
    committed x term + other x m = plain x m, so m = committed x term / (plain - other). Monthly
    figures in USD; `plain` above `committed + other`.
    """
    return committed_usd * term / (plain_usd - other_usd)


def _bought(
    need: Requirements, option: str, term: Term, policies: Sequence[Policy], book: PriceBook
) -> Ranked | None:
    place = need.placement.model_copy(
        update={
            "commitment": type(need.placement.commitment)(term if term in LABELS else "none"),
            "spot": term == "spot",
        }
    )
    asked = need.model_copy(update={"placement": place})
    return recommend(asked, policies=policies, options=[option], book=book, doubt=False).option(
        option
    )


def _choice(term: Term, plain: Ranked, with_it: Ranked | None) -> PurchaseChoice:
    plain_usd = plain.monthly_usd.expected
    if term == ON_DEMAND:
        return PurchaseChoice(
            choice=term, purchase=plain.purchase, monthly_usd=plain_usd,
            at_least=plain.at_least, saving_percent=0.0,
        )  # fmt: skip
    if with_it is None or not _is_bought(with_it, term):
        notes = [w.because for w in with_it.warnings if w.rule == NOTE_RULE] if with_it else []
        return PurchaseChoice(
            choice=term, purchase=None, monthly_usd=None, at_least=plain.at_least,
            because=notes[0].rpartition(": priced ")[0]
            if notes
            else f"{plain.name} cannot be bought this way",
        )  # fmt: skip
    usd = with_it.monthly_usd.expected
    months = None
    if term in TERM_MONTHS and plain_usd - usd > SHORT_BY_USD:
        committed = sum(line.usd for line in with_it.lines if _is_committed(line, with_it))
        months = break_even_months(committed, usd - committed, plain_usd, TERM_MONTHS[term])
    return PurchaseChoice(
        choice=term,
        purchase=with_it.purchase,
        monthly_usd=usd,
        at_least=with_it.at_least,
        saving_percent=(1 - usd / plain_usd) * 100 if plain_usd else 0.0,
        break_even_months=months,
    )


def _is_bought(ranked: Ranked, term: Term) -> bool:
    """Bought as asked; a year stands in for three where no rate for three is known."""
    return ranked.purchase != ON_DEMAND and (
        term not in LABELS or ranked.purchase.startswith(LABELS[term])
    )


def _is_committed(line: CostLine, ranked: Ranked) -> bool:
    return line.name.endswith(f", {ranked.purchase}")
