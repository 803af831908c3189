"""Teachers: the released one, and one of one's own."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from attnlabels.commands.options import Prefix

app = typer.Typer(no_args_is_help=True, help="Teachers: networks that predict attention.")


@app.command("show")
def show_teacher_() -> None:
    """Print the card of the teacher that labels where no other is named.

    What it learnt from, how well it predicts people and where it fails, in Markdown.

    \b
    attnlabels teacher show
    """
    from attnlabels.teachers.released import read_card

    print(read_card(), end="")


@app.command("train")
def train_teacher_(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Points: a table (CSV) with image,x,y[,observer,t,duration]; SALICON's JSON, or "
            "the folder of its MAT files.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Weights to write (.safetensors), a .json and a .csv beside them."
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The photographs.  [default: images beside DATA]"),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=NAME,...",
            help="What a table calls them: 'image=Media,x=Gaze X,y=Gaze Y,observer=Participant'.",
        ),
    ] = None,
    units: Annotated[
        str,
        typer.Option(
            metavar="UNITS",
            help="Of a table's x and y: pixels, shares, percent, or WxH[+X+Y], the place on the "
            "display, in its pixels, that each image filled.",
        ),
    ] = "pixels",
    origin: Annotated[
        int, typer.Option(min=0, max=1, metavar="0|1", help="What a table counts pixels from.")
    ] = 0,
    zero: Annotated[
        Literal["top-left", "bottom-left", "centre"],
        typer.Option(help="Where a table's x and y are 0; from the last two, y grows upwards."),
    ] = "top-left",
    lost: Annotated[
        Literal["stop", "drop"],
        typer.Option(
            help="At a table's rows in which nothing was measured: empty, '.', nan; 0, 0."
        ),
    ] = "stop",
    outside: Annotated[
        Literal["refuse", "drop", "clip"],
        typer.Option(help="What becomes of points outside of their image; they are counted."),
    ] = "refuse",
    sigma: Annotated[
        float,
        typer.Option(
            min=0.001, max=0.5, metavar="SHARE", help="Blur of the points, in image widths."
        ),
    ] = 0.03,
    side: Annotated[
        int, typer.Option(min=32, metavar="PX", help="Longer side of what images are resized to.")
    ] = 384,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Passes over the images.  [default: 40, or as many as make 1000 steps]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of weights and draws.")] = 0,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="timm:NAME",
            help="A network of timm below the branches.  [default: MobileNetV3-small]",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of the backbone, any trainer's; never downloaded.  [default: random]",
        ),
    ] = None,
    prefix: Prefix = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Leave the backbone as it is; the branches learn.")
    ] = False,
    broken: Annotated[
        Literal["stop", "skip"], typer.Option(help="At an image that is missing or unreadable.")
    ] = "stop",
    trust_coordinates: Annotated[
        bool,
        typer.Option("--trust-coordinates", help="Do not test whether the points can be right."),
    ] = False,
) -> None:
    """Train a teacher on one's own recordings of where people looked.

    A fifth of the images is held out. On it the teacher is compared with a centre prior and, where
    every image has two observers or more, with how well half of them predict the others.

    \b
    attnlabels teacher train fixations.csv --images photographs --out teacher.safetensors
    attnlabels teacher train salicon/fixations_train2014.json --images salicon/images/train \\
        --out teacher.safetensors --broken skip
    attnlabels teacher train export.tsv --images photographs --out teacher.safetensors \\
        --columns 'image=MediaName,x=FixationPointX (MCSpx),y=FixationPointY (MCSpx)' \\
        --units 800x600+560+240 --lost drop --outside drop
    attnlabels teacher train fixations.csv --images photographs --out teacher.safetensors \\
        --backbone timm:resnet50 --weights resnet50.pth --freeze
    """
    from attnlabels import Backbone, Reading, train_teacher
    from attnlabels.labelling.own_teacher import describe
    from attnlabels.pipeline.memory import keep_freed_memory
    from attnlabels.recordings.csv_table import parse_columns

    keep_freed_memory()
    try:
        below = Backbone(name=backbone, weights=weights, prefix=prefix, frozen=freeze)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    report = train_teacher(
        data,
        out,
        images=images,
        sigma=sigma,
        side=side,
        epochs=epochs,
        seed=seed,
        backbone=below,
        reading=Reading(
            columns=parse_columns(columns) if columns is not None else {},
            units=units,
            origin=1 if origin else 0,
            zero=zero,
            lost=lost,
            outside=outside,
            broken=broken,
            trust_coordinates=trust_coordinates,
        ),
    )
    print(describe(report))
