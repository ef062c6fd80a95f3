"""python -m benchmarks: every figure that the docs quote, as ratios measured in this run."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> int:
    folder = Path(__file__).parent
    for script in sorted(folder.glob("*.py")):
        if script.stem.startswith("_"):
            continue
        print(f"\n== {script.stem} ==", flush=True)
        sys.argv = [str(script)]
        runpy.run_path(str(script), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
