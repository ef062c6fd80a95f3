"""What the first visitor would wait for, done while the server starts. Knows no Streamlit page."""

from __future__ import annotations

import gc
import logging
import pkgutil
import threading
from importlib import import_module

from advisor.errors import AdvisorError
from ui import advice, answers, catalog, components

_LOG = logging.getLogger(__name__)


def start() -> threading.Thread:
    """Warm up beside the start of the server, on a thread of its own."""
    thread = threading.Thread(target=up, name="warming up", daemon=True)
    thread.start()
    return thread


def up() -> None:
    """Load the page's modules, the price book and the table, and answer the first example.

    What stands then stays for good: it is taken out of the collector's sight, so that no answer
    waits for a look through all of it.
    """
    for module in pkgutil.iter_modules(components.__path__):
        import_module(f"{components.__name__}.{module.name}")
    catalog.choices()
    catalog.names()
    answers.preset_links()
    try:
        advice.verdict(answers.to_requirements(answers.starting_answers()))
    except AdvisorError as error:
        _LOG.warning("The first example could not be advised on: %s", error)  # the page says it too
    gc.collect()
    gc.freeze()
