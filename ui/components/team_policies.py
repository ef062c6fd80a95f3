"""Team policies: those that the server has in force, and a session's own with their effect."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from advisor.errors import AdvisorError
from advisor.recommendation import Recommendation
from advisor.rules import Policy, PolicyText, load_rules
from ui import format as fmt
from ui import state

MAX_UPLOAD_MB = 1
_PLACE, _UPLOAD, _TEXT = "policies", "policy_file", "policy_text"
_SAID = "_policy_said"
_EXAMPLE = """name: House rules
rules:
  - id: no-virtual-machines
    kind: forbid
    options: [ec2, ecs-ec2]
    because: we run no virtual machines of our own
  - id: small-bills
    kind: cap
    figure: plan.monthly_usd
    at_most: 2000
"""


def show() -> None:
    """What is in force, and the way to put a policy in force for this session alone."""
    held = state.policies()
    title = f"Team policies · {len(held)} of your own" if held else "Team policies"
    place = st.expander(
        title, type="compact", icon=":material/policy:", key=_PLACE, on_change="rerun"
    )
    # What is half written or was chosen stays: Streamlit lets go of it with its widget.
    begun = (st.session_state.get(name) for name in (_TEXT, _UPLOAD, _SAID))
    if not (place.open or any(begun)):
        return
    with place:
        _in_force()
        for policy in held:
            _own(policy)
        st.markdown(
            "A policy forbids, requires, caps or prefers, on top of the built-in rules. What you "
            "put in force here holds for this session alone."
        )
        st.file_uploader(
            "A policy file (YAML)",
            type=["yaml", "yml"],
            key=_UPLOAD,
            max_upload_size=MAX_UPLOAD_MB,
            on_change=_take_file,
        )
        st.text_area("Or write one", key=_TEXT, placeholder=_EXAMPLE, height=220)
        st.button("Put in force", key="policy_put", on_click=_take_text)
        said = st.session_state.get(_SAID)
        if said:
            st.error(
                f"**The policy was not put in force.** {fmt.escape(said)}", icon=":material/error:"
            )


def effect(answer: Recommendation) -> None:
    """What each policy in force does to this answer, in one line each."""
    for name in dict.fromkeys(answer.policy_names):
        st.markdown(f":material/policy: **{fmt.escape(name)}** {fmt.escape(said_of(name, answer))}")
    for warning in answer.ranking[0].warnings if answer.ranking else ():
        if warning.policy:  # the team's own word about the winner is not left among the details
            st.markdown(f":orange[:material/warning: {fmt.escape(warning.because)}]")


def said_of(name: str, answer: Recommendation) -> str:
    """ "rules out 4 options, prefers 1": what the policy does to the answer."""
    out = {e.option for e in answer.excluded if e.policy == name}
    liked = {r.option for r in answer.ranking if any(x.policy == name for x in r.reasons)}
    warned = {r.option for r in answer.ranking if any(x.policy == name for x in r.warnings)}
    parts = [
        f"{verb} {len(options)} option{'s' if len(options) != 1 else ''}"
        for verb, options in (("rules out", out), ("weighs on", liked), ("warns of", warned))
        if options
    ]
    return ", ".join(parts) if parts else "changes nothing for these answers"


def _in_force() -> None:
    """The policies that the server has in force for everybody."""
    try:
        names = load_rules().policies
    except AdvisorError as error:
        st.error(f"The server's policy cannot be used: {fmt.escape(str(error))}")
        return
    if names:
        st.markdown(
            "In force for everybody, set by whoever runs this server: "
            + ", ".join(f"**{fmt.escape(name)}**" for name in names)
        )


def _own(policy: Policy) -> None:
    if not isinstance(policy, PolicyText):
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.markdown(f"Yours: **{fmt.escape(_name_of(policy))}** ({fmt.escape(policy.name)})")
    row.button(
        "Take out of force",
        icon=":material/delete:",
        key=f"drop policy {policy.name}",
        on_click=_drop,
        args=(policy,),
    )


def _name_of(policy: PolicyText) -> str:
    rules = load_rules((policy,))
    return rules.policies[-1]


def _take_file() -> None:
    upload = st.session_state.get(_UPLOAD)
    st.session_state[_SAID] = None
    if upload is None:
        return
    try:
        text = upload.getvalue().decode("utf-8-sig")
    except UnicodeDecodeError:
        st.session_state[_SAID] = f"{upload.name} is not UTF-8 text; save it as YAML"
        return
    _put(PolicyText(upload.name, text))


def _take_text() -> None:
    st.session_state[_SAID] = None
    text = st.session_state.get(_TEXT) or ""
    if _put(PolicyText("as written here", text)):
        st.session_state[_TEXT] = ""


def _put(policy: PolicyText) -> bool:
    """Put it in force in place of one of the same name; only if all of them hold together."""
    others: Sequence[Policy] = [
        p for p in state.policies() if not (isinstance(p, PolicyText) and p.name == policy.name)
    ]
    new = (*others, policy)
    try:
        load_rules(new)
    except AdvisorError as error:
        st.session_state[_SAID] = str(error)
        return False
    _hold(new)
    return True


def _drop(policy: PolicyText) -> None:
    _hold(tuple(p for p in state.policies() if p != policy))


def _hold(policies: tuple[Policy, ...]) -> None:
    st.session_state[state.POLICIES] = policies
    st.session_state[_PLACE] = True  # its title counts them, and another title would close it
