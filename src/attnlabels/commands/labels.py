"""Labels of images: made, drawn, checked."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from attnlabels.pipeline.printable import printable

app = typer.Typer()


@app.command("label")
def label_(
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES",
            help="A folder of any depth; or tars: their folder, or a quoted pattern.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="SHARDS", help="The folder to write.")],
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Its weights.  [default: the one of `attnlabels teacher show`]"
        ),
    ] = None,
    as_: Annotated[
        Literal["shards", "files"],
        typer.Option(
            "--as", help="files: a 16-bit PNG of each map, and a CSV of its fixations beside it."
        ),
    ] = "shards",
    classes: Annotated[
        bool, typer.Option("--classes", help="The folders in IMAGES are the classes (ImageFolder).")
    ] = False,
    broken: Annotated[
        Literal["stop", "skip"], typer.Option(help="What a file that gets no label does.")
    ] = "stop",
    overlay: Annotated[
        int, typer.Option(min=0, metavar="N", help="Draw N images under their maps, in SHARDS.")
    ] = 0,
    map_size: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="PX",
            help="Side of a map.  [default: 56, or the teacher's shorter side if that is less]",
        ),
    ] = None,
    shape: Annotated[
        Literal["own", "teacher"],
        typer.Option(help="In which the teacher is shown an image: the image's own, or its."),
    ] = "own",
    sigma: Annotated[
        Literal["teacher", "fitted"],
        typer.Option(
            help="Of a fixation: the densities' that the teacher learnt, or wider, for as many "
            "fixations as people's maps have."
        ),
    ] = "teacher",
    threshold: Annotated[
        float, typer.Option(metavar="SHARE", help="Fixations end at this share of a map's maximum.")
    ] = 0.2,
    maximum_points: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most fixations of an image.")
    ] = 64,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average with the map of the mirror image.")
    ] = False,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="Of the teacher's arithmetic.")
    ] = "fp32",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Images at a time.  [default: 16, on a GPU 64]"),
    ] = None,
    shard_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images in a shard; no more is lost by a kill.")
    ] = 1000,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="One a GPU; each makes every so many-th shard.")
    ] = 1,
    workers: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Further processes, of each, that read and decode."),
    ] = 1,
) -> None:
    """Label images with a teacher's attention maps and pseudo fixations.

    SHARDS will be tars that webdataset reads, an index and checksums; or, as files, a picture of
    each map and a table of its points, in folders as the images are. A command that was killed goes
    on where it was when it is given again.

    \b
    attnlabels label photos --out labels --overlay 20
    attnlabels label photos --out maps --as files
    attnlabels label imagenet/train --classes --out labels --broken skip --processes 8 \\
        --workers 12
    attnlabels label 'tars/train-{000..146}.tar' --teacher teacher.safetensors --out labels
    """
    from attnlabels.labelling.labeller import Drawing
    from attnlabels.labelling.labels import Work, label, label_as_files
    from attnlabels.labelling.skipped import Unlabelled
    from attnlabels.pipeline.launch import launch
    from attnlabels.pipeline.memory import keep_freed_memory

    if classes and as_ == "files":
        raise typer.BadParameter("files lie in the images' folders anyway", param_hint="--classes")
    launch(processes)
    keep_freed_memory()
    drawing = Drawing(
        map_size=map_size,
        shape=shape,
        sigma=sigma,
        threshold=threshold,
        maximum_points=maximum_points,
        mirror=mirror,
        precision=precision,
    )
    asked: dict[str, Any] = {
        "teacher": teacher,
        "out": out,
        "broken": broken,
        "n_overlays": overlay,
        "drawing": drawing,
        "work": Work(batch_size=batch_size, workers=workers, shard_size=shard_size),
    }
    try:
        if as_ == "files":
            index = label_as_files(images, **asked)
        else:
            shards = label(images, classes=classes, **asked)
            index = None if shards is None else shards.index
    except Unlabelled as error:
        raise ValueError(f"{error}, or pass --broken skip") from error
    if index:
        skipped = index["skipped"]
        left = f"; {len(skipped)} left out, {skipped[0]} the first" if skipped else ""
        print(printable(f"{out}: {index['samples']} images labelled{left}"))


@app.command("show")
def show_(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="A folder of labels.")],
    out: Annotated[Path, typer.Option(metavar="PNG", help="The picture to write.")],
    count: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images, from all over the set.")
    ] = 24,
    columns: Annotated[int, typer.Option(min=1, metavar="N", help="Images beside each other.")] = 3,
) -> None:
    """Draw a contact sheet of images, their maps and their points.

    \b
    attnlabels show labels --out sheet.png --count 60
    """
    from attnlabels import show

    show(shards, out=out, count=count, columns=columns)
    print(out)


@app.command("check")
def check_(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="A folder of labels.")],
) -> None:
    """Read labels in full and say all that is wrong with them, and where.

    Index, checksums, counts, maps, points, keys that are there twice, and members of tars that
    would be unpacked elsewhere. Status 1 if anything is.

    \b
    attnlabels check labels
    """
    from attnlabels import check

    faults = 0
    for fault in check(shards):
        print(printable(f"{fault.place}: {fault.what}"))
        faults += 1
    if faults:
        raise ValueError(f"{shards}: faults found: {faults}")
    print(f"{shards}: no fault found")
