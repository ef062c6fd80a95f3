"""Options: the comparison table, each fact with its confidence, source and date."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from advisor.catalog.loader import comparison_table, load_options
from advisor.catalog.schema import Option
from advisor.errors import AdvisorError
from ui import format as fmt
from ui import tables

Row = Mapping[Hashable, Any]  # of the comparison table

_ALL = "Everything"
_LONG_S = 120  # from here on seconds are hours or days to a reader
_SIDE_BY_SIDE, _LIST = "Side by side", "With sources"
_SEARCHED = ["name", "label", "shown", "unit", "source", "note"]
_CONFIDENCE = {
    "primary": ("", "read in the provider's own documents"),
    "secondary": (" ◦", "read elsewhere, a measurement or an article"),
    "unconfirmed": (" ?", "widely held, no document names it"),
    "estimate": (" ≈", "our own estimate, with its reason"),
}


def show() -> None:
    st.title("Options", anchor=False)
    try:
        frame = pd.DataFrame(comparison_table())
        options = list(load_options().values())
    except AdvisorError as error:
        st.error(f"The comparison table cannot be read: {fmt.escape(str(error))}")
        return
    st.markdown(
        f"{len(options)} ways to run a model, compared by {frame['fact'].nunique()} facts. Each "
        "fact has a source and the day on which it was checked; the rules that exclude an option "
        "use these facts and nothing else."
    )
    kept = _filtered(options)
    if not kept:
        st.info("No option is both of that kind and in that cloud. Widen the filter.")
        return
    _facts(frame[frame["option"].isin([option.id for option in kept])])
    st.download_button(
        "Download all facts as CSV",
        _csv(frame),
        file_name="options.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    st.header("One option in full", anchor=False)
    chosen = st.selectbox(
        "Option", kept, format_func=lambda option: option.name, key="option_in_full", width=420
    )
    _in_full(chosen, frame[frame["option"] == chosen.id])


@st.cache_data(max_entries=2, show_spinner=False)
def _csv(frame: pd.DataFrame) -> bytes:
    """Under one address as long as it says the same: no run takes it from under a click."""
    return tables.csv(frame.astype(str))


def _facts(frame: pd.DataFrame) -> None:
    """The facts that the filters leave, as a matrix or as a list with sources."""
    groups = [_ALL, *dict.fromkeys(frame["group"])]
    group = st.segmented_control(
        "Facts about", groups, default=groups[1], required=True, key="fact_group"
    )
    left, middle, right = st.columns([2, 3, 2])
    wanted = left.text_input(
        "Find in the facts", placeholder="a word, a number …", type="search", key="fact_words"
    ).strip()
    marks = middle.segmented_control(
        "Confidence",
        list(_CONFIDENCE),
        selection_mode="multi",
        format_func=lambda mark: f"{mark.capitalize()}{_CONFIDENCE[mark][0]}",
        key="fact_confidence",
        wrap=True,
        help="How well a fact is known. Nothing chosen: all.",
    )
    view = right.segmented_control(
        "Show", [_SIDE_BY_SIDE, _LIST], default=_SIDE_BY_SIDE, required=True, key="fact_view"
    )
    rows = frame if group == _ALL else frame[frame["group"] == group]
    if marks:
        rows = rows[rows["confidence"].isin(marks)]
    if wanted:
        rows = rows[tables.holding(rows[_SEARCHED], wanted)]
    if rows.empty:
        st.info("No fact is left by these filters. Widen them.")
    elif view == _LIST:
        _list(rows)
    else:
        _matrix(rows)


def _filtered(options: list[Option]) -> list[Option]:
    kind, cloud = st.columns([1, 2])
    kinds = kind.segmented_control(
        "Kind",
        ["managed", "self-hosted"],
        selection_mode="multi",
        format_func=fmt.name,
        key="kinds",
        help="Nothing chosen: both.",
    )
    clouds = cloud.segmented_control(
        "Where",
        list(dict.fromkeys(o.cloud.value for o in options)),
        selection_mode="multi",
        format_func=fmt.name,
        key="clouds",
        wrap=True,
        help="Nothing chosen: everywhere.",
    )
    return [
        o
        for o in options
        if (not kinds or o.kind in kinds) and (not clouds or o.cloud.value in clouds)
    ]


def _matrix(rows: pd.DataFrame) -> None:
    """Options down, the facts of one group across."""
    cells = rows.assign(cell=[_cell(row) for row in rows.to_dict("records")])
    wide = cells.pivot_table(
        index="name", columns="label", values="cell", aggfunc="first", sort=False
    ).fillna("–")
    wide = wide.loc[list(dict.fromkeys(rows["name"])), list(dict.fromkeys(rows["label"]))]
    wide.index.name = "Option"
    st.dataframe(
        wide.reset_index(),
        hide_index=True,
        height="content",
        row_height=36,
        column_config={"Option": st.column_config.TextColumn(pinned=True, width=220)},
        alt="Options compared; the section below has the same facts as text",
    )
    legend = " · ".join(f"{mark.strip()} {said}" for mark, said in _CONFIDENCE.values() if mark)
    st.markdown(f":gray[Without a mark: {_CONFIDENCE['primary'][1]} · {legend}]")


def _list(rows: pd.DataFrame) -> None:
    """A line for each fact, with its source to open."""
    found = rows.to_dict("records")
    st.dataframe(
        pd.DataFrame(
            {
                "Option": rows["name"],
                "Fact": rows["label"],
                "Value": [_value(row) for row in found],
                "Confidence": rows["confidence"],
                "Open": [fmt.address(row["source"]) for row in found],
                "Source": rows["source"],
                "Checked": rows["checked"],
                "Note": rows["note"],
            }
        ),
        hide_index=True,
        height=520,
        column_config={
            "Option": st.column_config.TextColumn(pinned=True),
            "Open": st.column_config.LinkColumn(display_text="source"),
        },
        alt="Facts with their sources; the section below has the same facts as text",
    )
    st.markdown(f":gray[{len(found):,} facts.]")


def _in_full(option: Option, rows: pd.DataFrame) -> None:
    st.markdown(f"**{fmt.name(option.kind)}** · {fmt.name(option.cloud.value)}")
    st.markdown(fmt.escape(option.summary))
    for column, (title, items) in zip(
        st.columns(2),
        (("Speaks for it", option.strengths), ("Speaks against it", option.weaknesses)),
        strict=True,
    ):
        column.markdown(f"**{title}**\n" + "\n".join(f"- {fmt.escape(item)}" for item in items))
    paid = "\n".join(f"- {fmt.escape(line.pays_for)}" for line in option.pricing)
    st.markdown(f"**What is on the bill**\n{paid}")
    st.table(
        {
            "Fact": [fmt.escape(row["label"]) for row in rows.to_dict("records")],
            "Value": [fmt.escape(_value(row)) for row in rows.to_dict("records")],
            "Note": [fmt.escape(row["note"]) for row in rows.to_dict("records")],
            "Confidence": list(rows["confidence"]),
            "Source": [fmt.linked(row["source"]) for row in rows.to_dict("records")],
        },
        border="horizontal",
        hide_index=True,
        alt=f"All facts about {option.name}",
    )


def _cell(row: Row) -> str:
    return _value(row) + _CONFIDENCE[row["confidence"]][0]


def _value(row: Row) -> str:
    value, unit = row["value"], row["unit"]
    if unit == "s" and isinstance(value, (int, float)) and value >= _LONG_S:
        return fmt.duration_s(value)
    has_unit = unit and isinstance(value, (int, float, dict))
    if not has_unit:
        return str(row["shown"])
    return f"{row['shown']} {fmt.of_one(unit) if value == 1 else unit}"


show()
