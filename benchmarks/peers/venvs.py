"""Make the environments of the other model servers (.venv-peers/<name>) where they are missing.

python -m benchmarks.peers.venvs [NAME ...]
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-peers"
REQUIREMENTS = yaml.safe_load((Path(__file__).parent / "requirements.yaml").read_text("utf-8"))
PEERS: tuple[str, ...] = tuple(REQUIREMENTS["peers"])
INSTALL_S = 900


def python(name: str) -> Path:
    return FOLDER / name / "bin" / "python"


def make(name: str) -> str | None:
    """Why this server cannot be installed here, in one line; None when it is there."""
    wanted = _wanted(name)
    mark = FOLDER / name / ".requirements"
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
    if python(name).exists() and mark.exists() and mark.read_text("utf-8") == key:
        return None
    print(f"Installing {name} into {FOLDER.name}/{name} (once) ...", flush=True)
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(FOLDER / name)],
            check=True, capture_output=True, text=True, timeout=INSTALL_S,
        )  # fmt: skip
        for step in (["pip", "install", "-q", "--disable-pip-version-check", *wanted],
                     ["compileall", "-q", str(FOLDER / name / "lib")]):  # fmt: skip
            found = subprocess.run(
                [str(python(name)), "-m", *step], capture_output=True, text=True, timeout=INSTALL_S
            )
            if step[0] == "pip" and found.returncode:
                return _last_line(found.stderr)
    except subprocess.SubprocessError as failed:
        return str(failed)
    mark.write_text(key, encoding="utf-8")
    return None


def versions(name: str) -> str:
    """`name version` of an installed server."""
    found = subprocess.run(
        [str(python(name)), "-c",
         f"import importlib.metadata as m; print({name!r}, m.version({name!r}))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return found.stdout.strip()


def _wanted(name: str) -> list[str]:
    same = [f"{lib}=={importlib.metadata.version(lib)}" for lib in REQUIREMENTS["models"]]
    return [*REQUIREMENTS["peers"][name], *same]


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "pip failed and said nothing"


def main(names: list[str]) -> int:
    failed = {n: why for n in names or PEERS if (why := make(n))}
    for name, why in failed.items():
        print(f"{name} is not installed: {why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
