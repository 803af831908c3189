"""How well a teacher predicts where people looked, beside a centre prior and a human ceiling."""

from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from tqdm import tqdm

from attnlabels.images.crops import WHOLE, count_points, sigma_on
from attnlabels.images.decoding import resize, resize_map
from attnlabels.metrics.alignment import SCORES, score_map
from attnlabels.metrics.saliency import floor
from attnlabels.metrics.statistics import split_half_cc
from attnlabels.processes.world import own_device
from attnlabels.recordings.density import Border, blur, centre_prior
from attnlabels.recordings.recordings import (
    Recording,
    count_recorded,
    read_recordings,
)
from attnlabels.shards.shards import Sample, Shards
from attnlabels.teachers.network import Teacher

COLUMNS = (*SCORES, "floor")  # what a map is scored by


class Scored(NamedTuple):
    """Scores of a set's images, [n, scores], which take a tenth of the memory of dicts."""

    names: list[str]
    keys: tuple[str, ...]
    values: Float[np.ndarray, "n s"]

    def rows(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each image's name and scores."""
        for name, row in zip(self.names, self.values):
            yield name, dict(zip(self.keys, row.tolist()))

    def means(self) -> dict[str, Any]:
        """The mean over images of each score."""
        return {key: float(np.mean(column)) for key, column in zip(self.keys, self.values.T)}


class Example(NamedTuple):
    """A recording, and the teacher's map of it."""

    recording: Recording
    map: Float[np.ndarray, "a b"]


def score_set(
    teacher: Teacher, folder: Path, *, size: tuple[int, int], batch_size: int, examples: int
) -> tuple[dict[str, Scored], list[Example]]:
    """The scores of the teacher and of a centre prior on a set of recordings.

    The teacher is moved to the device that computes, channels last. Also returns the first images,
    so many `examples`. `size` (height, width) is the teacher's input; a batch of images is held at
    a time. What sAUC needs of all the others is one map of counts.
    """
    teacher.to(own_device()).to(memory_format=torch.channels_last)
    recordings = read_recordings(folder, crop=1.0)
    everywhere = count_recorded(folder, crop=1.0)
    prior = centre_prior(*everywhere.shape)
    names: list[str] = []
    of_teacher, of_prior = array("d"), array("d")  # a row behind the other
    shown: list[Example] = []
    while batch := list(islice(recordings, batch_size)):
        for each, map in zip(batch, predict(teacher, [each.image for each in batch], size)):
            map = resize_map(map, *each.density.shape)
            if len(shown) < examples:
                shown.append(Example(each, map))
            for scores, readout in ((of_teacher, map), (of_prior, prior)):
                row = score_map(readout, each.density, each.points, everywhere=everywhere)
                scores.extend([*(row[key] for key in SCORES), floor(readout)])
            names.append(each.name)
    return {
        "teacher": Scored(names, COLUMNS, np.reshape(of_teacher, (-1, len(COLUMNS)))),
        "centre_prior": Scored(names, COLUMNS, np.reshape(of_prior, (-1, len(COLUMNS)))),
    }, shown


@torch.no_grad()
def predict(
    teacher: Teacher, images: list[UInt8[np.ndarray, "_ _ 3"]], size: tuple[int, int]
) -> Float[np.ndarray, "n a b"]:
    """The teacher's maps of some images, at the teacher's input size."""
    pixels = torch.from_numpy(np.stack([resize(each, *size) for each in images]))
    pixels = pixels.to(next(teacher.parameters()).device)
    return teacher(pixels.permute(0, 3, 1, 2).float() / 255).cpu().numpy()


def score_halves(folder: Path, *, splits: int, seed: int) -> Iterator[float]:
    """For each image, the CC between the densities of two random halves of its observers.

    Raises ValueError at an image of fewer than two observers, and where `counts_fixations` does not
    hold.
    """
    shards = Shards(folder)
    if not counts_fixations(shards):
        raise ValueError(
            f"{folder}: its maps weigh fixations by duration, which shards do not keep, so none is "
            "drawn of half of the observers; name recordings whose maps count fixations"
        )
    by = shards.index["maps_by"]
    share, counted = by["sigma_px"] / by["sigma_width"], by["count"] == "counted"
    border = by.get("border", "zeros")  # which shards of before did not tell
    for i in tqdm(range(len(shards)), desc="split halves", disable=None):
        sample = shards[i]
        if sample["observers"] is None:
            raise ValueError(
                f"{folder}: {sample['name']} does not say who looked where; prepare recordings "
                "that name their observers"
            )
        yield split_half_cc(
            sample["points"],
            sample["observers"],
            density=_density_of(sample, share=share, counted=counted, border=border),
            splits=splits,
            seed=seed + i,
        )


def have_two_observers(shards: Shards) -> bool:
    """Whether every image was seen by two people or more."""
    observers = (shards[i]["observers"] for i in range(len(shards)))
    return all(each is not None and len(np.unique(each)) > 1 for each in observers)


def counts_fixations(shards: Shards) -> bool:
    """Whether the maps count fixations, so that those of some observers can be drawn alike.

    They do not in shards of CUB-GHA's gaze (`tasks.cub`), weighted by how long each took.
    """
    return "count" in shards.index["maps_by"]


def _density_of(
    sample: Sample, *, share: float, counted: bool, border: Border
) -> Callable[[np.ndarray], np.ndarray]:
    """Draws the density of some of a sample's points, as its own is drawn, at its map's size."""
    size, (tall, wide) = sample["map"].shape, sample["image_size"]
    sigma_px = sigma_on(size, height=tall / wide, share=share)

    def draw(points: np.ndarray) -> np.ndarray:
        counts = count_points(points, grid=sample["grid"], box=WHOLE, size=size)
        map = counts if counted else np.minimum(counts, 1)
        return blur(map, sigma_px=sigma_px, border=border)

    return draw
