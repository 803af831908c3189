"""Train a supervised network with the attention head on labelled shards (paper §4.3, Table 1).

    python src/train_supervised.py RUN SEED IMAGES MANIFEST WEIGHTS CURVE REPORT

RUN is what list_runs wrote of the run. The classifier learns from cropped and mirrored images, the
attention head from clean ones, as in `train_simclr`. IMAGES and MANIFEST are the validation images
that the classifier is scored on. A run that was killed goes on where it was, to the same weights.
The last epoch is reported.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from attnlabels.images.folder import read_manifest
from attnlabels.losses.objective import Targets, objective
from attnlabels.models.attention_head import AttentionHead, Output, Select
from attnlabels.models.classifier import Classifier, Outputs
from attnlabels.models.encoder import Backbone, Encoder, Stem, Taps
from attnlabels.models.probe import linear_probe
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.params import check, load, record
from attnlabels.pipeline.results import read_json
from attnlabels.pipeline.script import run
from attnlabels.processes.checkpoint import fingerprint
from attnlabels.processes.world import World
from attnlabels.shards.labelled_squares import Listed, Squares
from attnlabels.shards.shards import Shards
from attnlabels.training.encoders import (
    Augmentation,
    Clean,
    Loop,
    Optimizer,
    Training,
    Views,
    build_optimizer,
    encoder_config,
    require_same_classes,
    train,
)
from attnlabels.training.step import Precision, Step

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


@record
class TrainSupervised:
    """What all runs share; the section `train_supervised` of params.yaml."""

    width: Count
    stem: Stem
    zero_init: bool
    image_size: Count
    attention_taps: Taps
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    warmup_epochs: NotNegative
    optimizer: Optimizer
    learning_rate: Positive
    attention_learning_rate: Positive
    weight_decay: NotNegative
    clean_crop: Annotated[float, Field(gt=0, le=1)]
    eval_crop: Annotated[float, Field(gt=0, le=1)]
    crop_area: tuple[Share, Share]
    precision: Precision
    processes: Count
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative
    checkpoint_steps: Annotated[int, Field(ge=0)]
    compile: bool
    deterministic: bool


@record
class Row:
    """What a run has of its own; its row in a table of params.yaml."""

    backbone: Backbone
    labels: str
    attention_select: Select
    attention_output: Output
    map_size: Count
    joint_batch_norm: bool
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
    p, about = load(TrainSupervised, "train_supervised"), read_json(listed, stage="list_runs")
    row = check(Row, about["row"], where=str(listed))
    samples, validation = Shards(Path(row.labels)), read_manifest(manifest)
    require_same_classes(samples, validation, manifest=manifest)
    views = Views(
        samples,
        np.arange(len(samples)),
        n_views=1,
        augmentation=Augmentation(
            area=p.crop_area, jittered=0.0, strength=0.0, hue=0.0, grey=0.0, blurred=0.0
        ),
        image_size=p.image_size,
        clean=Clean(image_size=p.image_size, map_size=row.map_size, crop=p.clean_crop),
        seed=seed,
    )
    squares = Squares(
        Listed(images, validation), validation.labels, size=p.image_size, crop=p.eval_crop
    )
    made_of = [vars(p), vars(row), seed, code_of(Path(__file__))]
    mark = fingerprint(made_of, [samples.folder / "index.json"])
    config = encoder_config(p, row, backbone=row.backbone, block="none", source="readout")

    def build(world: World) -> Training:
        network = build_network(config, n_classes=len(samples.classes))
        return build_training(network, p=p, row=row, world=world)

    def summarise(history: list[dict[str, Any]], top1: float) -> dict[str, Any]:
        last = history[-1]
        losses = {key: last[key] for key in ("loss", *row.weights)}
        return {"loss": losses, "steps": last["step"], "probe": {"top1": top1}}

    train(
        build,
        views,
        squares,
        Loop.of(p),
        mark=f"supervised-{mark}",
        run=about["run"],
        seed=seed,
        config=config,
        outputs=(weights, curve, report),
        summarise=summarise,
    )


def build_network(config: dict[str, Any], *, n_classes: int) -> Classifier:
    """The network, with weights drawn from torch's generator."""
    encoder = Encoder(**config["encoder"])
    head = {key: config["attention"][key] for key in ("select", "output", "size")}
    classifier = linear_probe(encoder.n_features, n_classes)
    return Classifier(encoder, AttentionHead(**head), classifier)


def build_training(network: Classifier, *, p: TrainSupervised, row: Row, world: World) -> Training:
    """The network on its device, with its optimizer, its pass and its loss."""
    if p.batch_size % world.size:
        raise ValueError(
            f"a batch of {p.batch_size} does not divide into {world.size} processes; change "
            "train_supervised.batch_size or processes"
        )
    network.to(world.device).to(memory_format=torch.channels_last)
    if p.compile:
        network.encoder.compile()
    optimizer = build_optimizer(
        p.optimizer,
        [network.encoder],
        network.probe,
        network.attention,
        # Paper: no schedule is given; this is what ResNets are commonly trained with (FACTS §6.6).
        learning_rate=p.learning_rate * p.batch_size / 256,
        attention_learning_rate=p.attention_learning_rate,
        weight_decay=p.weight_decay,
    )

    def forward(network: nn.Module, *images: Tensor) -> Outputs:
        return network(*images, joint=row.joint_batch_norm, stop_gradient=row.stop_gradient)

    def loss(outputs: Outputs, rows: Sequence[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        labels, maps, fixations = rows
        targets = Targets(labels, maps, fixations, None)
        return objective(outputs, targets, weights=row.weights)

    return Training(
        Step(network, optimizer, world=world, precision=p.precision),
        inputs=("view0", "clean"),
        targets=("label", "map", "fixations"),
        forward=forward,
        loss=loss,
    )


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainSupervised, "train_supervised").processes))
