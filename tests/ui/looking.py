"""Opening what the page draws only while somebody looks at it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def look_into(app: AppTest, place: str) -> AppTest:
    """Open a popover or an expander: what is in it is drawn only then."""
    app.session_state[place] = True
    return app.run()
