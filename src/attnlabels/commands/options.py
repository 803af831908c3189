"""Options that several commands ask."""

from typing import Annotated

import typer

Prefix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="Which of several networks in FILE: how the names of its keys begin."
    ),
]

# What every command that serves a study asks.
Host = Annotated[str, typer.Option(help="At which to listen; others' need a --join-code.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")]
OpenPage = Annotated[bool, typer.Option("--open/--no-open", help="A browser.")]
JoinCode = Annotated[str | None, typer.Option(metavar="CODE", help="Without it nobody takes part.")]
ServerNames = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST", help="Another name of this server, of a reverse proxy; may be repeated."
    ),
]
RootPath = Annotated[
    str, typer.Option(metavar="PATH", help="Where a reverse proxy has it, /study say.")
]
