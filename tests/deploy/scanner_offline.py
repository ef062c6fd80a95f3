"""checkov in this process, where any use of the network is an error.

Run by path with the scanner's own Python; the arguments are checkov's.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

REFUSED = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in REFUSED:
        print(f"NETWORK {event} {arguments}", file=sys.stderr)  # even where checkov swallows it
        raise OSError("the scanner may not use the network")


if __name__ == "__main__":
    sys.addaudithook(refuse)
    sys.argv[0] = "checkov"
    runpy.run_module("checkov.main", run_name="__main__")
