"""Draw the embedded data of three tasks, with people who look at them.

    python src/make_tasks.py OUT

OUT gets

    segmentation/images, annotations, masks     salient objects; SALICON of 2015, and masks
    parts/images, *.txt                         classes that differ in a part; CUB-200, and gaze as
                                                CUB-GHA's, `gaze_<name>.txt` for each chance
    action/{train,test}/<class>/<clip>/*.png    clips of a moving object, and gaze.csv

See `attnlabels.scenes.tasks`. The same parameters give the same bytes again, with any number of
workers.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.scenes.clips import MOTIONS, Follower, Moving
from attnlabels.scenes.looks import Looks
from attnlabels.scenes.observers import Eye, Number, Share
from attnlabels.scenes.splits import by_eye, classified, mapping, watched_again
from attnlabels.scenes.tasks import clip_seen, parts_seen, write_cub, write_frames, write_objects


@record
class Objects(Looks):
    n_train: Number
    n_test: Number
    eye: Eye


@record
class Parts(Objects):
    part_size: Share
    chances: dict[str, Share]  # q, by its name: that people look at the part


@record
class Actions(Looks):
    n_train: Annotated[int, Field(ge=1, multiple_of=len(MOTIONS))]
    n_test: Annotated[int, Field(ge=1, multiple_of=len(MOTIONS))]
    moving: Moving
    follower: Follower


@record
class MakeTasks:
    segmentation: Objects
    parts: Parts
    action: Actions


def main(out: Path) -> None:
    p = load(MakeTasks, "make_tasks")
    for name, each in (("segmentation", p.segmentation), ("parts", p.parts)):
        each.require_equal_classes(f"make_tasks.{name}", "n_train", "n_test")
    with replacing_folder(out) as folder:
        write_segmentation(folder / "segmentation", p.segmentation)
        write_parts(folder / "parts", p.parts)
        write_action(folder / "action", p.action)


def write_segmentation(folder: Path, p: Objects) -> None:
    draw = partial(
        classified, seed=p.seed, n_classes=p.n_classes, size=p.size, style=p.style(occlusion=0.0)
    )
    seen = partial(watched_again, seed=p.seed, draw=draw, observe=partial(by_eye, eye=p.eye))
    with mapping(p.workers) as drawn:
        for split, n in (("train", p.n_train), ("test", p.n_test)):
            write_objects(folder, split, drawn(seen, split, n))


def write_parts(folder: Path, p: Parts) -> None:
    seen = partial(
        parts_seen,
        seed=p.seed,
        n_classes=p.n_classes,
        size=p.size,
        part_size=p.part_size,
        style=p.style(occlusion=0.0),
        eye=p.eye,
        chances=p.chances,
    )
    with mapping(p.workers) as drawn:
        splits = (("train", p.n_train), ("test", p.n_test))
        write_cub(folder, [(name == "train", drawn(seen, name, n)) for name, n in splits])


def write_action(folder: Path, p: Actions) -> None:
    seen = partial(
        clip_seen,
        seed=p.seed,
        size=p.size,
        style=p.style(occlusion=0.0),
        moving=p.moving,
        follower=p.follower,
    )
    with mapping(p.workers) as drawn:
        for split, n in (("train", p.n_train), ("test", p.n_test)):
            write_frames(folder / split, drawn(seen, split, n))


if __name__ == "__main__":
    run(main)
