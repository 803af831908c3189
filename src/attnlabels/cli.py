"""The command `attnlabels`: what it is called with, and how it leaves.

A command's function, in `attnlabels.commands`, reads words; the work is that of a function of the
same name in `attnlabels`, imported only when the command is called, so that `--help` answers at
once. Status 0: done; 1: the work failed, and one message says why; 2: misuse.
"""

from importlib.metadata import version
from typing import Annotated

import typer

from attnlabels.commands import collect, evaluate, experiment, export, labels, teacher
from attnlabels.pipeline.script import ending_clearly

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def show_version(wanted: bool) -> bool:
    if wanted:
        print(f"attnlabels {version('attnlabels')}")
        raise typer.Exit
    return wanted


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Human-attention labels for any images; robustness, retrieval and alignment of any encoder."""


for each in (labels, export, evaluate):
    app.add_typer(each.app)
app.add_typer(teacher.app, name="teacher")
app.add_typer(collect.app, name="collect")
app.add_typer(experiment.app, name="experiment")


def main() -> None:
    """The entry point."""
    with ending_clearly("attnlabels"):
        app()
