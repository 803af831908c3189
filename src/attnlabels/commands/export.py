"""Weights for other tools."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("export")
def export_(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="Weights of a student or teacher, or a folder of shards."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="What to write; an older export is replaced.")
    ],
    metrics: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="JSON",
            help="Scores for the card, as the pipeline writes them; may be repeated.",
        ),
    ] = None,
    data: Annotated[
        str, typer.Option(metavar="TEXT", help="For the card: the data it was made from.")
    ] = "",
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="For the card: the terms that it is given under.")
    ] = "",
) -> None:
    """Write weights for other tools: safetensors, ONNX, a card.

    An encoder gets the key names of timm and torchvision; ONNX takes any number and size of images
    with pixels in [0, 1]. Of a folder of shards only a data card is written.

    \b
    attnlabels export data/simclr/contrastive-0.safetensors --out encoder \\
        --metrics metrics/probe_linear/contrastive-0.json --licence "CC BY 4.0"
    attnlabels export data/teacher.safetensors --out teacher
    attnlabels export data/labels/train --out card --data "my photographs"
    """
    from attnlabels import export

    for path in export(checkpoint, out, metrics=metrics or [], data=data, licence=licence):
        print(path)
