"""A plan, said plainly: what will be made, where, at what cost, and who can reach it."""

from __future__ import annotations

import streamlit as st

from deploy.expiry import left
from deploy.target import Plan
from ui import format as fmt

_PROOF = {
    "real process": "by starting the real thing on this machine",
    "emulator": "against an emulator of the cloud's API, not a real account",
    "schema": "by checking its documents against the provider's schema, not by running it",
    "real account": "in a real account",
}


def show(plan: Plan) -> None:
    grid = st.grid(3, min_column_width=140)
    same = plan.account == plan.region
    grid.metric(
        "Where",
        fmt.escape(plan.account),
        delta=None if same else fmt.escape(plan.region),
        delta_color="off",
        delta_arrow="off",
        help="The account and region that it is made in.",
    )
    grid.metric(
        "Cloud bill a month",
        fmt.escape(fmt.usd(plan.monthly_usd)),
        delta=_up_to(plan),
        delta_color="off",
        delta_arrow="off",
    )
    grid.metric("Takes about", fmt.duration_s(plan.expected_minutes * 60))
    st.markdown("**What is made**")
    st.container(key="resources").table(
        {
            "Action": [fmt.name(r.action) for r in plan.resources],
            "Kind": [fmt.escape(r.kind) for r in plan.resources],
            "Name": [fmt.escape(r.name) for r in plan.resources],
            "Detail": [fmt.escape(r.detail) for r in plan.resources],
        },
        border="horizontal",
        hide_index=True,
        alt="Resources of the plan",
    )
    _sentences("What becomes public", plan.public or ["nothing"])
    if plan.expires_at is not None:
        hour = f"{plan.expires_at:%Y-%m-%d %H:%M} UTC, by itself ({left(plan.expires_at)})"
        _sentences("When it is taken down", [hour])
    _sentences("What is permitted", plan.permissions or ["nothing"])
    if plan.writes_at_plan_time:
        _sentences("Already written while planning", plan.writes_at_plan_time)
    proven = f"last on {plan.proven_on}" if plan.proven_on != "never" else "never yet"
    _sentences("How this way of deploying is proven", [f"{_PROOF[plan.proven_by]}, {proven}"])
    findings(plan)


def findings(plan: Plan) -> None:
    """What was checked beforehand."""
    worries = [finding for finding in plan.findings if not finding.ok]
    for finding in worries:
        fix = f" {finding.fix}" if finding.fix else ""
        st.warning(fmt.escape(f"{finding.message}.{fix}"), icon=":material/warning:")
    fine = [finding for finding in plan.findings if finding.ok]
    if fine:
        with st.expander(f"{len(fine)} checks passed"):
            st.markdown(
                "\n".join(f"- {fmt.escape(f.check)}: {fmt.escape(f.message)}" for f in fine)
            )


def _up_to(plan: Plan) -> str | None:
    high = plan.monthly_usd_high
    if high is None or plan.monthly_usd is None or high <= plan.monthly_usd:
        return None
    return fmt.escape(f"up to {fmt.usd(high)}")


def _sentences(title: str, sentences: list[str]) -> None:
    lines = "\n".join(f"- {fmt.escape(sentence)}" for sentence in sentences)
    st.markdown(f"**{title}**\n{lines}")
