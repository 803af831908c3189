"""Train a classifier that attends through an information bottleneck (Lai et al., IJCAI 2021).

    python src/train_bottleneck.py RUN SEED IMAGES MANIFEST WEIGHTS CURVE REPORT

RUN is what list_runs wrote of the run: what makes its mask, whether mask and code are drawn, and
what they pay for what they tell, in bits. Images are cropped and mirrored as in `train_supervised`.
What is drawn of an image depends on seed, epoch and image alone, so a run that was killed goes on
to the same weights, among as many processes as there may be. IMAGES and MANIFEST are the validation
images that it is scored on, unless `development` holds training images out for that. The last epoch
is reported, whichever was best.
"""

from pathlib import Path

from attnlabels.bottleneck import training
from attnlabels.bottleneck.networks import numbers_needed
from attnlabels.bottleneck.training import build_training, network_config, require_one_meaning
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import PARAMS, check, load, record
from attnlabels.pipeline.results import read_json
from attnlabels.pipeline.script import run
from attnlabels.processes.world import World
from attnlabels.shards.shards import Shards
from attnlabels.training import encoders
from attnlabels.training.classifiers import augmentation
from attnlabels.training.encoders import Run, Training, train
from attnlabels.training.probe import divide
from attnlabels.training.samples import Views

TrainBottleneck = record(encoders.Recipe)  # what all runs share: the section `train_bottleneck`
Row = record(training.Row)  # what a run has of its own


def main(
    listed: Path, seed: int, images: Path, manifest: Path, weights: Path, curve: Path, report: Path
) -> None:
    p, about = load(TrainBottleneck, "train_bottleneck"), read_json(listed, stage="list_runs")
    row = check(Row, about["row"], where=f"{PARAMS}: run {about['run']}")
    require_one_meaning(row)
    samples, config = Shards(Path(row.labels)), network_config(p, row)
    chosen, squares = divide(
        samples, images, manifest, development=p.development, size=p.image_size, crop=p.eval_crop
    )
    views = Views(
        samples,
        chosen,
        n_views=1,
        augmentation=augmentation(p),
        image_size=p.image_size,
        clean=None,
        seed=seed,
        map_size=row.map_size if row.has_view_maps else None,
        noise=numbers_needed(config),
    )
    n_classes = len(samples.classes)

    def build(world: World) -> Training:
        return build_training(p, row, config, n_classes=n_classes, world=world)

    train(
        Run(
            method="bottleneck",
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
        summarise=lambda history, top1: training.summary(p, row, history, top1),
        watch=lambda epoch: training.warnings(row, epoch),
    )


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainBottleneck, "train_bottleneck").processes))
