"""python -m deploy: from a recommendation to a running endpoint, from a terminal."""

import sys

from deploy.cli import main

if __name__ == "__main__":
    sys.exit(main())
