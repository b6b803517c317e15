"""The command line: one file per subcommand, which parses and prints and decides nothing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; an error of quadgate's own is one line on standard error and exit code 2."""
    from quadgate.cli.app import app
    from quadgate.errors import QuadgateError

    try:
        app()
    except QuadgateError as error:
        sys.exit(_refuse(error))


def _refuse(error: Exception) -> int:
    sys.stderr.write(f"error: {error}\n")
    return 2
