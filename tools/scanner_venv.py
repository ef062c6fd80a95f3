"""Make the environment of the templates' security scanner (.venv-scanner) if it is not there.

    python tools/scanner_venv.py           prints the path of its Python

The scanner pins its own boto3, so it cannot live beside the app.
"""

from __future__ import annotations

import sys
from pathlib import Path

import side_venv

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-scanner"
REQUIREMENTS = ROOT / "requirements-scanner.txt"


def main() -> int:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    why_not = side_venv.ensure(VENV, [line for line in lines if line and line[0] != "#"])
    if why_not:
        print(why_not, file=sys.stderr)
        return 1
    print(side_venv.python(VENV))
    return 0


if __name__ == "__main__":
    sys.exit(main())
