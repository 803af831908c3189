"""Train a supervised network on labelled shards, and hold a part of it to their maps.

    python src/train_supervised.py RUN SEED IMAGES MANIFEST WEIGHTS CURVE REPORT

RUN is what list_runs wrote of the run. The classifier learns from cropped and mirrored images, the
attention head from clean ones, as in `train_simclr` (paper §4.3, Table 1). Attention inside of
units, or the input gradient, is that of the cropped image, and held to its map's same crop (Linsley
et al., ICLR 2019). IMAGES and MANIFEST are the validation images that the classifier is scored on,
unless `development` holds training images out for that. A run that was killed goes on where it was,
to the same weights. The last epoch is reported.
"""

from pathlib import Path

from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import PARAMS, check, load, record
from attnlabels.pipeline.results import read_json
from attnlabels.pipeline.script import run
from attnlabels.processes.world import World
from attnlabels.shards.shards import Shards
from attnlabels.training import classifiers, encoders
from attnlabels.training.classifiers import (
    augmentation,
    build_training,
    classifier_config,
    require_one_meaning,
)
from attnlabels.training.encoders import Run, Training, train
from attnlabels.training.probe import divide
from attnlabels.training.samples import Clean, Views

TrainSupervised = record(encoders.Recipe)  # what all runs share: the section `train_supervised`
Row = record(classifiers.Row)  # what a run has of its own


def main(
    listed: Path, seed: int, images: Path, manifest: Path, weights: Path, curve: Path, report: Path
) -> None:
    p, about = load(TrainSupervised, "train_supervised"), read_json(listed, stage="list_runs")
    row = check(Row, about["row"], where=f"{PARAMS}: run {about['run']}")
    require_one_meaning(row)
    samples = Shards(Path(row.labels))
    chosen, squares = divide(
        samples, images, manifest, development=p.development, size=p.image_size, crop=p.eval_crop
    )
    clean = Clean(image_size=p.image_size, map_size=row.map_size, crop=p.clean_crop)
    views = Views(
        samples,
        chosen,
        n_views=1,
        augmentation=augmentation(p),
        image_size=p.image_size,
        clean=clean if row.has_head else None,
        seed=seed,
        map_size=row.map_size if row.has_view_maps else None,
    )
    config, n_classes = classifier_config(p, row), len(samples.classes)

    def build(world: World) -> Training:
        return build_training(p, row, config, n_classes=n_classes, world=world)

    train(
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
        summarise=lambda history, top1: encoders.summary(row, history) | encoders.probed(p, top1),
    )


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainSupervised, "train_supervised").processes))
