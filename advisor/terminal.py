"""What the project's commands share: one line on stderr for an error, and the exit codes.

0 done; 2 the input is wrong; 3 nothing fits; 1 anything else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from advisor.errors import AdvisorError, InputError

OK, FAILED, NOTHING_FITS = 0, 1, 3


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line. Subparsers are of the same class."""

    def error(self, message: str) -> NoReturn:
        self.exit(InputError.exit_code, f"{self.prog}: {message}; see {self.prog} --help\n")


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Run the command that `argv` names (`arguments.run`) and return its exit code.

    An AdvisorError becomes one line on stderr; a reader that went away (`| head`) is no error.
    """
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except AdvisorError as error:
        name = parser.prog.rpartition(" ")[2]
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return OK
