"""What the checks of `gpu.py` run on, all made up: photographs, labels, recordings, parameters."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import torch

from attnlabels.images.folder import STRINGS, Manifest, write_manifest
from attnlabels.models.files import write_weights
from attnlabels.pipeline.params import read
from attnlabels.shards.shards import Sample, write_shards
from attnlabels.teachers.network import Teacher

PARAMS = Path(__file__).resolve().parents[1] / "params"
PAPER, EMBEDDED = PARAMS / "paper.yaml", PARAMS / "embedded.yaml"
CLASSES = ["n00000000", "n00000001", "n00000002"]
PICTURES = 16  # that differ; the others have other names
RUN = "contrastive_attn_teacher"  # the guided run of `main`
Changes = Mapping[str, Any]
NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the checks work, on what, and how large everything is.

    `full` changes params/paper.yaml to what is timed and measured, and `small` to what is trained
    only to see where it ends; by the parameter's path.
    """

    folder: Path
    gpu: bool
    photographs: int
    pixels: tuple[int, int]  # height and width of a photograph
    teacher: tuple[int, int]  # height and width of its input
    batch: int  # images of a step that is timed
    full: Changes
    small: Changes
    patience: float = 1.0  # times the seconds that a check may take


def on_gpu(folder: Path, *, workers: int) -> Place:
    """The paper's sizes; what is not timed at a half of them."""
    full = {"train_simclr.workers": workers, "label_images.workers": workers}
    small = {
        **full,
        "train_simclr.backbone": "resnet18",
        "train_simclr.image_size": 112,
        "train_simclr.batch_size": 64,
        "train_simclr.optimizer": "adamw",
        "train_simclr.learning_rate": 1e-4,
        "train_simclr.learning_rate_scaling": "none",
        f"main.{RUN}.map_size": 28,
    }
    return Place(
        folder=folder,
        gpu=True,
        photographs=4096,
        pixels=(375, 500),
        teacher=(240, 320),
        batch=128,
        full=full,
        small=small,
    )


def on_cpu(folder: Path, *, patience: float) -> Place:
    """Sizes at which a check takes a second of one core."""
    tiny = {
        "threads": 1,
        "train_simclr.backbone": "resnet10",
        "train_simclr.width": 8,
        "train_simclr.stem": "small",
        "train_simclr.image_size": 24,
        "train_simclr.projector_outputs": 8,
        "train_simclr.batch_size": 8,
        "train_simclr.optimizer": "adamw",
        "train_simclr.learning_rate": 1e-4,
        "train_simclr.learning_rate_scaling": "none",
        "train_simclr.workers": 0,
        f"main.{RUN}.map_size": 6,
        "label_images.map_size": 8,
        "label_images.batch_size": 8,
        "label_images.workers": 0,
        "label_images.shard_size": 16,
    }
    return Place(
        folder=folder,
        gpu=False,
        photographs=48,
        pixels=(36, 48),
        teacher=(24, 32),
        batch=8,
        full=tiny,
        small=tiny,
        patience=patience,
    )


def write_params(
    changes: Changes, *, of: Path = PAPER, rows: Mapping[str, tuple[str, ...]] = NONE
) -> None:
    """The parameters `of` with `changes`, which name what is there, as params.yaml of this folder.

    Of the tables that `rows` names it keeps the rows that are named.
    """
    tree = read(of)
    for table, kept in rows.items():
        tree[table] = {row: tree[table][row] for row in kept}
    for path, value in changes.items():
        *sections, key = path.split(".")
        node = tree
        for section in sections:
            node = node[section]
        if key not in node:
            raise ValueError(f"{path} is no parameter of {of}")
        node[key] = value
    Path("params.yaml").write_text(json.dumps(tree))


def write_photographs(place: Place) -> None:
    """`photographs`, a folder of class folders; `images.csv` and `few.csv` list all and some."""
    folder = place.folder / "photographs"
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    for i, data in enumerate(pictures(place.pixels)):
        (place.folder / f"{i}.jpg").write_bytes(data)
    paths = [f"{CLASSES[i % len(CLASSES)]}/{i:05d}.JPEG" for i in range(place.photographs)]
    for i, path in enumerate(paths):
        os.link(place.folder / f"{i % PICTURES}.jpg", folder / path)
    for name, count in (("images", place.photographs), ("few", 2 * len(CLASSES))):
        some = sorted(paths[:count])
        listed = Manifest(
            paths=np.array(some, STRINGS),
            labels=np.array([CLASSES.index(path.split("/")[0]) for path in some]),
            sizes=np.ones(count, np.int64),
            classes=CLASSES,
        )
        write_manifest(place.folder / f"{name}.csv", listed)


def write_labels(folder: Path, place: Place, *, count: int) -> None:
    """Shards of `count` photographs, as a teacher would have labelled them."""
    drawn_by = {"kind": "teacher", "sha256": "0" * 64}
    samples = made_samples(place, count, observers=None)
    write_shards(folder, samples, maximum_count=1000, maps_by=drawn_by, classes=CLASSES)


def write_people(folder: Path, place: Place, *, count: int) -> None:
    """Shards of `count` photographs at which two people looked."""
    drawn_by = {"kind": "human", "sigma_px": 1.0, "sigma_width": 8, "count": "binary"}
    samples = made_samples(place, count, observers=np.array([0, 0, 1, 1]))
    write_shards(folder, samples, maximum_count=1000, maps_by=drawn_by, classes=CLASSES)


def write_teacher(path: Path, place: Place) -> None:
    """The paper's teacher, of random weights."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "taps": [3, 5, 7, 9],
        "pool_stride": 1,
        "output": "learnt_offset",
    }
    sigma_px = [0.03 * place.teacher[1]] * 2
    geometry = {"image_size": place.teacher, "sigma_px": sigma_px, "fitted_sigma_px": sigma_px}
    write_weights(path, Teacher(**config), {"teacher": config, **geometry})


def pictures(pixels: tuple[int, int]) -> Iterator[bytes]:
    """JPEG of clouds of colour with some grain."""
    h, w = pixels
    for i in range(PICTURES):
        rng = np.random.default_rng(i)
        clouds = cv2.resize(rng.normal(size=(6, 8, 3)), (w, h), interpolation=cv2.INTER_CUBIC)
        image = 128 + 60 * clouds + rng.normal(scale=8, size=clouds.shape)
        yield cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8))[1].tobytes()


def made_samples(
    place: Place, count: int, *, observers: np.ndarray | None, side: int = 56
) -> Iterator[Sample]:
    files = list(pictures(place.pixels))
    row, col = np.mgrid[:side, :side]
    for i in range(count):
        points = np.random.default_rng(i).integers(0, side, (4, 2))
        y, x = points[0]
        yield Sample(
            key=f"{i:08d}",
            image=files[i % PICTURES],
            map=np.exp(-((row - y) ** 2 + (col - x) ** 2) / 50),
            points=points,
            observers=observers,
            label=i % len(CLASSES),
            grid=(side, side),
            image_size=place.pixels,
            source="made_up",
            name=f"{i:08d}.jpg",
        )
