"""Make the environments of the other model servers (.venv-peers/<name>) where they are missing.

python -m benchmarks.peers.venvs [NAME ...]
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import yaml

from tools import side_venv

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-peers"
REQUIREMENTS = yaml.safe_load((Path(__file__).parent / "requirements.yaml").read_text("utf-8"))
PEERS: tuple[str, ...] = tuple(REQUIREMENTS["peers"])


def python(name: str) -> Path:
    return side_venv.python(FOLDER / name)


def make(name: str) -> str | None:
    """Why this server cannot be installed here, in one line; None when it is there."""
    same = [f"{lib}=={importlib.metadata.version(lib)}" for lib in REQUIREMENTS["models"]]
    return side_venv.ensure(FOLDER / name, [*REQUIREMENTS["peers"][name], *same])


def versions(name: str) -> str:
    """`name version` of an installed server."""
    found = subprocess.run(
        [str(python(name)), "-c",
         f"import importlib.metadata as m; print({name!r}, m.version({name!r}))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return found.stdout.strip()


def main(names: list[str]) -> int:
    failed = {n: why for n in names or PEERS if (why := make(n))}
    for name, why in failed.items():
        print(f"{name} is not installed: {why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
