"""The command `attnlabels`: what it is called with, and how it leaves.

A command's function here reads words; the work is that of a function of the same name in
`attnlabels`, imported only when the command is called, so that `--help` answers at once. Status 0:
done; 1: the work failed, and one message says why; 2: misuse.
"""

from collections.abc import Iterator
from enum import Enum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from attnlabels.pipeline.printable import printable
from attnlabels.pipeline.script import ending_clearly

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Prefix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="Which of several networks in FILE: how the names of its keys begin."
    ),
]


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


class Benchmark(str, Enum):
    """What `evaluate` scores an encoder on; typer takes no list of a Literal."""

    PROBE = "probe"
    KNN = "knn"
    ROBUSTNESS = "robustness"
    RETRIEVAL = "retrieval"
    CORRUPTED_RETRIEVAL = "retrieval-c"
    ALIGNMENT = "alignment"


@app.command("evaluate")
def evaluate_(
    encoder: Annotated[
        str,
        typer.Argument(
            metavar="ENCODER",
            help="A student's checkpoint, a file of ONNX (.onnx) or TorchScript (.pt) that gives "
            "features, timm:NAME or torchvision:NAME.",
        ),
    ],
    on: Annotated[
        list[Benchmark], typer.Option(help="Say it for each. retrieval-c: on corrupted images too.")
    ],
    out: Annotated[Path, typer.Option(metavar="METRICS", help="Folder for the JSON files.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of timm:NAME or torchvision:NAME, any trainer's; never downloaded.",
        ),
    ] = None,
    prefix: Prefix = None,
    imagenet: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Any images: class folders in DIR/train and DIR/val."),
    ] = None,
    imagenet_c: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="DIR/val corrupted, in ImageNet-C's layout.  [default: generated]"
        ),
    ] = None,
    imagenet_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="image,label[,split] of the images in --imagenet, in place of class folders.",
        ),
    ] = None,
    cifar10: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The Python batches, or their archive as published."),
    ] = None,
    cifar10_c: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="CIFAR-10-C's arrays, as published.  [default: generated]"
        ),
    ] = None,
    attention: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARDS", help="Human recordings, of prepare_attention; for alignment."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="SHARDS",
            help="Images with maps to fit readouts on; for alignment.  [default: across folds of "
            "the recordings]",
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="To be compared with people too; for alignment."),
    ] = None,
    readout: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="How maps are read; for alignment. Say it for each."),
    ] = ["head", "linear", "norm", "class_token"],  # noqa: B006 (typer copies it)
    name: Annotated[
        str | None,
        typer.Option(help="Of the run in METRICS/STAGE/NAME-SEED.json.  [default: the encoder's]"),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(help="Of the run: of the development part and of random weights."),
    ] = 0,
    size: Annotated[
        int | None,
        typer.Option(min=1, metavar="PX", help="Side of the encoder's input.  [default: its own]"),
    ] = None,
    crop: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Of the shorter side that is shown.  [default: the encoder's own]"
        ),
    ] = None,
    normalise: Annotated[
        Literal["none", "imagenet", "half"] | None,
        typer.Option(help="Of pixels in [0, 1]; half: to [-1, 1].  [default: the encoder's own]"),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="Of the encoder's arithmetic.")
    ] = "fp32",
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Images at a time.")] = 256,
    workers: Annotated[
        int, typer.Option(min=0, metavar="N", help="Processes that read, decode and corrupt.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Of the probe's BLAS.")] = 1,
    broken: Annotated[
        Literal["stop", "skip"],
        typer.Option(help="At image files that cannot be read; all are looked at first."),
    ] = "stop",
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where features are kept.  [default: features in the user's cache]"
        ),
    ] = None,
    development: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Of the training images, to choose the penalty and k on."
        ),
    ] = 0.2,
    tolerance: Annotated[
        float, typer.Option(metavar="X", help="Largest gradient at the probe's end.")
    ] = 1e-4,
    queries: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the test images that ask the others.")
    ] = 0.1,
    test_seed: Annotated[
        int, typer.Option(help="Of queries and generated corruptions, the same for all runs.")
    ] = 0,
    corrupt_queries_alone: Annotated[
        bool,
        typer.Option(
            "--corrupt-queries-alone", help="retrieval-c: against a gallery that is clean."
        ),
    ] = False,
) -> None:
    """Score a frozen encoder: probe, kNN, robustness, retrieval and alignment with people.

    Writes JSON with the keys of the pipeline's metrics. Features are encoded once and kept, so a
    further benchmark on the same images takes no forward pass.

    \b
    attnlabels evaluate student.safetensors --on probe --on knn --imagenet imagenette --out metrics
    attnlabels evaluate timm:resnet50 --weights resnet50.safetensors --on robustness \\
        --imagenet imagenet --imagenet-c ImageNet-C --workers 8 --out metrics
    attnlabels evaluate features.onnx --size 224 --crop 0.875 --normalise imagenet \\
        --on retrieval --cifar10 cifar-10-batches-py --out metrics
    attnlabels evaluate timm:vit_base_patch16_224 --weights vit.safetensors --on alignment \\
        --attention eye=attention/eye --teacher teacher.safetensors --out metrics
    """
    from attnlabels import Running, Scoring, Shown, evaluate
    from attnlabels.pipeline.memory import keep_freed_memory

    keep_freed_memory()
    recordings = {}
    for each in attention or []:
        key, separator, folder = each.partition("=")
        if not (key and separator and folder):
            raise typer.BadParameter(f"{each!r}: expected NAME=SHARDS", param_hint="--attention")
        recordings[key] = Path(folder)
    written = evaluate(
        encoder,
        on=[each.value for each in on],
        out=out,
        weights=weights,
        prefix=prefix,
        imagenet=imagenet,
        imagenet_c=imagenet_c,
        imagenet_labels=imagenet_labels,
        cifar10=cifar10,
        cifar10_c=cifar10_c,
        attention=recordings,
        labels=labels,
        teacher=teacher,
        name=name,
        seed=seed,
        broken=broken,
        shown=Shown(size=size, crop=crop, normalise=normalise),
        scoring=Scoring(
            development=development,
            tolerance=tolerance,
            queries=queries,
            test_seed=test_seed,
            corrupt_queries_alone=corrupt_queries_alone,
            readouts=readout,
        ),
        running=Running(
            precision=precision,
            batch_size=batch_size,
            workers=workers,
            threads=threads,
            cache=cache,
        ),
    )
    if found := written["evaluate"].get("prefix"):
        print(f"{weights}: the network is that of {found}*")
    for stage, tree in written.items():
        for key, scores in tree.items():
            if stage != "evaluate" and isinstance(scores, dict):
                print(f"{stage} {key}:", *shown(scores))


def shown(scores: dict[str, Any]) -> Iterator[str]:
    """The numbers of a report's set on one line, without those of single corruptions."""
    for key, value in scores.items():
        if isinstance(value, dict):
            if "cc" in value:
                yield f"{key} CC {value['cc']:.4f}"
        else:
            yield f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}"


teacher = typer.Typer(no_args_is_help=True, help="Teachers: networks that predict attention.")
app.add_typer(teacher, name="teacher")


@teacher.command("show")
def show_teacher_() -> None:
    """Print the card of the teacher that labels where no other is named.

    What it learnt from, how well it predicts people and where it fails, in Markdown.

    \b
    attnlabels teacher show
    """
    from attnlabels.teachers.released import read_card

    print(read_card(), end="")


@teacher.command("train")
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

collect = typer.Typer(
    no_args_is_help=True,
    help="Where people look, or what tells them a class: collected in a browser.",
)
app.add_typer(collect, name="collect")


@collect.command("start")
def start_collecting_(
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="A folder; the folders in it are classes.")
    ],
    study: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="What is collected. Made if it is not there, else gone on with."
        ),
    ],
    task: Annotated[
        Literal["paint", "peek", "look"] | None,
        typer.Option(
            help="Of a new study. paint what tells the class (ClickMe); peek through discs "
            "(BubbleView); look through the pointer (SALICON).  [default: paint]"
        ),
    ] = None,
    partner: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK",
            help="Guesses what is painted: a classifier (train_supervised's, or timm:NAME with "
            "--weights), or with --probe any encoder that `evaluate` takes.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of the partner timm:NAME.")
    ] = None,
    probe: Annotated[
        Path | None, typer.Option(metavar="NPZ", help="The partner's classifier, of probe_linear.")
    ] = None,
    partner_classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What the partner's classes are called, one a line.  [default: as the study's]",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8642,
    open_: OpenPage = True,
    join_code: JoinCode = None,
    name: ServerNames = None,
    root_path: RootPath = "",
) -> None:
    """Let people play with images in a browser, and keep what they paint, peek at or look at.

    Settings, sentences and the text to agree to are files in FOLDER, to edit before people take
    part. Everything is kept on this machine, in FOLDER/study.sqlite; nothing finished is lost when
    the server is stopped, however that is. The text is an example and no ethics approval.

    \b
    attnlabels collect start photos --study study
    attnlabels collect start photos --study peeking --task peek --host 0.0.0.0 --join-code lab7
    attnlabels collect start photos --study game --partner partner.safetensors
    """
    from attnlabels.serving.extra import require_server

    require_server()
    from attnlabels.collecting.start import start
    from attnlabels.serving.running import Listening

    opening = None
    if partner is not None:
        from attnlabels.collecting.partners import open_partner

        opening = partial(
            open_partner, partner, weights=weights, probe=probe, names=partner_classes
        )
    elif weights or probe or partner_classes:
        raise typer.BadParameter("are a partner's; name it too", param_hint="--weights, --probe")
    start(
        images,
        study,
        task=task,
        partner=opening,
        at=Listening(
            host=host,
            port=port,
            opening=open_,
            join_code=join_code,
            names=name or [],
            root_path=root_path.rstrip("/"),
        ),
    )


class Kind(str, Enum):
    """Which rounds `collect export` takes; typer takes no list of a Literal."""

    PRACTICE = "practice"
    PLAY = "play"
    CATCH = "catch"
    REPEAT = "repeat"


class Pointer(str, Enum):
    """With what people may have pointed."""

    MOUSE = "mouse"
    TOUCH = "touch"
    PEN = "pen"


StudyFolder = Annotated[
    Path, typer.Argument(metavar="STUDY", help="The folder of a study; its server may be running.")
]
StudyImages = Annotated[
    Path, typer.Option(metavar="FOLDER", help="The images that it was made of.")
]


@collect.command("export")
def export_study_(
    study: StudyFolder,
    images: StudyImages,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The new folder to write.")],
    as_: Annotated[
        Literal["csv", "salicon", "clickme", "shards", "jspsych"],
        typer.Option("--as", help="What to write: see docs/collect.md."),
    ] = "csv",
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="Which rounds; say it for each.  [default: play, repeat]"),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A participant to leave out; say it for each."),
    ] = None,
    catch: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Least share of catch rounds a player has right."
        ),
    ] = None,
    suspicion: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave out players above it; 0.5 are the report's."),
    ] = None,
    pointer: Annotated[
        list[Pointer] | None, typer.Option(help="That may be used; say it for each.")
    ] = None,
    fastest: Annotated[
        float | None, typer.Option(min=0, metavar="MS", help="Leave out rounds that were shorter.")
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="And those in which the page was hidden more often."),
    ] = None,
    fewest_points: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of a round, or it is left out.")
    ] = 1,
    fewest_players: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of an image, or it is left out.")
    ] = 1,
    again: Annotated[
        bool, typer.Option("--again", help="Keep a player's further rounds of an image, too.")
    ] = False,
    blur: Annotated[
        Literal["box_49", "disc_twice", "harmonization", "none"],
        typer.Option(help="Of the maps of shards, per player."),
    ] = "box_49",
    map_size: Annotated[
        int, typer.Option(min=1, metavar="PX", help="Shorter side of the maps of shards.")
    ] = 56,
) -> None:
    """Export a study: what its players pointed at, in the form that others read.

    FOLDER is written whole or not at all, with a description (Psych-DS) and the images' checksums;
    an image that was changed since is refused. What is left out is counted.

    \b
    attnlabels collect export STUDY --images photos --out points
    attnlabels teacher train points/data/task-paint_data.csv --images photos --out own.safetensors
    attnlabels collect export STUDY --images photos --as shards --suspicion 0.5 --out labels
    """
    from attnlabels import MapDrawing, RoundRules, export_study

    rules = RoundRules(
        kinds=[each.value for each in kind or [Kind.PLAY, Kind.REPEAT]],
        without=without or [],
        catch=catch,
        suspicion=suspicion,
        pointers=[each.value for each in pointer or []],
        fastest_ms=fastest,
        hidden=hidden,
        fewest_points=fewest_points,
        fewest_players=fewest_players,
        first_only=not again,
    )
    drawing = MapDrawing(blur=blur, map_size=map_size)
    chosen = export_study(study, out, images=images, form=as_, rules=rules, drawing=drawing)
    for line in chosen.told():
        print(printable(line))
    print(printable(str(out)))


@collect.command("report")
def report_study_(
    study: StudyFolder,
    images: StudyImages,
    out: Annotated[Path, typer.Option(metavar="PAGE.html", help="The page to write.")],
    suspicion: Annotated[
        float, typer.Option(min=0, max=1, help="Above which a player looks wrong.")
    ] = 0.5,
    blur: Annotated[
        Literal["box_49", "disc_twice", "harmonization"], typer.Option(help="Of players' maps.")
    ] = "box_49",
) -> None:
    """Report on a study: one page that needs nothing beside it.

    Who took part and what they did, how far they agree beside chance and the ceiling, maps over
    images, who looks wrong and why, and what leaving them out changes.

    \b
    attnlabels collect report STUDY --images photos --out report.html
    """
    from attnlabels import report_study

    for sentence in report_study(study, out, images=images, suspicion=suspicion, blur=blur):
        print(printable(sentence))
    print(printable(str(out)))


experiment = typer.Typer(
    no_args_is_help=True,
    help="Rapid categorisation: which maps reveal what people, or networks, need to see.",
)
app.add_typer(experiment, name="experiment")


class Control(str, Enum):
    """What `experiment make` reveals beside the maps; typer takes no list of a Literal."""

    DISTANCE = "distance"
    RANDOM = "random"
    OTHER_IMAGE = "other_image"


@experiment.command("make")
def make_experiment_(
    maps: Annotated[
        list[str],
        typer.Argument(
            metavar="MAPS...",
            help="Folders of maps, each FOLDER or NAME=FOLDER: PNGs named as the images are, or "
            "shards.",
        ),
    ],
    images: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The images, in a folder for each class.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="What to write: the stimuli (PNG), and stimuli.csv.",
        ),
    ],
    least: Annotated[
        float,
        typer.Option(min=1e-4, max=0.5, metavar="SHARE", help="Of the pixels, the least revealed."),
    ] = 0.01,
    levels: Annotated[
        int,
        typer.Option(
            min=2, metavar="N", help="From it to the whole image, in steps of the logarithm."
        ),
    ] = 9,
    blank: Annotated[
        bool, typer.Option(help="Also reveal nothing, by which one sees what else tells the class.")
    ] = True,
    per_class: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Images of each class, drawn.  [default: all]"),
    ] = None,
    practice: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Further images of each class, to practise with."),
    ] = 0,
    side: Annotated[
        int | None,
        typer.Option(
            min=8, metavar="PX", help="Shorter side of the stimuli.  [default: as the images are]"
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0, help="How much faster a region grows where its map is high.")
    ] = 6.0,
    noise: Annotated[float, typer.Option(min=0, help="How irregularly it grows.")] = 0.5,
    background: Annotated[
        Literal["own", "other", "grey"],
        typer.Option(help="Its own phases scrambled, which keeps its hue; another image's; grey."),
    ] = "own",
    control: Annotated[
        list[Control] | None,
        typer.Option(
            help="Say it for each. distance: around the first map's peak; random: around a random "
            "pixel; other_image: by the first map of another image."
        ),
    ] = None,
    assignment: Annotated[
        Literal["between", "within"],
        typer.Option(help="Map types between participants, a group for each, or within them."),
    ] = "between",
    missing: Annotated[
        Literal["stop", "skip"], typer.Option(help="At an image without a map; skip: take another.")
    ] = "stop",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of all that is random.")] = 0,
) -> None:
    """Make an experiment: images of which maps reveal more and more.

    Of each image, regions that grow along its map from the highest place, moved to the middle, and
    of all maps with the same numbers of pixels. A participant sees the rows of one set of
    stimuli.csv: each image once; levels and map types go round by Latin square.

    \b
    attnlabels label photos --out maps --as files
    attnlabels experiment make teacher=maps masks=outlines --images photos --out experiment \\
        --control distance --control random --background other
    """
    from attnlabels import Making, make_experiment
    from attnlabels.psychophysics.maps import named_maps
    from attnlabels.psychophysics.stimuli import log_shares

    try:
        folders = named_maps(maps)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="MAPS") from error
    making = Making(
        shares=[*([0.0] if blank else []), *log_shares(least, levels)],
        per_class=per_class,
        side=side,
        alpha=alpha,
        noise=noise,
        background=background,
        controls=[each.value for each in control or []],
        assignment=assignment,
        missing=missing,
        seed=seed,
        practice=practice,
    )
    made = make_experiment(folders, images, out, making=making)
    print(f"{out}:", ", ".join(f"{count} {key}" for key, count in made.items()))


@experiment.command("start")
def start_experiment_(
    made: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT", help="The folder that `experiment make` wrote.")
    ],
    results: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="What is answered. Made if it is not there, else gone on with."
        ),
    ],
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of new results: times, keys, blocks (YAML), those of the paper where it says "
            "nothing.  [default: the paper's]",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8643,
    open_: OpenPage = True,
    join_code: JoinCode = None,
    name: ServerNames = None,
    root_path: RootPath = "",
) -> None:
    """Show an experiment to people in a browser, and keep what they answer.

    Each picture is shown for a counted number of frames, and when it came and went is kept. The
    next participant takes the set that fewest had. All is kept on this machine, in FOLDER, beside
    the settings, the sentences and the text to agree to; that one is an example and no ethics
    approval. Nothing answered is lost when the server is stopped, however that is.

    \b
    attnlabels experiment start experiment --results results
    attnlabels experiment start experiment --results results --host 0.0.0.0 --join-code lab7
    attnlabels experiment analyse results --out tables
    """
    from attnlabels.serving.extra import require_server

    require_server()
    from attnlabels import Listening, start_experiment

    start_experiment(
        made,
        results,
        settings=settings,
        at=Listening(
            host=host,
            port=port,
            opening=open_,
            join_code=join_code,
            names=name or [],
            root_path=root_path.rstrip("/"),
        ),
    )


@experiment.command("export")
def export_experiment_(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of `experiment start`.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The table to write (CSV).")],
) -> None:
    """Write what people answered as a table, a trial a row, with the times of its showing.

    `experiment analyse` reads it, as it reads RESULTS itself.

    \b
    attnlabels experiment export results --out trials.csv
    """
    from attnlabels import export_experiment

    print(f"{out}: {export_experiment(results, out)} trials")


@experiment.command("analyse")
def analyse_experiment_(
    trials: Annotated[
        Path,
        typer.Argument(
            metavar="TRIALS",
            help="The results of `experiment start`, a folder; or a table (CSV), an answer a row: "
            "participant,image,class,map_type,share,response[,rt_ms][,mark][,finished].",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="What to write: tables, report.json, curves.png.")
    ],
    accuracy: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="At which thresholds are.")
    ] = 0.75,
    guess: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Chance of a guess.  [default: 1 / classes]"
        ),
    ] = None,
    most_lapses: Annotated[
        float, typer.Option(min=0, max=0.5, metavar="SHARE", help="Largest share of lapses.")
    ] = 0.1,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ONE=OTHER", help="Map types to test; say it for each.  [default: all pairs]"
        ),
    ] = None,
    fastest: Annotated[
        float, typer.Option(min=0, metavar="MS", help="An answer before that counts as none.")
    ] = 20.0,
    whole_accuracy: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Who has no more on whole images is left out."
        ),
    ] = 0.5,
    unanswered_sd: Annotated[
        float,
        typer.Option(
            min=0, metavar="SD", help="And who left so many sd more than the mean unanswered."
        ),
    ] = 3.0,
    blank_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="And who has more where nothing is revealed."
        ),
    ] = None,
    marked: Annotated[
        Literal["drop", "keep"],
        typer.Option(help="Trials with a mark, such as those that were late by more than a frame."),
    ] = "drop",
    unfinished: Annotated[
        Literal["drop", "keep"], typer.Option(help="Who left before the end.")
    ] = "drop",
    permutations: Annotated[
        int, typer.Option(min=1000, metavar="N", help="Of the tests at each level.")
    ] = 10_000,
    resamples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of participants, for intervals.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of both.")] = 0,
) -> None:
    """Analyse an experiment: accuracy by map type and share revealed, thresholds, tests.

    Standard errors and tests are over participants, thresholds of a logistic function with lapses.
    Which map type's participants need fewer pixels is in thresholds.md.

    \b
    attnlabels experiment analyse results --out tables --pair teacher=distance
    attnlabels experiment analyse trials.csv --out tables --unanswered-sd 2
    """
    from attnlabels import Analysing, Rules, analyse_experiment
    from attnlabels.psychophysics.analysis import describe_leak

    pairs = [each.partition("=") for each in pair or []]
    for one, separator, other in pairs:
        if not (one and separator and other):
            raise typer.BadParameter(
                f"{one}{separator}{other!r}: expected ONE=OTHER", param_hint="--pair"
            )
    rules = Rules(
        fastest_ms=fastest,
        whole_accuracy=whole_accuracy,
        unanswered_sd=unanswered_sd,
        blank_accuracy=blank_accuracy,
        marked=marked,
        unfinished=unfinished,
    )
    analysing = Analysing(
        rules=rules,
        accuracy=accuracy,
        guess=guess,
        most_lapses=most_lapses,
        pairs=[(one, other) for one, _, other in pairs] or None,
        permutations=permutations,
        resamples=resamples,
        seed=seed,
    )
    found = analyse_experiment(trials, out, analysing=analysing)
    for who, why in found.kept.excluded.items():
        print(printable(f"left out: {who}: {why}"))
    if found.kept.marked:
        print(f"left out: {found.kept.marked} trials that were marked")
    for name, row in found.tables["thresholds"].items():
        share = row["share"]
        told = share if isinstance(share, str) else f"{share:.2%} of the pixels"
        print(printable(f"{name}: accuracy {accuracy:g} at {told}"))
    if leak := describe_leak(found):
        print(leak)


def main() -> None:
    """The entry point."""
    with ending_clearly("attnlabels"):
        app()
