"""How charts look: colours for light and dark, dashes and markers beside them, margins.

The palettes are those of `.streamlit/config.toml`; neighbours differ in lightness too, so they are
told apart without seeing hues, and lines carry a dash and a marker of their own besides.
"""

from __future__ import annotations

from typing import Any

PALETTE_LIGHT = (
    "#0b5fcc", "#c2410c", "#0f766e", "#7c3aed", "#be185d",
    "#a16207", "#155e75", "#4d7c0f", "#9f1239", "#475569",
)  # fmt: skip
PALETTE_DARK = (
    "#60a5fa", "#fb923c", "#2dd4bf", "#c4b5fd", "#f472b6",
    "#facc15", "#67e8f9", "#a3e635", "#fda4af", "#cbd5e1",
)  # fmt: skip
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "pentagon")
# Readable on both themes: what marks a place, not a thing.
QUIET = "#7b8798"
LEGEND: dict[str, Any] = {
    "orientation": "h", "yref": "container", "y": 0, "x": 0, "traceorder": "normal",
}  # fmt: skip
MARGIN = {"l": 0, "r": 8, "t": 8, "b": 0}


def palette(dark: bool) -> tuple[str, ...]:
    return PALETTE_DARK if dark else PALETTE_LIGHT


def line(index: int, dark: bool, *, width: float = 2) -> dict[str, Any]:
    """Colour and dash of the n-th line of a chart."""
    colours = palette(dark)
    return {
        "color": colours[index % len(colours)],
        "dash": DASHES[index % len(DASHES)],
        "width": width,
    }


def marker(index: int, dark: bool, size: int = 7) -> dict[str, Any]:
    """Colour and shape of the n-th line's points."""
    colours = palette(dark)
    return {
        "color": colours[index % len(colours)],
        "symbol": MARKERS[index % len(MARKERS)],
        "size": size,
    }
