"""Make the environment of the AWS emulator (.venv-emulator) if it is not there or out of date.

    python tools/emulator_venv.py          prints the path of its Python

The emulator pins its own botocore, so it cannot live beside the app.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-emulator"
REQUIREMENTS = ROOT / "requirements-emulator.txt"
PYTHON = VENV / "bin" / "python"
MARK = VENV / ".requirements"


def main() -> int:
    if not is_current():
        print(f"Installing the AWS emulator into {VENV.name} (half a minute, once) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        subprocess.run(
            [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "-r", str(REQUIREMENTS)],
            check=True,
        )  # fmt: skip
        MARK.write_text(wanted(), encoding="utf-8")
    print(PYTHON)
    return 0


def is_current() -> bool:
    """Is the environment there, made from the requirements as they are now?"""
    return PYTHON.exists() and MARK.exists() and MARK.read_text(encoding="utf-8") == wanted()


def wanted() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
