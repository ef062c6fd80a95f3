"""The little style that Streamlit's own theme cannot say."""

from __future__ import annotations

import streamlit as st

_BOTH = """
.stMainBlockContainer { max-width: 1440px; }
.st-key-verdict { border-left: 6px solid var(--verdict, #64748b); }
.st-key-verdict h2 { padding-top: .2rem; }
.st-key-answers h2 { font-size: 1.15rem; }
.st-key-verdict-managed .st-key-verdict { --verdict: #0b5fcc; }
.st-key-verdict-self-hosted .st-key-verdict { --verdict: #0f766e; }
.st-key-verdict-none .st-key-verdict { --verdict: #b42318; }
/* The page stands while it looks for what would change the answer: no runner, no Stop. */
[data-testid="stStatusWidget"], .st-key-_heard { display: none; }
[data-testid="stTable"] td { vertical-align: top; }
.st-key-prose { max-width: 56rem; }
/* A wide table stands out of the text's column; where the window is too narrow, it scrolls. */
.st-key-prose table { display: block; overflow-x: auto; }
@media (min-width: 1200px) { .st-key-prose table { display: table; max-width: none; } }
.st-key-prose :is(p, li) code { overflow-wrap: anywhere; white-space: normal; }
/* Streamlit's own greys and hovers stay under 4.5:1 in places. */
[data-testid="stExpander"] summary, [data-testid="stExpander"] summary * { opacity: 1; }
[data-testid="stExpander"] summary p { color: var(--quiet, #4b5768); }
@media (min-width: 641px) {
  [data-testid="stLayoutWrapper"]:has(> .st-key-to-answers) { display: none; }
}
@media (min-width: 1000px) {
  .st-key-answers {
    position: sticky; top: 4.25rem; max-height: calc(100vh - 5rem); overflow-y: auto;
  }
}
@media (max-width: 640px) {
  /* The answer first: on a phone the verdict stands above the questions. */
  .st-key-advice > div > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:first-child,
  .st-key-advice > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:first-child {
    order: 2;
  }
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  /* Paths and names of a plan break where they must, so that all of it can be read. */
  .st-key-resources :is(td, td *) { overflow-wrap: anywhere !important; white-space: normal; }
  .st-key-resources :is(td, th) { padding-left: .25rem; padding-right: .25rem; }
  .st-key-resources td:nth-child(2) { min-width: 4.9rem; }
}
"""

_LIGHT = """
[role="radio"]:hover p { color: #0a4fa8; }
"""

# One primary colour cannot be readable both as a dark background's text and under white text.
_DARK = """
:root { --quiet: #a9b4c4; }
button[kind="tertiary"]:is(:hover, :focus, :active, [aria-expanded="true"]) :is(p, span) {
  color: #8ab8ff;
}
[data-testid="stMultiSelect"] span[title] { color: #0b1220; }
[data-testid="stBaseButton-primary"] :is(p, span) { color: #0b1220; }
.st-key-verdict-managed .st-key-verdict { --verdict: #6aa6ff; }
.st-key-verdict-self-hosted .st-key-verdict { --verdict: #2dd4bf; }
.st-key-verdict-none .st-key-verdict { --verdict: #fda29b; }
"""


def is_dark() -> bool:
    return st.context.theme.type == "dark"


def apply() -> None:
    """Add the style to the page."""
    st.html(f"<style>{_BOTH}{_DARK if is_dark() else _LIGHT}</style>")
