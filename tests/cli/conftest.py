import sys

import pytest

from quadgate.cli import main


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command line in this process; return the exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["quadgate", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run
