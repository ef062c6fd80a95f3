"""python -m benchmarks.workload_import: rows a second of the workload import, and its memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS = 1_000_000
START = np.datetime64("2026-01-05T00:00:00")
CODE = """
import re, sys, time
from pathlib import Path
from advisor.workload_import.csv_file import ReadOptions, read_csv
def peak_kb():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak_kb()
began = time.perf_counter()
found = read_csv(sys.argv[1], ReadOptions(day_first=True))
took = time.perf_counter() - began
print(found.rows / took, (peak_kb() - before) / 1024)
"""


def main() -> None:
    times = START + (np.arange(ROWS) * (35 * 86_400 / ROWS)).astype("m8[s]")
    iso = np.datetime_as_string(times, "s")
    local = [f"{t[8:10]}/{t[5:7]}/{t[:4]} {t[11:]}" for t in iso]
    epoch = times.astype("M8[s]").astype(np.int64).astype(str)
    counts = [f"{t},{i % 9}" for i, t in enumerate(iso)]
    kinds = {"ISO 8601": iso, "day/month/year": local, "epoch": epoch, "time and count": counts}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traffic.csv"
        for name, rows in kinds.items():
            path.write_text("\n".join(rows), encoding="ascii")
            began = time.perf_counter()
            lines = sum(1 for _ in path.open("rb"))
            plain = time.perf_counter() - began
            done = subprocess.run(
                [sys.executable, "-c", CODE, str(path)],
                capture_output=True, text=True, check=True, timeout=300,
            )  # fmt: skip
            per_s, mb = (float(v) for v in done.stdout.split())
            print(
                f"{name:<16} {per_s:>12,.0f} rows/s, {lines / per_s / plain:5.1f} times as long as "
                f"counting its lines, {mb:4.0f} MB more memory"
            )


if __name__ == "__main__":
    main()
