"""python -m advisor: the decision from a terminal."""

import sys

from advisor.cli import main

if __name__ == "__main__":
    sys.exit(main())
