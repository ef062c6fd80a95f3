"""The emulator's process: python tests/deploy/aws/emulator CONFIGURATION.json

The configuration names port, account and region, the directory for images, the interpreter that
runs bundles, and the file of registry schemas.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path


def main(path: str) -> None:
    configuration = json.loads(Path(path).read_text(encoding="utf-8"))
    os.environ |= {
        "AUTH": "true",  # signatures and IAM policies are checked
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(configuration["port"]),
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_ACCOUNT_ID": configuration["account"],
        # The root user of the emulated account; clients get the same.
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    # Only now: MiniStack reads its environment when it is imported.
    import_module("gateway").Gateway(configuration).serve()


if __name__ == "__main__":
    main(sys.argv[1])
