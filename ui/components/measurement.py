"""What measuring a model found, and the way from there into the questionnaire."""

from __future__ import annotations

import streamlit as st

from deploy.measurement import BATCH_WORTH_IT, Measurement
from ui import format as fmt
from ui import state

_MEASURED = "_measured"


def show(found: Measurement) -> None:
    """The figures, and what they mean for the machine that the sizing refers to."""
    time = found.service_time_ms
    columns = st.columns(4)
    columns[0].metric(
        "One request", _ms(found.served_ms), border=True,
        help="Processor time of one request here: HTTP, reading it, the model, writing the answer.",
    )  # fmt: skip
    span = f"{_ms(time.low)} to {_ms(time.high)}"
    columns[1].metric(
        "On an m5 vCPU", _ms(time.expected), span,
        delta_color="off", delta_arrow="off", border=True,
        help="The machine that all sizing refers to. Translated by this machine's speed.",
    )  # fmt: skip
    columns[2].metric(
        "Memory while serving", f"{found.memory_mb:,.0f} MB", border=True,
        help="Resident memory of the whole server, after some requests.",
    )  # fmt: skip
    columns[3].metric(
        "Ready after",
        fmt.duration_s(found.cold_start_s) if found.cold_start_s is not None else "not started",
        border=True,
        help="From starting the server's process until it answers: libraries, model, warm-up.",
    )  # fmt: skip
    st.markdown(
        f"Measured on {fmt.escape(found.machine.cpu)}, {found.machine.cores} cores, with "
        f"{fmt.escape(found.rows_from)}. {_sentence(found.machine.basis)}"
    )
    if found.is_busy:
        st.warning(
            "Other work slowed this machine down. The figures count processor time, so they hold; "
            "start and loading are too long. Measure again when it is quiet.",
            icon=":material/hourglass_top:",
        )
    for note in found.notes:
        st.info(fmt.escape(note), icon=":material/info:")
    if found.accepted is not None:
        st.warning(fmt.escape(found.accepted.sentence), icon=":material/gavel:")
    _tables(found)


def use(found: Measurement) -> bool:
    """A button that answers the questionnaire with what was measured; True when it was pressed."""
    return st.button(
        "Use these figures for the advice", type="primary", icon=":material/arrow_forward:",
        on_click=_take, args=(found,),
    )  # fmt: skip


def note() -> None:
    """Beside the questions of the model: that the answers are measured, while they are."""
    held: Measurement | None = st.session_state.get(_MEASURED)
    if held is None:
        return
    now = state.answers()
    kept = [value == now.get(path) for path, value in held.answers()]
    if not all(kept):
        return
    st.markdown(
        f":green-badge[:material/speed: measured] {fmt.escape(held.file)} on this machine: "
        f"{fmt.escape(held.machine.cpu)}, {held.measured_at:%Y-%m-%d}"
    )


def decision() -> str:
    """The decision to load code of one's own with the measured model, in words; empty if none."""
    held: Measurement | None = st.session_state.get(_MEASURED)
    return held.accepted.sentence if held is not None and held.accepted is not None else ""


def _take(found: Measurement) -> None:
    state.put_changes(found.answers())
    st.session_state[_MEASURED] = found


def _tables(found: Measurement) -> None:
    request = [("One request", found.request), ("The model alone", found.model_call),
               ("Processor time of a request", found.processor)]  # fmt: skip
    st.header("Times of single calls", anchor=False)
    st.dataframe(
        {
            "Timed": [name for name, _ in request],
            "p50 (ms)": [s.p50_ms for _, s in request],
            "p95 (ms)": [s.p95_ms for _, s in request],
            "p99 (ms)": [s.p99_ms for _, s in request],
            "Mean (ms)": [s.mean_ms for _, s in request],
            "Variability (SD ÷ mean)": [s.cv for _, s in request],
            "Calls": [s.calls for _, s in request],
        },
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3g")
            for name in ("p50 (ms)", "p95 (ms)", "p99 (ms)", "Mean (ms)", "Variability (SD ÷ mean)")
        },
    )
    best = found.best_batch
    if best is not None:
        st.header("Rows in batches", anchor=False)
        st.markdown(
            f"{best.rows} rows at once give **{best.gain:.1f} times** the rows a second. "
            + (
                "The server batches requests that wait anyway; nobody waits for a batch to fill."
                if best.gain >= BATCH_WORTH_IT
                else "Batching gains too little, so the server does without."
            )
        )
        st.dataframe(
            {
                "Rows": [b.rows for b in found.batches],
                "One call (ms)": [b.call_ms for b in found.batches],
                "Rows a second": [b.rows_per_s for b in found.batches],
                "Gain": [b.gain for b in found.batches],
            },
            hide_index=True,
            column_config={
                "One call (ms)": st.column_config.NumberColumn(format="%.3g"),
                "Rows a second": st.column_config.NumberColumn(format="%,.0f"),
                "Gain": st.column_config.NumberColumn(format="%.1f ×"),
            },
        )
    if len(found.threads) > 1:
        quick = max(found.threads, key=lambda t: t.gain)
        st.markdown(
            f"With {quick.threads} threads one row takes {_ms(quick.one_row_ms)}, "
            f"{quick.gain:.2f} times as fast as with one."
            if quick.threads > 1
            else f"One thread is the fastest for one row ({_ms(quick.one_row_ms)})."
        )
    st.markdown(f"The image will have about {found.image_mb:,.0f} MB, uncompressed.")


def _ms(value: float) -> str:
    """Three digits: a fast model takes hundredths of a millisecond."""
    return f"{value:,.3g} ms"


def _sentence(text: str) -> str:
    return fmt.escape(f"{text[:1].upper()}{text[1:]}.")
