"""Train SimCLR with an attention head on labelled shards (paper §3.3, §4.1; SimCLR repository).

    python src/train_simclr.py RUN SEED IMAGES MANIFEST WEIGHTS CURVE REPORT

RUN is what list_runs wrote of the run: its row in params.yaml, which names its attention labels,
its block and where its attention comes from. IMAGES and MANIFEST are the validation images that
the concurrent probe is scored on, unless `development` holds training images out for that. A run
that was killed goes on where it was, to the same weights. The last epoch is reported.
"""

from pathlib import Path

from attnlabels.losses.collapse import collapsed
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import PARAMS, check, load, record
from attnlabels.pipeline.results import read_json
from attnlabels.pipeline.script import run
from attnlabels.processes.world import World
from attnlabels.shards.shards import Shards
from attnlabels.training import students
from attnlabels.training.encoders import Run, Training, train
from attnlabels.training.probe import divide
from attnlabels.training.samples import Clean, Views, read_beside
from attnlabels.training.students import (
    augmentation,
    build_training,
    require_one_meaning,
    student_config,
    summary,
)

TrainSimclr = record(students.Recipe)  # what all runs share: the section `train_simclr`
Row = record(students.Row)  # what a run has of its own


def main(
    listed: Path, seed: int, images: Path, manifest: Path, weights: Path, curve: Path, report: Path
) -> None:
    p, about = load(TrainSimclr, "train_simclr"), read_json(listed, stage="list_runs")
    row = check(Row, about["row"], where=f"{PARAMS}: run {about['run']}")
    require_one_meaning(p, row)
    samples = Shards(Path(row.labels))
    chosen, squares = divide(
        samples, images, manifest, development=p.development, size=p.image_size, crop=p.eval_crop
    )
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
    others = row.cotrain
    beside = read_beside(Path(others.shards), clean, images=others.images) if others else None
    config, n_classes = student_config(p, row), len(samples.classes)

    def build(world: World) -> Training:
        return build_training(p, row, config, n_classes=n_classes, world=world)

    train(
        Run(
            method="simclr",
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
        beside=beside,
        watch=lambda epoch: collapsed(epoch, n=p.batch_size),
        summarise=lambda history, top1: summary(p, row, history, top1),
    )


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainSimclr, "train_simclr").processes))
