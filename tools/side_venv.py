"""An environment beside the app's, for what cannot or should not be installed into it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

INSTALL_S = 900
MARK = ".requirements"


def ensure(folder: Path, packages: list[str]) -> str | None:
    """Make the environment in `folder` unless it is there with these packages; bytecode compiled.

    Blocks for up to some minutes. Returns why it could not be made, in one line, or None.
    """
    key = hashlib.sha256(json.dumps(packages).encode()).hexdigest()
    mark = folder / MARK
    if python(folder).exists() and mark.exists() and mark.read_text("utf-8") == key:
        return None
    print(f"Installing {', '.join(packages)} into {folder.parent.name}/{folder.name} (once) ...",
          flush=True)  # fmt: skip
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(python(folder)), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        found = _run([*pip, *packages], check=False)
        if found.returncode:
            return _last_line(found.stderr)
        # a few packages carry files for other versions of Python, which do not compile
        _run([str(python(folder)), "-m", "compileall", "-q", str(folder / "lib")], check=False)
    except subprocess.SubprocessError as failed:
        return str(failed)
    mark.write_text(key, encoding="utf-8")
    return None


def python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _run(command: list[str], check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=INSTALL_S)


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "pip failed and said nothing"
