"""The three tasks in miniature: parameters, and what the stages before a training make of them."""

import copy
import json
from pathlib import Path
from typing import Any

import make_tasks
import prepare_attention
import prepare_clips
import prepare_cub
from attnlabels.pipeline.params import read

STUDY = Path(__file__).parents[1] / "stages/tasks/params.yaml"
SETS = ("train_people", "test_people")
PEOPLE = ("always", "never")
CUB = [f"{split}_{people}" for split in ("train", "test") for people in PEOPLE]
KEPT = {  # of the study's runs
    "segmentation": ("none", "implicit", "explicit_03", "side_03", "wrong", "oracle", "centre"),
    "action": ("none", "frame", "implicit", "explicit_03"),
    "parts": ("none", "implicit", "explicit_always_03", "explicit_never_03", "oracle_always"),
}


def tiny() -> dict[str, Any]:
    """The study's parameters, of few examples and few steps, with paths from one folder."""
    text = json.dumps(read(STUDY)).replace(str(Path("..", "..", "data", "tasks")), "data")
    tree = json.loads(text)
    for name, row in tree["make_tasks"].items():
        few = {"size": 24, "workers": 1, "n_train": 24, "n_test": 12}
        row |= few if name == "action" else few | {"n_classes": 4}
    tree["make_tasks"]["action"]["moving"]["n_frames"] = 4
    tree["make_tasks"]["parts"]["chances"] = {"always": 1.0, "never": 0.0}
    for row in (*tree["prepare_attention"].values(), *tree["prepare_cub"].values()):
        row["map_size"] = [24, 24]
        row["sigma_width"] = 24
    for name, count in zip(SETS, (24, 12)):
        tree["prepare_attention"][name]["expected"] = count
    for row in tree["prepare_clips"].values():
        row["map_size"] = [24, 24]
    tree["prepare_cub"] = {name: tree["prepare_cub"][name] for name in CUB}
    for task, setting in tree["tasks"].items():
        setting |= {"size": 24, "channels": [4, 6, 8]}
        setting["runs"] = {name: setting["runs"][name] for name in KEPT[task]}
    tree["tasks"]["parts"]["people"] = [*PEOPLE]
    tree["study_seeds"] = [0, 1]
    tree["train_tasks"] |= {"epochs": 2, "batch_size": 6, "checkpoint_minutes": 0.0}
    tree["compare_tasks"]["resamples"] = 100
    return tree


def write_params(tree: dict[str, Any]) -> None:
    """The tree as the current folder's parameters."""
    Path("params.yaml").write_text(json.dumps(copy.deepcopy(tree)))


def prepare() -> None:
    """All shards, in the current folder, of its parameters."""
    make_tasks.main(Path("data/scenes"))
    tree = read()
    for name, row in tree["prepare_attention"].items():
        images, annotations = Path(row["images"]), Path(row["annotations"])
        prepare_attention.main(name, images, annotations, Path("data/segmentation", name))
    for name, row in tree["prepare_cub"].items():
        prepare_cub.main(name, Path(row["root"]), Path(row["gaze"]), Path("data/parts", name))
    for name, row in tree["prepare_clips"].items():
        prepare_clips.main(name, Path(row["folder"]), Path("data/action", name))
