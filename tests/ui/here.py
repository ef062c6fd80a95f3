"""The workers' place taken by this process: what is asked for is there at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ui.workers import Job, Workers


class Here(Workers):
    """Runs each job at once, where it was asked for; no process is started."""

    def submit(self, job: Callable[..., Any], *args: Any) -> Job:
        done = Job(Path("no-such-folder/wanted"))
        try:
            # The interpreter's own file is there as long as anything runs: always wanted.
            done.future.set_result(job(*args, sys.executable))
        except Exception as error:  # noqa: BLE001 - what a job raises is its future's
            done.future.set_exception(error)
        return done
