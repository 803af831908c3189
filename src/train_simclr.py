"""Train SimCLR with an attention head on labelled shards (paper §3.3, §4.1; SimCLR repository).

    python src/train_simclr.py RUN SEED IMAGES MANIFEST WEIGHTS CURVE REPORT

RUN is what list_runs wrote of the run: its row in params.yaml, which names its attention labels,
its block and where its attention comes from. IMAGES and MANIFEST are the validation images that
the concurrent probe is scored on, unless `development` holds training images out for that. A run
that was killed goes on where it was, to the same weights. The last epoch is reported.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from attnlabels.images.folder import read_manifest
from attnlabels.losses.objective import ATTENTION_TERMS, Targets, objective
from attnlabels.models.attention_head import Output, Select
from attnlabels.models.attention_maps import Source, build_attention
from attnlabels.models.encoder import Backbone, Encoder, Stem, Taps
from attnlabels.models.probe import linear_probe
from attnlabels.models.projector import projector
from attnlabels.models.student import Outputs, Student
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.params import check, load, record
from attnlabels.pipeline.results import read_json
from attnlabels.pipeline.script import run
from attnlabels.processes.checkpoint import fingerprint
from attnlabels.processes.world import World
from attnlabels.shards.labelled_squares import Listed, Sampled, Squares
from attnlabels.shards.shards import Shards
from attnlabels.training.encoders import (
    Augmentation,
    Clean,
    Loop,
    Optimizer,
    Recorded,
    Training,
    Views,
    build_optimizer,
    encoder_config,
    hold_out,
    require_same_classes,
    train,
)
from attnlabels.training.step import Precision, Step

Scaling = Literal["none", "sqrt", "linear"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


@record
class TrainSimclr:
    """What all runs share; the section `train_simclr` of params.yaml."""

    backbone: Backbone
    width: Count
    stem: Stem
    zero_init: bool
    image_size: Count
    attention_taps: Taps
    projector_layers: Annotated[int, Field(ge=2, le=4)]
    projector_outputs: Count
    temperature: Positive
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    warmup_epochs: NotNegative
    optimizer: Optimizer
    learning_rate: Positive
    learning_rate_scaling: Scaling
    attention_learning_rate: Positive
    weight_decay: NotNegative
    development: Annotated[float, Field(ge=0, lt=1)]
    clean_crop: Annotated[float, Field(gt=0, le=1)]
    eval_crop: Annotated[float, Field(gt=0, le=1)]
    crop_area: tuple[Share, Share]
    jitter: Share
    jitter_strength: NotNegative
    jitter_hue: Annotated[float, Field(ge=0, le=0.5)]
    grey: Share
    blur: Share
    precision: Precision
    processes: Count
    chunks: Count
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative
    checkpoint_steps: Annotated[int, Field(ge=0)]
    compile: bool
    deterministic: bool


@record
class Cotrain:
    """People's recordings of other images that join each batch (§4.3)."""

    shards: str
    images: Count


@record
class Row:
    """What a run has of its own; its row in a table of params.yaml."""

    labels: str
    block: str
    attention: Source
    attention_select: Select
    attention_output: Output
    map_size: Count
    joint_batch_norm: bool
    cotrain: Cotrain | None
    stop_gradient: bool
    weights: dict[str, NotNegative]


def main(
    listed: Path,
    seed: int,
    images: Path,
    manifest: Path,
    weights: Path,
    curve: Path,
    report: Path,
) -> None:
    p, about = load(TrainSimclr, "train_simclr"), read_json(listed, stage="list_runs")
    row = check(Row, about["row"], where=str(listed))
    require_one_meaning(p, row)
    samples, validation = Shards(Path(row.labels)), read_manifest(manifest)
    require_same_classes(samples, validation, manifest=manifest)
    chosen, held_out = hold_out(len(samples), p.development)
    clean = Clean(image_size=p.image_size, map_size=row.map_size, crop=p.clean_crop)
    views = Views(
        samples,
        chosen,
        n_views=2,
        augmentation=augmentation(p),
        image_size=p.image_size,
        clean=None if row.cotrain or row.attention == "none" else clean,
        seed=seed,
    )
    recorded = Recorded(Shards(Path(row.cotrain.shards)), clean) if row.cotrain else None
    if p.development:  # the validation images are not looked at while something is chosen
        squares = Squares(Sampled(samples, held_out), samples.labels[held_out], **square(p))
    else:
        squares = Squares(Listed(images, validation), validation.labels, **square(p))
    made_of = [vars(p), vars(row), seed, code_of(Path(__file__))]
    data = [samples.folder, *([recorded.samples.folder] if recorded else [])]
    # the run's file tells its block's code
    mark = fingerprint(made_of, [listed, *(folder / "index.json" for folder in data)])
    config = student_config(p, row)

    def build(world: World) -> Training:
        student = build_student(p, config, n_classes=len(samples.classes))
        return build_training(student, p=p, row=row, world=world)

    def summarise(history: list[dict[str, Any]], top1: float) -> dict[str, Any]:
        scored = {"development_top1" if p.development else "top1": top1}
        return summary(history, row, n=p.batch_size) | {"probe": scored}

    train(
        build,
        views,
        squares,
        Loop.of(p),
        mark=f"simclr-{mark}",
        run=about["run"],
        seed=seed,
        config=config,
        outputs=(weights, curve, report),
        summarise=summarise,
        beside=(recorded, row.cotrain.images) if recorded and row.cotrain else None,
        watch=lambda epoch: collapsed(epoch, n=p.batch_size),
    )


def require_one_meaning(p: TrainSimclr, row: Row) -> None:
    """Raises ValueError for a row that says two things, or asks for what cannot be had."""
    weighed = sorted(set(row.weights) & set(ATTENTION_TERMS))
    if row.attention == "none" and (weighed or row.cotrain):
        raise ValueError(
            f"a run with `attention: none` has no map for {', '.join(weighed) or 'cotrain'}; "
            "remove that from its row or give it an attention"
        )
    if row.attention != "none" and not weighed:
        raise ValueError(
            f"a run with `attention: {row.attention}` weighs none of {', '.join(ATTENTION_TERMS)}; "
            "add one to its weights (with stop_gradient it only watches) or say `attention: none`"
        )
    if row.attention.startswith("contracam") and p.chunks > 1:
        raise ValueError(
            f"ContraCAM tells an image from the others of its batch, and {p.chunks} chunks would "
            "leave it fewer of them; set train_simclr.chunks to 1"
        )


def augmentation(p: TrainSimclr) -> Augmentation:
    return Augmentation(
        area=p.crop_area,
        jittered=p.jitter,
        strength=p.jitter_strength,
        hue=p.jitter_hue,
        grey=p.grey,
        blurred=p.blur,
    )


def square(p: TrainSimclr) -> dict[str, Any]:
    """How the probe's images are cut."""
    return {"size": p.image_size, "crop": p.eval_crop}


def student_config(p: TrainSimclr, row: Row) -> dict[str, Any]:
    """What a later stage needs to build the encoder and its attention again, and to feed them."""
    return encoder_config(
        p,
        row,
        backbone=p.backbone,
        block=row.block,
        source=row.attention,
        projector={"layers": p.projector_layers, "n_outputs": p.projector_outputs},
    )


def build_student(p: TrainSimclr, config: dict[str, Any], *, n_classes: int) -> Student:
    """The student, with weights drawn from torch's generator."""
    encoder = Encoder(**config["encoder"])
    head = projector(encoder.n_features, **config["projector"])
    probe = linear_probe(encoder.n_features, n_classes)
    return Student(encoder, head, build_attention(**config["attention"]), probe)


def build_training(student: Student, *, p: TrainSimclr, row: Row, world: World) -> Training:
    """The student on its device, with its optimizer, its pass and its loss."""
    if p.batch_size % (world.size * p.chunks):
        raise ValueError(
            f"a batch of {p.batch_size} does not divide into {world.size} processes times "
            f"{p.chunks} chunks; change train_simclr.batch_size, processes or chunks"
        )
    if row.cotrain and row.cotrain.images % (world.size * p.chunks):
        raise ValueError(
            f"{row.cotrain.images} images for co-training do not divide into {world.size} "
            f"processes times {p.chunks} chunks; change cotrain.images of the run"
        )
    student.to(world.device).to(memory_format=torch.channels_last)
    if p.compile:
        student.encoder.compile()
    scale = {"none": 1.0, "sqrt": p.batch_size**0.5, "linear": p.batch_size / 256}
    optimizer = build_optimizer(
        p.optimizer,
        [student.encoder, student.projector],
        student.probe,
        student.attention,
        learning_rate=p.learning_rate * scale[p.learning_rate_scaling],
        attention_learning_rate=p.attention_learning_rate,
        weight_decay=p.weight_decay,
    )

    def forward(network: nn.Module, *images: Tensor) -> Outputs:
        return network(
            *images,
            joint=row.joint_batch_norm,
            stop_gradient=row.stop_gradient,
            gather=world.gather_around,
        )

    def loss(outputs: Outputs, rows: Sequence[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        labels, *attended = rows
        maps, fixations = attended if attended else (None, None)
        targets = Targets(labels, maps, fixations, p.temperature)
        total, terms = objective(outputs, targets, weights=row.weights)
        return total, terms | {"spread": spread(outputs.z0)}

    attends = row.attention != "none"
    return Training(
        Step(student, optimizer, world=world, precision=p.precision, chunks=p.chunks),
        inputs=("view0", "view1", "clean") if attends else ("view0", "view1"),
        targets=("label", "map", "fixations") if attends else ("label",),
        forward=forward,
        loss=loss,
    )


def spread(z: Tensor) -> Tensor:
    """Standard deviation of normalised projections times √d: 1 spread out, 0 collapsed.

    Chen & He 2021 (SimSiam), figure 2.
    """
    return F.normalize(z.detach().float(), dim=1).std(dim=0).mean() * math.sqrt(z.shape[1])


def collapsed(epoch: dict[str, Any], *, n: int) -> str:
    """What shows that an epoch's projections no longer tell images apart, or nothing.

    NT-Xent is 2 ln(2n - 1) for n images if every other view is as likely to be an image's own.
    """
    if epoch["spread"] < 0.01:
        return f"projections have collapsed to a point (spread {epoch['spread']:.2g})"
    chance = 2 * math.log(2 * n - 1)
    if epoch.get("contrastive", 0.0) > 0.995 * chance:
        return f"NT-Xent is no better than chance ({epoch['contrastive']:.3f}, chance {chance:.3f})"
    return ""


def summary(history: list[dict[str, Any]], row: Row, *, n: int) -> dict[str, Any]:
    """The last epoch's losses, and whether the projections collapsed by then."""
    last = history[-1]
    return {
        "loss": {key: last[key] for key in ("loss", *row.weights)},
        "steps": last["step"],
        "spread": last["spread"],
        "collapsed": int(bool(collapsed(last, n=n))),
    }


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainSimclr, "train_simclr").processes))
