"""`python -m quadgate` is the command line."""

from quadgate.cli import main

main()
