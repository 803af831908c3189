"""The command `attnlabels`: what it is called with, and how it leaves.

A command's function here reads words; the work is that of a function of the same name in
`attnlabels`, imported only when the command is called, so that `--help` answers at once. Status 0:
done; 1: the work failed, and one message says why; 2: misuse.
"""

import os
import signal
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from attnlabels.script import message

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"attnlabels {version('attnlabels')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Human-attention labels for any images; robustness, retrieval and alignment of any encoder."""


def main() -> None:
    """The entry point. ATTNLABELS_TRACEBACK=1 shows the traceback of a failure."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        app()
    except (ValueError, OSError) as error:
        if os.environ.get("ATTNLABELS_TRACEBACK"):
            raise
        print(f"attnlabels: error: {message(error)}", file=sys.stderr)
        raise SystemExit(1) from None
