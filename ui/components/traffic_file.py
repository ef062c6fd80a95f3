"""Measured traffic: a CSV in, its week shown, and one click that answers the questions on traffic."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

import streamlit as st

from advisor.errors import AdvisorError
from ui import advice, charts, state, theme
from ui import format as fmt
from ui.components.opened import close, opened
from ui.workers import Job

if TYPE_CHECKING:
    from advisor.workload_import.summary import ImportedTraffic

MAX_UPLOAD_MB = 200
_UPLOAD, _ZONE, _GAPS = "traffic_file", "traffic_zone", "traffic_gaps"
_POPOVER = "traffic"
_ORDER, _DECIMAL = "traffic_order", "traffic_decimal"
_READING, _FOUND, _SAID, _PLACE = (
    "_traffic_job",
    "_traffic_found",
    "_traffic_said",
    "_traffic_place",
)
_TURN_S, _LONGEST_WAIT_S = 0.3, 600.0
_GAP_CHOICES = {None: "as usual for the file", "zero": "no traffic", "leave-out": "not measured"}
_ORDERS = {None: "as the file shows", True: "day first", False: "month first"}
_DECIMALS = {None: "as the file shows", "point": "a point: 1,200.5", "comma": "a comma: 1.200,5"}


@dataclass
class _Reading:
    """A file on its way through a worker."""

    job: Job
    folder: tempfile.TemporaryDirectory[str]

    @property
    def percent(self) -> int:
        try:
            return int((Path(self.folder.name) / "percent").read_text(encoding="ascii") or 0)
        except (OSError, ValueError):
            return 0


def show() -> None:
    """The way in, and what the last file said; `finish` waits for a file that is being read."""
    with opened("From measured traffic", ":material/upload_file:", _POPOVER) as is_open:
        if is_open:  # it lies over the page, so what the page says would not be seen
            _outcome()
        # While there is a file its widget stays: Streamlit lets go of the file with it.
        if is_open or st.session_state.get(_UPLOAD) is not None:
            _ask()
    if not is_open:
        _outcome()


def _outcome() -> None:
    """How far the reading is, or what came of it."""
    st.session_state[_PLACE] = st.empty()
    said = st.session_state.get(_SAID)
    if said:
        st.error(
            f"**The file was not taken over; your answers are as they were.** {fmt.escape(said)}",
            icon=":material/error:",
        )
    found = st.session_state.get(_FOUND)
    if found is not None:
        _summary(found)


def _ask() -> None:
    """The file and how to read it."""
    st.markdown(
        "A CSV (plain or gzip) with a **time for each request**, a **time and a count**, or "
        f"**counts hour by hour**; at most {MAX_UPLOAD_MB} MB here, any size with "
        "`python -m advisor workload FILE`."
    )
    _way_of_reading("Time zone of times without an offset", _zones(), _ZONE)
    left, right = st.columns(2)
    with left:
        _way_of_reading("An hour without a row is", _GAP_CHOICES, _GAPS)
        _way_of_reading("Decimals of counts stand after", _DECIMALS, _DECIMAL)
    with right:
        _way_of_reading("Dates have the", _ORDERS, _ORDER)
    st.file_uploader(
        "Measured traffic (CSV)",
        type=["csv", "txt", "tsv", "log", "gz"],
        key=_UPLOAD,
        max_upload_size=MAX_UPLOAD_MB,
        on_change=_begin,
    )


def _way_of_reading(label: str, names: Mapping[Any, str], key: str) -> None:
    """A choice by its names; another one reads the file anew."""
    st.selectbox(
        label, list(names), format_func=names.__getitem__, key=key, on_change=_begin,
        persist_state="session",
    )  # fmt: skip


def finish() -> None:
    """Wait for the file that is being read, with its progress shown; to be called last.

    Each turn of the wait lets the session do something else: the reading goes on meanwhile.
    """
    reading: _Reading | None = st.session_state.get(_READING)
    if reading is None:
        return
    place = st.session_state.pop(_PLACE, None) or st.empty()  # the question may not be on the page
    until = time.monotonic() + _LONGEST_WAIT_S
    while not reading.job.future.done() and time.monotonic() < until:
        place.progress(min(reading.percent, 99) / 100, text="Reading the measured traffic …")
        wait([reading.job.future], timeout=_TURN_S)
    st.session_state[_READING] = None
    if not reading.job.future.done():
        reading.job.stop()
        st.session_state[_SAID] = "it took longer than ten minutes; use the command line for it"
    elif not reading.job.future.cancelled():
        error = reading.job.future.exception()
        if error is None:
            st.session_state[_FOUND] = reading.job.future.result()
        elif isinstance(error, AdvisorError):
            st.session_state[_SAID] = str(error)
        else:
            raise error
    reading.folder.cleanup()
    st.rerun()


def _begin() -> None:
    """Start reading the file that is chosen, with the options as they are."""
    # Only here: it brings 20 MB of scipy that nobody else on the page needs.
    from advisor.workload_import.csv_file import ReadOptions
    from ui import traffic_job

    before: _Reading | None = st.session_state.get(_READING)
    if before is not None:
        before.job.stop()
    for key in (_READING, _FOUND, _SAID):
        st.session_state[key] = None
    upload = st.session_state.get(_UPLOAD)
    if upload is None:
        return
    folder = tempfile.TemporaryDirectory(prefix="advisor-traffic-")
    path = Path(folder.name) / "traffic"
    path.write_bytes(upload.getbuffer())
    options = ReadOptions(
        timezone=st.session_state.get(_ZONE) or "UTC",
        gaps=st.session_state.get(_GAPS),
        day_first=st.session_state.get(_ORDER),
        decimal=st.session_state.get(_DECIMAL),
    )
    try:
        job = advice.WORKERS.submit(
            traffic_job.read, str(path), upload.name, options, str(path.with_name("percent"))
        )
    except AdvisorError as error:
        folder.cleanup()
        st.session_state[_SAID] = str(error)
        return
    st.session_state[_READING] = _Reading(job, folder)


def _summary(found: ImportedTraffic) -> None:
    from advisor.workload_import.text import facts

    with st.container(border=True, key="measured-traffic"):
        st.markdown(f"**Measured by {fmt.escape(found.source)}**")
        st.markdown("\n".join(f"- {fmt.escape(a)}: {fmt.escape(b)}" for a, b in facts(found)))
        said = charts.measured_said(found.pattern)
        st.markdown(f"**Requests an hour over the week (UTC).** {said}")
        st.plotly_chart(
            charts.measured(found.pattern, dark=theme.is_dark()),
            config={"displayModeBar": False},
            key="measured week",
            alt=said,
        )
        with st.expander("What was assumed", type="compact"):
            st.markdown("\n".join(f"- {fmt.escape(note)}" for note in found.notes))
        with st.container(horizontal=True):
            st.button(
                "Use this traffic",
                key="use_traffic",
                type="primary",
                icon=":material/check:",
                on_click=_use,
                args=(found,),
            )
            st.button("Leave it", key="leave_traffic", on_click=_forget)


def _use(found: ImportedTraffic) -> None:
    state.put_changes((f"traffic.{name}", value) for name, value in found.answers().items())
    _forget()
    close(_POPOVER)


def _forget() -> None:
    st.session_state[_FOUND] = None


@cache
def _zones() -> dict[str, str]:
    # Once: the time zone files of the machine are looked through for it.
    names = ["UTC", *sorted(zone for zone in available_timezones() if "/" in zone)]
    return dict(zip(names, names, strict=True))
