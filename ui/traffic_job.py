"""Reading measured traffic in a worker process, so that a large file holds nobody else's session.

Imported by a worker, so nothing of it may know Streamlit.
"""

from __future__ import annotations

from pathlib import Path

from advisor.errors import TrafficError
from advisor.workload_import.csv_file import ReadOptions, read_csv
from advisor.workload_import.summary import ImportedTraffic
from ui.workers import is_unwanted


def read(path: str, name: str, options: ReadOptions, said: str, wanted: str) -> ImportedTraffic:
    """The traffic in the file; how far it is stands in the file `said`, in percent.

    Raises TrafficError, also when nobody wants it any more.
    """
    unwanted = is_unwanted(wanted)
    told = -1

    def progress(read: int, size: int) -> None:
        nonlocal told
        if unwanted():
            raise TrafficError(f"reading {name} was given up; choose the file again")
        percent = 100 * read // max(size, 1)
        if percent > told:
            told = percent
            Path(said).write_text(str(percent), encoding="ascii")

    return read_csv(path, options, name=name, progress=progress)
