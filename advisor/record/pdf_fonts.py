"""The letters of the PDF: free fonts (SIL OFL) that come as a package, and what to do without one.

FiraGO has Latin, Greek, Cyrillic, Arabic, Hebrew, Thai, Georgian and Devanagari. What it lacks
(Chinese, Japanese, Korean, emoji) is looked for in the fonts named by ADVISOR_PDF_FONTS, then in those
of the machine, as fontconfig knows them; what the record needs of a font is embedded. A sign that no
font has is written as its name, "[party popper]", a letter as its code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

from advisor.errors import InputError

ENVIRONMENT = "ADVISOR_PDF_FONTS"  # files, parted as PATH is
TEXT, MONO = "text", "mono"
_SHIPPED = {
    (TEXT, ""): "FiraGO_Regular",
    (TEXT, "B"): "FiraGO_Bold",
    (MONO, ""): "CascadiaMono_Regular",
}
_LAYOUT = {"GSUB", "GPOS", "GDEF", "kern"}
_JOINERS = {
    0x200B,
    0x200C,
    0x200D,
    0x2060,
    0xFEFF,
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
}
_TINTS = range(0x1F3FB, 0x1F400)
_ENDINGS = (".ttf", ".otf", ".ttc")
_LOOKUPS = 12  # of the machine's fonts for one record; each takes some hundredths of a second
_LOOKUP_LIMIT_S = 10.0
_CODES_IN_A_ROW = re.compile(r"(U\+[0-9A-F]+)\]\[(?=U\+)")


@dataclass(frozen=True)
class Font:
    family: str
    style: str  # "" or "B"
    path: Path
    letters: frozenset[int]
    number: int = 0  # its place in a collection (.ttc)


def fonts(text: str) -> tuple[Font, ...]:
    """The fonts that a text needs: the shipped ones, then named ones, then those of the machine.

    Raises InputError for a named file that is no font.
    """
    named = [part for part in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if part]
    held = (*_shipped(needs_shaping(text)), *(_own(i, path) for i, path in enumerate(named)))
    missing, needed = {ord(char) for char in text if char.isprintable()}, []
    for font in held:
        if font.family in (TEXT, MONO) or missing & font.letters:
            needed.append(font)
        missing -= font.letters
    return (*needed, *_of_the_machine(missing - {*_JOINERS, *_TINTS}))


def written(text: str, held: tuple[Font, ...]) -> str:
    """The text with what no font can draw written out: "[party popper]", "[U+4E2D U+6587]".

    Marks that only join or tint emoji are left out: there is no emoji to join.
    """
    out = []
    for char in text:
        code = ord(char)
        if any(code in font.letters for font in held):
            out.append(char)
        elif code not in _JOINERS and code not in _TINTS:
            sign = unicodedata.category(char).startswith("S")
            name = unicodedata.name(char, "").lower() if sign else ""
            out.append(f"[{name or f'U+{code:04X}'}]")
    return _CODES_IN_A_ROW.sub(r"\1 ", "".join(out))


def needs_shaping(text: str) -> bool:
    """Whether letters join or run from right to left, so that their order has to be worked out."""
    return any(
        unicodedata.bidirectional(char) in ("R", "AL", "AN") or 0x0900 <= ord(char) < 0x1100
        for char in text
    )


@cache
def _shipped(shaping: bool) -> tuple[Font, ...]:
    folder = _folder()
    made = []
    for (family, style), module in _SHIPPED.items():
        path = folder / f"{module}{'' if shaping else '-plain'}.ttf"
        buffer = BytesIO(import_module(f"pymupdf_fonts.{module}").fontbuffer)
        with TTFont(buffer, recalcTimestamp=False) as font:
            for table in () if shaping else _LAYOUT.intersection(font.keys()):
                del font[table]  # embedding them takes seconds, and nothing would use them
            font.save(path)
            made.append(Font(family, style, path, frozenset(font.getBestCmap())))
    return tuple(made)


@cache
def _folder() -> Path:
    """Lives as long as the process: fonts are read from files."""
    keep = tempfile.TemporaryDirectory(prefix="advisor-fonts-")
    _KEPT.append(keep)
    return Path(keep.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _of_the_machine(missing: set[int]) -> list[Font]:
    """Fonts that are installed here and have some of these letters; none without fontconfig."""
    found: list[Font] = []
    for _ in range(_LOOKUPS):
        if not missing:
            break
        code = min(missing)
        font = _installed(code)
        if font is not None:
            found.append(font)
            missing = missing - font.letters
        missing = missing - {code}
    return found


@cache
def _installed(code: int) -> Font | None:
    """The machine's font for a letter, if one has it and it can be embedded."""
    ask = shutil.which("fc-match")
    if ask is None:
        return None
    try:
        said = subprocess.run(
            [ask, "--format", "%{file}|%{index}", f":charset={code:x}"],
            capture_output=True, text=True, timeout=_LOOKUP_LIMIT_S, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None  # then the letter is written out, which the reader sees
    path, _, index = said.rpartition("|")
    # The lower half of fontconfig's index is the font's place in its file.
    number = int(index) & 0xFFFF if index.isdecimal() else 0
    try:
        letters = _letters(path, number)
    except (OSError, TTLibError, KeyError, AttributeError):
        return None
    # It names the nearest font where none has the letter.
    return Font(f"of {path} {number}", "", Path(path), letters, number) if code in letters else None


@cache
def _own(index: int, path: str) -> Font:
    try:
        letters = _letters(path, 0)
    except (OSError, TTLibError, KeyError, AttributeError) as error:
        raise InputError(f"{ENVIRONMENT} names {path}, which cannot be read: {error}") from None
    if not letters:
        raise InputError(
            f"{ENVIRONMENT} names {path}, which cannot be embedded; name a TrueType font (.ttf, .ttc) "
            "or a CID-keyed OpenType font (.otf)"
        )
    return Font(f"own{index}", "", Path(path), letters)


def _letters(path: str, number: int) -> frozenset[int]:
    """What a font in a file has; nothing where it cannot be embedded. Raises TTLibError, OSError."""
    if Path(path).suffix.lower() not in _ENDINGS:
        return frozenset()
    with TTFont(path, lazy=True, fontNumber=number) as font:
        # The PDF library embeds TrueType outlines, CID-keyed ones and pictures, and no other kind.
        usable = (
            "glyf" in font
            or "CBDT" in font
            or ("CFF " in font and hasattr(font["CFF "].cff.topDictIndex[0], "ROS"))
        )
        return frozenset(font.getBestCmap() or ()) if usable else frozenset()
