"""A base image without a registry: Debian's own Python, for building real images in the tests.

It stands for the official slim image of Python, where no registry can be reached or none should
be asked. Needs root, debootstrap and a Debian mirror; some minutes, once: the file system is kept
as a tar archive in `.base-image/`. It trusts the certificates that this machine trusts, as a
company's own base image would.

    python tools/base_image.py        prints the archive's path
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".base-image"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Debian releases by the Python they ship.
RELEASES = {"3.11": "bookworm", "3.13": "trixie"}
PACKAGES = "python3,python3-pip,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
MADE_S = 1200


def archive() -> Path:
    return FOLDER / f"python-{PYTHON}.tar"


def why_not() -> str:
    """Why it cannot be made here; "" when it can, or is there."""
    if archive().is_file():
        return ""
    if PYTHON not in RELEASES:
        return f"no Debian release ships Python {PYTHON} (known: {', '.join(RELEASES)})"
    if os.geteuid() != 0:
        return "debootstrap makes a base image for root only"
    if shutil.which("debootstrap") is None:
        return "debootstrap is missing (apt install debootstrap)"
    return ""


def ensure() -> Path:
    """The archive, made unless it is there. Blocks for minutes. Raises RuntimeError."""
    if (why := why_not()) or archive().is_file():
        if why:
            raise RuntimeError(why)
        return archive()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        root = Path(scratch, "root")
        _run(
            "debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASES[PYTHON], str(root)
        )
        root.joinpath("usr/bin/python").symlink_to("python3")
        # As in the official image, pip may install beside the system's packages.
        root.joinpath(f"usr/lib/python{PYTHON}/EXTERNALLY-MANAGED").unlink(missing_ok=True)
        if CERTIFICATES.is_file():
            shutil.copyfile(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        for leftover in (root / "var/cache/apt/archives").glob("*.deb"):
            leftover.unlink()
        shutil.rmtree(root / "var/lib/apt/lists")
        made = Path(scratch, "made.tar")
        _run("tar", "-C", str(root), "-cf", str(made), ".")
        made.replace(archive())
    return archive()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=MADE_S, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {' '.join(last)}")


if __name__ == "__main__":
    try:
        print(ensure())
    except RuntimeError as error:
        sys.exit(f"base image: {error}")
