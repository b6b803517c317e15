"""The command line: one file per subcommand, which parses and prints and decides nothing."""

from __future__ import annotations

import os
import sys
import time

# What a subcommand may lack in an installation without extras, and the extra that has it.
_EXTRAS = {"torch": "train", "sklearn": "train", "fastapi": "serve", "uvicorn": "serve", "prometheus_client": "serve"}

SILENCE = 5.0  # seconds: torchrun looks after its processes ten times a second, and ends those of a run that failed


def main() -> None:
    """Run the command line; an error of quadgate's own is one line on standard error and exit code 2."""
    from quadgate.cli.app import app
    from quadgate.errors import QuadgateError

    try:
        app()
    except QuadgateError as error:
        _let_the_first_speak()
        sys.exit(_refuse(str(error)))
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in _EXTRAS:
            raise
        missing = f"this command needs the package {package}, which is not installed"
        sys.exit(_refuse(f"{missing}; pip install 'quadgate[{_EXTRAS[package]}]'"))
    except OSError as error:  # of a file that was named, on the command line as a rule
        if error.filename is None:
            raise
        sys.exit(_refuse(f"{error.filename}: {str(error.strerror).lower()}; give a path that can be used"))


def _let_the_first_speak() -> None:
    """Of several processes under torchrun hold the others back: if all have the same error, it ends them meanwhile."""
    if os.environ.get("RANK", "0") != "0" and "TORCHELASTIC_RUN_ID" in os.environ:
        time.sleep(SILENCE)


def _refuse(text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return 2
