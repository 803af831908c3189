"""Scores of an encoder."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from attnlabels.commands.options import Prefix

app = typer.Typer()


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
        typer.Option(
            min=0, metavar="N", help="Of the run: of the development part and of random weights."
        ),
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
        int,
        typer.Option(
            min=0, metavar="N", help="Of queries and generated corruptions, the same for all runs."
        ),
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
        if key in recordings:
            why = f"{each!r}: {key} is there twice; name each set otherwise"
            raise typer.BadParameter(why, param_hint="--attention")
        recordings[key] = Path(folder)
    try:
        view = Shown(size=size, crop=crop, normalise=normalise)
        scoring = Scoring(
            development=development,
            tolerance=tolerance,
            queries=queries,
            test_seed=test_seed,
            corrupt_queries_alone=corrupt_queries_alone,
            readouts=readout,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
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
        shown=view,
        scoring=scoring,
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
