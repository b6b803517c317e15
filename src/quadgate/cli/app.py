"""The typer application that gathers the subcommands."""

import typer

app = typer.Typer(
    name="quadgate",
    help="Train, explain, convert, speed up and stream LSTM sequence models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
