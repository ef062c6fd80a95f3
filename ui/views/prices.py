"""Prices: how old they are, where they come from, and what they cover."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from advisor.errors import AdvisorError
from advisor.prices import PriceStatus, load_book, shelf
from advisor.prices.status import dated
from ui import format as fmt
from ui import tables, typed
from ui.components import price_age, renew_prices

_SHOWN = 300
_FILTER = "rates_filter"


def show() -> None:
    st.title("Prices", anchor=False)
    try:
        book = load_book()
        status = book.status(datetime.now(UTC).date())
    except AdvisorError as error:
        st.error(f"The price book cannot be read: {fmt.escape(str(error))}")
        return
    st.markdown(
        "Everything is computed from a price book on this machine, so the advice needs no network "
        "and no account. Each price carries its source and its date; a price that is not known is "
        "said to be unknown, never counted as zero."
    )
    _summary(status)
    price_age.warning(status.as_of)
    passed_over = shelf.passed_over()
    if passed_over:
        st.warning(fmt.escape(passed_over), icon=":material/sync_problem:")
    st.header("Where they come from", anchor=False)
    st.table(_providers(status), border="horizontal", hide_index=True, alt="Prices by provider")
    st.header("Coverage by service", anchor=False)
    st.table(_coverage(status), border="horizontal", hide_index=True, alt="Coverage by service")
    st.header("Unit prices and their sources", anchor=False)
    _rates(book.edition)
    st.header("Renew them", anchor=False)
    renew_prices.show(book, status)


def _summary(status: PriceStatus) -> None:
    grid = st.grid(4, min_column_width=150)
    grid.metric("Newest price of", status.as_of)
    grid.metric(
        "Age",
        f"{status.age_days} days",
        help=f"A warning is shown past {status.stale_after_days} days.",
    )
    grid.metric("Prices held", fmt.count(sum(s.rows for s in status.services)))
    grid.metric(
        "Services with stale prices",
        sum(s.stale for s in status.services),
        help="At least one price older than the limit, or without a date.",
    )


def _providers(status: PriceStatus) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Cloud": fmt.name(p.cloud),
                "Prices": f"{p.rows:,}",
                "Newest": p.newest or "–",
                "Refreshed": p.refreshed or "never",
                "Age": _age(p.stale_rows, 0),
                "Mostly from": fmt.escape(p.source),
            }
            for p in status.providers
        ]
    )


def _coverage(status: PriceStatus) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Cloud": fmt.name(s.cloud),
                "Service": fmt.escape(s.service),
                "Regions": s.regions,
                "Prices": f"{s.rows:,}",
                "Oldest": s.oldest or "–",
                "Newest": s.newest or "–",
                "Age": _age(s.stale_rows, s.undated_rows),
            }
            for s in status.services
        ]
    )


def _age(stale: int, undated: int) -> str:
    if undated:
        return f":orange[{undated:,} without a date]"
    return f":orange[{stale:,} stale]" if stale else "in date"


def _rates(edition: str) -> None:
    _found(edition)
    wanted = typed.newest(_FILTER)
    st.download_button(
        "Download as CSV",
        lambda: tables.csv(_matching(_all_rates(edition), wanted())),
        file_name="unit-prices.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


@st.fragment
def _found(edition: str) -> None:
    """The prices that the filter leaves; the button to download them stands as it is meanwhile."""
    every = _all_rates(edition)
    wanted = st.text_input(
        "Filter", placeholder="a service, a region …", type="search", width=420, key=_FILTER
    )
    typed.keep(_FILTER)
    frame = _matching(every, wanted)
    if frame.empty:
        st.info(f"No unit price matches {fmt.escape(wanted)}.")
        return
    st.dataframe(
        frame.head(_SHOWN), hide_index=True, height=360, alt="Unit prices with source and date"
    )
    if len(frame) > _SHOWN:
        st.markdown(f":gray[The first {_SHOWN} of {len(frame):,}; the download has all.]")


def _matching(frame: pd.DataFrame, wanted: str) -> pd.DataFrame:
    return frame[tables.holding(frame, wanted.strip())] if wanted.strip() else frame


@st.cache_data(max_entries=2, show_spinner="Reading the price book")
def _all_rates(edition: str) -> pd.DataFrame:
    book = load_book()
    return pd.DataFrame(
        [
            {
                "Priced": rate.sku,
                "Region": "everywhere" if rate.region == "*" else rate.region,
                "Unit": rate.unit,
                "Unit price": "; ".join(fmt.unit_price(tier.unit_price_usd) for tier in rate.tiers),
                "As of": dated(rate.as_of),
                "Source": rate.source,
            }
            for rate in book.rates
        ]
    )


show()
