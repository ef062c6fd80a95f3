"""A load test of a running deployment: started, followed, stopped, and what it found."""

from __future__ import annotations

import streamlit as st

from advisor.errors import AdvisorError
from deploy.loadtest.found import LoadTest
from deploy.loadtest.run import check, known_test, load_test
from deploy.loadtest.settings import settings
from deploy.run_models import Deployment
from ui import charts, guard, theme
from ui import format as fmt
from ui.background import Background
from ui.components.opened import unfolded

tests: Background[LoadTest] = Background("load tests")
_MOST_SECONDS = 60


def show(deployment: Deployment) -> None:
    """The load test of this deployment, opened by a click."""
    with unfolded("Load test: is it as fast as predicted?", f"load {deployment.name}") as is_open:
        if is_open:
            _body(deployment)


def _body(deployment: Deployment) -> None:
    name = deployment.name
    st.markdown(
        "Requests as independent callers send them, at growing rates; each counts from when it was "
        "meant to be sent. Measured response times are held against the sizing's prediction."
    )
    now = tests.of(name)
    under_way = now is not None and not now.is_over
    defaults = settings().defaults
    with st.form(f"load test {name}", border=False):
        left, right = st.columns(2)
        use = left.text_input(
            "Use, in % of what it can take", key=f"load use {name}",
            value=", ".join(f"{u:.0%}".rstrip("%") for u in defaults.utilisation),
            help="One rate each. Above 85 % no single figure is predicted.",
        )  # fmt: skip
        seconds = right.number_input(
            "Seconds at each", 2, _MOST_SECONDS, int(defaults.seconds), key=f"load seconds {name}"
        )
        asked = st.form_submit_button(
            "Load it", icon=":material/speed:", disabled=under_way or guard.refusal() is not None
        )
    if asked:
        _start(name, use, float(seconds))
        now = tests.of(name)
    if now is not None and not now.is_over:
        _live(name)
        return
    if now is not None and now.error:
        st.error(fmt.escape(now.error), icon=":material/error:")
    found = now.found if now is not None and now.found is not None else _kept(name)
    if found is not None:
        _result(found)


def _start(name: str, use: str, seconds: float) -> None:
    try:
        guard.require()
        shares = _shares(use)
        check(None, shares, seconds)
        tests.start(
            name,
            lambda tell, cancelled: load_test(
                name, utilisation=shares, seconds=seconds, progress=tell, cancelled=cancelled
            ),
        )
    except AdvisorError as error:
        st.error(fmt.escape(str(error)), icon=":material/error:")


def _shares(text: str) -> list[float]:
    """ "30, 50" as shares; what is no number becomes one that is refused with its words."""
    from advisor.errors import InputError

    try:
        found = [float(part) / 100 for part in text.replace("%", "").split(",") if part.strip()]
    except ValueError:
        found = []
    if not found:
        raise InputError(f"the use is {text[:60]!r}; give percentages with commas, like 30, 50, 70")
    return found


@st.fragment(run_every=0.5)
def _live(name: str) -> None:
    now = tests.of(name)
    if now is None or now.is_over:
        st.rerun(scope="app")
    st.progress(min(now.share, 1.0), text=f"{now.what} …")
    st.button(
        "Stop", icon=":material/stop:", key=f"stop load {name}", on_click=tests.stop, args=(name,),
        disabled=now.stopped,
    )  # fmt: skip


def _kept(name: str) -> LoadTest | None:
    try:
        return known_test(name)
    except AdvisorError as error:
        st.warning(fmt.escape(str(error)), icon=":material/warning:")
        return None


def _result(found: LoadTest) -> None:
    verdict = found.verdict
    box = {True: st.success, False: st.error, None: st.info}[verdict.held]
    box(fmt.escape(verdict.sentence))
    c = found.calibration
    many = "one worker" if c.workers == 1 else f"{c.workers} workers"
    st.markdown(
        f"Tested {fmt.ago(found.tested_at)}, {found.seconds:g} s at each rate. One request holds a "
        f"worker {fmt.milliseconds(c.service_ms)} and takes {fmt.milliseconds(c.overhead_ms)} "
        f"besides; {many} ({fmt.escape(c.workers_from)})."
    )
    st.plotly_chart(
        charts.load_test(found, dark=theme.is_dark()), config={"displayModeBar": False},
        key=f"chart load {found.endpoint}", alt=charts.load_test_said(found),
    )  # fmt: skip
    st.dataframe(charts.load_test_table(found), hide_index=True)
    for note in found.notes:
        st.info(fmt.escape(note), icon=":material/info:")
