"""What `gpu.py` runs of the studies: each stage that computes on the device, on a few examples.

A study is a folder of `stages`. Its stages run in a folder of that name, as its parameters' paths
are from there.
"""

import importlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gpu_checks import PASSED, SRC, Row, python, run_stage
from gpu_data import Place, write_params

STAGES = SRC.parent / "stages"
DATA = Path(os.pardir, os.pardir, "data")  # from a study's folder


class Study(NamedTuple):
    """What is kept and changed of a study's parameters, and its stages, a line each.

    `runs` are the rows of its table of runs; a line with {run} is for each of them. {data} is its
    folder of data. The stages of `made` only make what the others need, and those of `launched`
    start as many processes as their parameters say.
    """

    runs: tuple[str, ...]
    changes: dict[str, Any]
    made: tuple[str, ...]
    computed: tuple[str, ...] = ()
    launched: tuple[str, ...] = ()


SPLITS = ("train", "test")
BRIEF = {"batch_size": 8, "epochs": 1, "warmup_epochs": 0.0}
PAINTED: dict[str, Any] = {
    "make_painted_scenes.scenes.workers": 1,
    "make_painted_scenes.scenes.n_train": 16,
    "make_painted_scenes.scenes.n_test": 16,
    "list_images.test.count": 16,
}
MADE = (
    "make_painted_scenes scenes {data}/scenes",
    "prepare_clickme train {data}/scenes/imagenet/train {data}/scenes/clickme1/train"
    " {data}/maps/train train.json",
    "prepare_clickme test {data}/scenes/imagenet/test {data}/scenes/clickme2/test.csv"
    " {data}/maps/test test.json",
    "list_images test {data}/images/test.csv",
    "list_runs {study} {data}/runs",
)
TRAINED = (
    "{data}/runs/{run}.json 0 {data}/scenes/imagenet/test {data}/images/test.csv"
    " {run}.safetensors {run}.csv {run}.json"
)
SCORED = "{run}.safetensors {data}/maps/test {data}/scenes/objects/test"
CLICKME = Study(
    runs=("se", "gala_maps", "gala_repository", "side_head_maps", "gradient_maps"),
    changes=PAINTED
    | {f"train_supervised.{key}": value for key, value in BRIEF.items()}
    | {"score_likeness.images": 4, "score_likeness.splits": 2, "score_likeness.examples": 2},
    made=MADE,
    computed=(
        f"train_supervised {TRAINED}",
        f"score_likeness {SCORED} {{data}}/scenes/parts/test l.csv l.npz l.json",
    ),
)
BOTTLENECK = Study(
    runs=("mask", "aib_1e_2", "aib_mask", "aib_quantised", "aib_guided", "aib_side"),
    changes=PAINTED
    | {f"train_bottleneck.{key}": value for key, value in BRIEF.items()}
    | {
        "train_bottleneck.epochs": 3,  # some rows' weights rise over two
        "score_bottleneck.curve_images": 4,
        "score_bottleneck.examples": 2,
        "score_bottleneck.transfer.set": str(DATA / "bottleneck/scenes/imagenet"),
        "score_bottleneck.transfer.layout": "folders",
    },
    made=MADE,
    computed=(
        f"train_bottleneck {TRAINED}",
        f"score_bottleneck {SCORED} {{data}}/scenes/imagenet b.csv b.npz b.json",
    ),
)
OF_TASKS = ("segmentation", "parts", "action")
FEW = {"workers": 1, "n_train": 24, "n_test": 24}
TASKS = Study(
    runs=OF_TASKS,
    changes={f"make_tasks.{task}.{key}": FEW[key] for task in OF_TASKS for key in FEW}
    | {f"prepare_attention.{split}_people.expected": FEW[f"n_{split}"] for split in SPLITS}
    | {f"train_tasks.{key}": value for key, value in BRIEF.items()},
    made=(
        "make_tasks {data}/scenes",
        *(
            f"prepare_attention {split}_people {{data}}/scenes/segmentation/images/{split}"
            f" {{data}}/scenes/segmentation/annotations/fixations_{split}2014.json"
            f" {{data}}/segmentation/{split}_people"
            for split in SPLITS
        ),
        *(
            f"prepare_cub {split}_{people} {{data}}/scenes/parts"
            f" {{data}}/scenes/parts/gaze_{people}.txt {{data}}/parts/{split}_{people}"
            for split in SPLITS
            for people in ("always", "half", "never")
        ),
        *(
            f"prepare_clips {split}_people {{data}}/scenes/action/{split}"
            f" {{data}}/action/{split}_people"
            for split in SPLITS
        ),
    ),
    launched=("train_tasks {run} 0 {data}/{run} networks/{run} examples/{run} reports/{run}",),
)
STUDIES = {"clickme": CLICKME, "bottleneck": BOTTLENECK, "tasks": TASKS}


def studies(place: Place) -> Iterator[Row]:
    """The studies' trainings and scores."""
    above = Path.cwd()
    for name, study in STUDIES.items():
        folder = above / "stages" / name
        folder.mkdir(parents=True)
        os.chdir(folder)
        if not place.gpu:  # all are tested on it
            study = study._replace(runs=study.runs[-1:])
        write_params(study.changes, of=STAGES / name / "params.yaml", rows={name: study.runs})
        for line in (*study.made, *study.computed, *study.launched):
            start = time.monotonic()
            runs = ("",) if line in study.made else study.runs
            for run in runs:
                script, *words = line.format(data=DATA / name, study=name, run=run).split()
                if line in study.launched and place.gpu:
                    python(SRC / f"{script}.py", *words)
                else:
                    run_stage(importlib.import_module(script).main, *words)
            if line not in study.made:
                took = f"{len(runs)} in {time.monotonic() - start:.1f} s"
                yield Row(f"{script} of {name}, runs", PASSED, took, "")
