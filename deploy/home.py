"""Where this machine keeps deployments, runs and bundles."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """$ADVISOR_HOME, else ~/.local/share/model-deployment-advisor; made if it is not there."""
    given = os.environ.get("ADVISOR_HOME")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    path = Path(given) if given else Path(base) / "model-deployment-advisor"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
