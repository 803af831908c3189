"""The embedded data of three tasks, with simulated gaze, in the layouts that readers know.

Salient objects: scenes in SALICON's layout, with masks. Fine-grained classes: scenes whose classes
differ in a part, in CUB-200's layout with gaze as CUB-GHA's; people look at the part with the
chance q, and else at the whole object. Actions: clips as folders of frames.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Int

from attnlabels.scenes.clips import MOTIONS, Clip, Follower, Moving, draw_clip, follow
from attnlabels.scenes.layouts import write_jpeg, write_mask, write_salicon
from attnlabels.scenes.observers import Eye, attention_map, eye_fixations, fixation_durations
from attnlabels.scenes.parts import PartScene, draw_part_scene
from attnlabels.scenes.scenes import SHAPES, Style, scene_rng
from attnlabels.scenes.splits import Watched

Trails = list[Int[np.ndarray, "_ 2"]]
HALF = 0.5  # of a pixel, from which it is object in a mask
GAZE = "gaze.csv"
COLUMNS = ("clip", "frame", "x", "y")


class PartsSeen(NamedTuple):
    """A scene whose part tells its class, and where people look, by q in words."""

    scene: PartScene
    trails: dict[str, Trails]  # (row, col) from 1


class ClipSeen(NamedTuple):
    """A clip, and where each observer looks, (row, col) from 0, a row a frame."""

    clip: Clip
    trails: Trails


def parts_seen(
    index: int,
    *,
    split: str,
    seed: int,
    n_classes: int,
    size: int,
    part_size: float,
    style: Style,
    eye: Eye,
    chances: dict[str, float],
) -> PartsSeen:
    """A scene of the class that is next in turn, with people of each of the `chances`."""
    rng = scene_rng(seed, split, index=index)
    scene = draw_part_scene(rng, index % n_classes, size=size, part_size=part_size, style=style)
    luck = scene_rng(seed, f"luck of {split}", index=index).random()
    trails = {}
    for name, chance in chances.items():
        target = scene.part if luck < chance else scene.mask
        attention = attention_map(scene.image, target, **vars(eye.attention))
        trails[name] = eye_fixations(
            scene_rng(seed, f"people on {split}", index=index),
            attention,
            n_observers=eye.n_observers,
            n_fixations=eye.n_fixations,
            interest_sd=eye.interest_sd,
            error_px=eye.error_px,
        )
    return PartsSeen(scene, trails)


def clip_seen(
    index: int,
    *,
    split: str,
    seed: int,
    size: int,
    style: Style,
    moving: Moving,
    follower: Follower,
) -> ClipSeen:
    """A clip of the class that is next in turn, with people."""
    rng = scene_rng(seed, split, index=index)
    clip = draw_clip(rng, index % len(MOTIONS), size=size, moving=moving, style=style)
    return ClipSeen(
        clip, follow(scene_rng(seed, f"people on {split}", index=index), clip, follower=follower)
    )


def write_objects(folder: Path, split: str, results: Iterable[Watched]) -> None:
    """Scenes in SALICON's layout, and their masks, `masks/<stem>.png`."""

    def noting() -> Iterator[Watched]:
        for number, seen in enumerate(results, 1):
            stem = f"COCO_{split}2014_{number:012d}"
            write_mask(
                folder / "masks" / f"{stem}.png", (seen.scene.mask >= HALF).astype(np.float32)
            )
            yield seen

    write_salicon(folder, split, noting())


def write_cub(folder: Path, splits: Sequence[tuple[bool, Iterable[PartsSeen]]]) -> None:
    """CUB-200's four lists and its images, and `gaze_<name>.txt` as CUB-GHA's files of a run.

    `splits` are pairs of whether images are to train on, and these.
    """
    lists: dict[str, list[str]] = {
        key: [] for key in ("images", "image_class_labels", "train_test_split")
    }
    gaze: dict[str, list[str]] = {}
    number, labels = 0, set[int]()
    for training, results in splits:
        for seen in results:
            number, label = number + 1, seen.scene.label
            labels.add(label)
            name = f"{_cub_class(label)}/{SHAPES[label].title()}_{number:04d}.jpg"
            write_jpeg(folder / "images" / name, seen.scene.image)
            for key, value in zip(lists, (name, label + 1, int(training))):
                lists[key].append(f"{number} {value}")
            height, width = seen.scene.image.shape[:2]
            rng = scene_rng(0, "durations", index=number)
            for key, trails in seen.trails.items():
                points = np.concatenate(trails)[:, ::-1] - 1
                times = fixation_durations(rng, len(points))
                triples = [f"{x},{y},{ms}" for (x, y), ms in zip(points.tolist(), times)]
                gaze.setdefault(key, []).append(",".join([f"{number},{width},{height}", *triples]))
    lists["classes"] = [f"{label + 1} {_cub_class(label)}" for label in sorted(labels)]
    texts = lists | {f"gaze_{key}": lines for key, lines in gaze.items()}
    for key, lines in texts.items():
        (folder / f"{key}.txt").write_text("\n".join(lines) + "\n")


def write_frames(folder: Path, results: Iterable[ClipSeen]) -> None:
    """Clips as `<class>/<clip>/<frame>.png`, and `gaze.csv`: clip, frame, x, y, all from 0."""
    names, rows = [*MOTIONS], list[tuple[str, int, int, int]]()
    for number, (clip, trails) in enumerate(results):
        name = f"{names[clip.label]}/clip{number:05d}"
        (folder / name).mkdir(parents=True)
        for t, frame in enumerate(clip.frames):
            _, data = cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]))
            (folder / name / f"{t:03d}.png").write_bytes(data.tobytes())
        for trail in trails:
            rows += [(name, t, col, row) for t, (row, col) in enumerate(trail.tolist())]
    with (folder / GAZE).open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows([COLUMNS, *rows])


def _cub_class(label: int) -> str:
    return f"{label + 1:03d}.{SHAPES[label].title()}"
