"""Refresh the prices from the page: choose, start, follow, cancel, and see why it failed."""

from __future__ import annotations

import streamlit as st

from advisor.errors import AdvisorError
from advisor.prices import PriceBook, PriceStatus
from ui import format as fmt
from ui import guard
from ui.price_refresh import REFRESHER, Progress

_PROVIDERS = ("aws", "azure", "gcp")
_WAYS = {"bulk": "public files", "api": "query API, with this machine's credentials"}


def show(book: PriceBook, status: PriceStatus) -> None:
    """The control, or why it is not there."""
    st.markdown(
        "A refresh reads the provider's own price list, checks it as a whole (US dollars only, no "
        "price moves more than threefold unannounced, no region is lost), and only then puts it in "
        "the place of the prices in use. Providers that are not refreshed keep theirs."
    )
    refused = guard.refusal()
    if refused:
        st.info(fmt.escape(refused.replace("Deploying", "Refreshing prices", 1)))
        _by_terminal()
        return
    progress = REFRESHER.progress()
    if progress and progress.is_active:
        _live()
        return
    if progress:
        _ended(progress, status)
    _choose(book, progress)
    _by_terminal()


@st.fragment(run_every=1.0)
def _live() -> None:
    progress = REFRESHER.progress()
    if progress is None or not progress.is_active:
        st.rerun(scope="app")
        return
    share = progress.done / progress.total if progress.total else 0.0
    st.progress(
        share,
        text=f"Refreshing {fmt.name(progress.provider)}: {fmt.escape(progress.what)}"
        + (f" ({progress.done} of {progress.total})" if progress.total else ""),
    )
    st.button("Cancel", key="cancel_refresh", on_click=REFRESHER.cancel)


def _ended(progress: Progress, status: PriceStatus) -> None:
    cloud = fmt.name(progress.provider)
    if progress.failed:
        newest = next(
            (p.newest for p in status.providers if p.cloud == progress.provider), status.as_of
        )
        if progress.cancelled:
            st.info(
                f"{cloud}: the refresh was cancelled; the prices from the snapshot of {newest} stay.",
                icon=":material/cancel:",
            )
            return
        st.error(
            f"{cloud}: prices from the snapshot of {newest}: refresh failed because "
            f"{fmt.escape(_here(progress.failed))}",
            icon=":material/sync_problem:",
        )
        return
    st.success(
        f"{cloud} refreshed: {progress.machines:,} machine prices and {progress.rates:,} rates; "
        f"{_kept(progress.kept)}.",
        icon=":material/check:",
    )
    if progress.notes:
        with st.expander(f"Notes: {len(progress.notes):,}"):
            st.markdown("\n".join(f"- {fmt.escape(note)}" for note in progress.notes[:200]))


def _kept(count: int) -> str:
    if count == 1:
        return "1 rate that the lists do not hold stays as it was"
    return f"{count:,} rates that the lists do not hold stay as they were"


def _here(said: str) -> str:
    """What the terminal's command says, where its option is a box on this page."""
    return said.replace("then repeat with --accept-jumps", "then tick the box below")


def _choose(book: PriceBook, last: Progress | None) -> None:
    provider = st.segmented_control(
        "Provider",
        _PROVIDERS,
        default=last.provider if last else "aws",
        required=True,
        format_func=fmt.name,
        key="refresh_provider",
    )
    regions = st.multiselect(
        "Regions",
        book.regions(provider),
        default=[book.default_region(provider)],
        key=f"refresh_regions_{provider}",
        help="Nothing chosen: all of them. The lists of AWS have hundreds of MB a region.",
        width=560,
    )
    via = "bulk"
    if provider == "aws":
        via = st.segmented_control(
            "Read from",
            list(_WAYS),
            default="bulk",
            required=True,
            format_func=_WAYS.__getitem__,
            key="refresh_via",
        )
    was_refused = bool(last and "accept-jumps" in last.failed and last.provider == provider)
    accept = was_refused and st.checkbox(
        "I have looked these prices up: take them as they are", key="refresh_accept"
    )
    if st.button("Refresh prices", type="primary", icon=":material/sync:", key="refresh_prices"):
        try:
            guard.require()
            REFRESHER.start(provider, regions, via, accept=accept)
        except AdvisorError as error:
            st.error(fmt.escape(str(error)))
            return
        st.rerun()


def _by_terminal() -> None:
    with st.expander("The same from a terminal"):
        st.code(
            "python -m advisor prices refresh --provider aws --region us-east-1\n"
            "python -m advisor prices refresh --provider azure\n"
            "python -m advisor prices refresh --provider gcp",
            language=None,
        )
