"""A few images that players painted on, their masks, and an untrained classifier of them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from attnlabels.models.classifier import build_classifier
from attnlabels.models.files import write_weights
from attnlabels.psychophysics.making import Making, make_experiment
from attnlabels.shards.shards import Sample, Shards, write_shards

SIDE = 32
CLASSES = ["a", "b", "c"]
# An experiment of few stimuli.
MAKING = Making(
    shares=(0.0, 0.2, 1.0),
    per_class=3,
    side=None,
    alpha=6.0,
    noise=0.5,
    background="other",
    controls=(),
    assignment="between",
    missing="stop",
    seed=0,
)
HEAD = {"source": "readout", "select": "local_mean_max", "output": "softplus", "size": 6}


def write_classifier(path: Path, *, n_classes: int = len(CLASSES), **encoder: Any) -> Path:
    """An untrained classifier's weights, as `train_supervised` writes them."""
    shape = {"backbone": "resnet18", "width": 4, "stem": "small", "taps": "stages"}
    config = {
        "encoder": {**shape, "zero_init": False, "block": "none", **encoder},
        "attention": HEAD,
        "image_size": SIDE,
        "clean_crop": 1.0,
        "eval_crop": 1.0,
    }
    torch.manual_seed(0)
    network = build_classifier(config, n_classes=n_classes)
    torch.nn.init.normal_(network.probe.weight)
    write_weights(path, network, config)
    return path


def write_painted(
    folder: Path, *, n: int = 12, players: int = 4, label: int | None = None, kind: str = "players"
) -> Path:
    """Shards of noisy images with a bright square; players click into it, no one on the last.

    Below `folder` are `people`, `object` (the square) and `part` (its upper left quarter).
    """
    rng = np.random.default_rng(0)
    samples = []
    for i in range(n):
        image = rng.integers(0, 100, (SIDE, SIDE, 3), np.uint8)
        row, col = rng.integers(0, SIDE - 12, 2)
        image[row : row + 12, col : col + 12, i % 3] += 120
        name = f"{CLASSES[i % 3]}/image{i}.png"
        for of, side in (("object", 12), ("part", 6)):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[row : row + side, col : col + side] = 255
            (folder / of / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / of / name), mask)
        nobody = i == n - 1
        clicks = 0 if nobody else 5 * players
        points = rng.integers(0, 12, (clicks, 2)) + np.array([row, col])
        samples.append(
            Sample(
                key=f"image{i}",
                image=cv2.imencode(".png", image)[1].tobytes(),
                map=np.full((SIDE, SIDE), 0.0 if nobody else 1.0),
                points=points,
                observers=np.arange(clicks) % players,
                label=i % 3 if label is None else label,
                grid=(SIDE, SIDE),
                image_size=(SIDE, SIDE),
                source="nobody" if nobody else "test",
                name=name,
            )
        )
    maps_by = {"kind": kind, "blur": "box_49", "count": "binary"}
    write_shards(folder / "people", samples, maximum_count=5, maps_by=maps_by, classes=CLASSES)
    return folder


def write_painted_pictures(folder: Path) -> Path:
    """What `write_painted` writes, and `images`, those that somebody painted on, as files."""
    write_pictures(write_painted(folder) / "people", folder / "images")
    return folder


def write_stimuli(folder: Path) -> Path:
    """An experiment of the masks of parts and objects, as `stimuli` in the folder."""
    images = write_painted_pictures(folder) / "images"
    maps = {name: folder / name for name in ("part", "object")}
    make_experiment(maps, images, folder / "stimuli", making=MAKING)
    return folder / "stimuli"


def write_pictures(people: Path, folder: Path) -> Path:
    """The images of shards as files in class folders, but for that which nobody painted on."""
    shards = Shards(people)
    for sample in (shards[i] for i in range(len(shards) - 1)):
        path = folder / sample["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample["image"])
    return folder
