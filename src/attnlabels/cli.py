"""The command `attnlabels`: what it is called with, and how it leaves.

A command's function here reads words; the work is that of a function of the same name in
`attnlabels`, imported only when the command is called, so that `--help` answers at once. Status 0:
done; 1: the work failed, and one message says why; 2: misuse.
"""

import os
import signal
import sys
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from attnlabels.script import message


class Broken(str, Enum):
    stop = "stop"
    skip = "skip"


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


@app.command("export")
def export_(
    checkpoint: Annotated[
        Path, typer.Argument(
            metavar="CHECKPOINT", help="Weights of a student or teacher, or a folder of shards."
        )
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="What to write; an older export is replaced.")
    ],
    metrics: Annotated[list[Path] | None, typer.Option(
        metavar="JSON", help="Scores for the card, as the pipeline writes them; may be repeated."
    )] = None,
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


teacher = typer.Typer(no_args_is_help=True, help="Teachers: networks that predict attention.")
app.add_typer(teacher, name="teacher")


@teacher.command("train")
def train_teacher_(
    data: Annotated[Path, typer.Argument(
        metavar="DATA", help="Points: SALICON's JSON, or CSV with image,x,y[,observer,t,duration]."
    )],
    out: Annotated[Path, typer.Option(
        metavar="FILE", help="Weights to write (.safetensors), a .json and a .csv beside them."
    )],
    images: Annotated[Path | None, typer.Option(
        metavar="FOLDER", help="The photographs.", show_default="images beside DATA"
    )] = None,
    origin: Annotated[
        int, typer.Option(min=0, max=1, help="What pixels of a CSV are counted from.")
    ] = 0,
    sigma: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Blur of the points, in image widths.")
    ] = 0.03,
    side: Annotated[
        int, typer.Option(min=32, help="Longer side of the network's input, pixels.")
    ] = 384,
    epochs: Annotated[int | None, typer.Option(
        min=1, help="Passes over the images.", show_default="30, or what makes 750 steps"
    )] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    broken: Annotated[
        Broken, typer.Option(help="At an image that is missing or cannot be read.")
    ] = Broken.stop,
    trust_coordinates: Annotated[
        bool, typer.Option("--trust-coordinates", help="Do not test whether x and y are swapped.")
    ] = False,
) -> None:
    """Train a teacher on one's own recordings of where people looked.

    A fifth of the images is held out. On it the teacher is compared with a centre prior and, where
    every image has two observers or more, with how well half of them predict the others.

    \b
    attnlabels teacher train fixations.csv --images photographs --out teacher.safetensors
    attnlabels teacher train salicon/fixations_train2014.json --images salicon/images/train \\
        --out teacher.safetensors --broken skip
    """
    from attnlabels import train_teacher
    from attnlabels.own_teacher import describe

    report = train_teacher(
        data, out, images=images, origin=1 if origin else 0, sigma=sigma, side=side, epochs=epochs,
        seed=seed, broken=broken.value, trust_coordinates=trust_coordinates,
    )
    print(describe(report))


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
