"""Train a supervised network with the attention head on labelled shards (paper §4.3, Table 1).

    python src/train_supervised.py RUN SEED IMAGES MANIFEST WEIGHTS CURVE REPORT

RUN is what list_runs wrote of the run. The classifier learns from cropped and mirrored images, the
attention head from clean ones, as in `train_simclr`. IMAGES and MANIFEST are the validation images
that the classifier is scored on. A run that was killed goes on where it was, to the same weights.
The last epoch is reported.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from attnlabels.models.classifier import Outputs, build_classifier
from attnlabels.models.encoder import Backbone
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import check, load, record
from attnlabels.pipeline.results import read_json
from attnlabels.pipeline.script import run
from attnlabels.processes.world import World
from attnlabels.shards.shards import Shards
from attnlabels.training import encoders
from attnlabels.training.encoders import Run, Training, encoder_config, on_device, weigh
from attnlabels.training.probe import divide
from attnlabels.training.samples import Augmentation, Clean, Views

TrainSupervised = record(encoders.Recipe)  # what all runs share: the section `train_supervised`


@record
@dataclass(frozen=True, kw_only=True)
class Row(encoders.Row):
    """What a run has of its own; its row in a table of params.yaml."""

    backbone: Backbone


def main(
    listed: Path, seed: int, images: Path, manifest: Path, weights: Path, curve: Path, report: Path
) -> None:
    p, about = load(TrainSupervised, "train_supervised"), read_json(listed, stage="list_runs")
    row = check(Row, about["row"], where=str(listed))
    samples = Shards(Path(row.labels))
    chosen, squares = divide(
        samples, images, manifest, development=0.0, size=p.image_size, crop=p.eval_crop
    )
    views = Views(
        samples,
        chosen,
        n_views=1,
        augmentation=Augmentation(
            area=p.crop_area, jittered=0.0, strength=0.0, hue=0.0, grey=0.0, blurred=0.0
        ),
        image_size=p.image_size,
        clean=Clean(image_size=p.image_size, map_size=row.map_size, crop=p.clean_crop),
        seed=seed,
    )
    config = encoder_config(p, row, backbone=row.backbone, block="none", source="readout")

    def build(world: World) -> Training:
        return build_training(p, row, config, n_classes=len(samples.classes), world=world)

    encoders.train(
        Run(
            method="supervised",
            name=about["run"],
            listed=listed,
            seed=seed,
            recipe=p,
            row=row,
            code=code_of(Path(__file__)),
            config=config,
            outputs=(weights, curve, report),
            threads=take_threads(),
        ),
        build,
        views,
        squares,
        summarise=lambda history, top1: encoders.summary(row, history) | {"probe": {"top1": top1}},
    )


def build_training(
    p: encoders.Recipe, row: Row, config: dict[str, Any], *, n_classes: int, world: World
) -> Training:
    """The network on its device, with its optimizer, its pass and its loss."""
    if p.batch_size % world.size:
        raise ValueError(
            f"a batch of {p.batch_size} does not divide into {world.size} processes; change "
            "train_supervised.batch_size or processes"
        )
    network = build_classifier(config, n_classes=n_classes)
    # Paper: no schedule is given; this is what ResNets are commonly trained with (FACTS §6.6).
    rate = p.learning_rate * p.batch_size / 256

    def forward(network: nn.Module, *images: Tensor) -> Outputs:
        return network(*images, joint=row.joint_batch_norm, stop_gradient=row.stop_gradient)

    return Training(
        on_device(network, p, learning_rate=rate, world=world),
        inputs=("view0", "clean"),
        targets=("label", "map", "fixations"),
        forward=forward,
        loss=weigh(row.weights),
    )


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainSupervised, "train_supervised").processes))
