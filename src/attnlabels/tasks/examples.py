"""What a task's network is shown, what it is asked for, and where people looked, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch.utils.data import Dataset

from attnlabels.recordings.density import centre_prior

Given = Literal["people", "centre", "shuffled"]
# float32 [n c h w] to float32 [n i j]: of a mask's cells, or of pixels
Points = list[Int[np.ndarray, "_ 2"]]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """The examples of a split: a row, or an item, each."""

    keys: list[str]
    shown: Float[np.ndarray, "n c h w"]
    target: np.ndarray  # classes, int64 [n], or masks, float32 [n h w]
    maps: Float[np.ndarray, "n h w"]  # of people
    points: Points  # (row, col) on the maps' pixels, where each looked
    n_outputs: int  # of a network for the task
    pictures: np.ndarray  # uint8 [n h w 3]

    def __len__(self) -> int:
        return len(self.keys)

    def chosen(self, rows: Int[np.ndarray, "m"]) -> "Examples":
        """Those of these numbers."""
        return Examples(
            keys=[self.keys[i] for i in rows],
            shown=self.shown[rows],
            target=self.target[rows],
            maps=self.maps[rows],
            points=[self.points[i] for i in rows],
            n_outputs=self.n_outputs,
            pictures=self.pictures[rows],
        )


class Watched(Dataset[dict[str, Any]]):
    """Examples with the maps that a run is given; named (epoch, index)."""

    def __init__(self, examples: Examples, maps: Float[np.ndarray, "n h w"]) -> None:
        self.examples, self.maps = examples, maps

    def __len__(self) -> int:
        return len(self.examples)

    def key_of(self, index: int) -> str:
        """The key of the example of that number."""
        return self.examples.keys[index]

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        i = item[1]
        return {
            "shown": self.examples.shown[i],
            "target": self.examples.target[i],
            "map": self.maps[i],
            "index": i,
        }


def maps_given(examples: Examples, given: Given, *, seed: int) -> Float[np.ndarray, "n h w"]:
    """The examples' maps as people's, as a Gaussian at the centre, or as other examples'."""
    match given:
        case "people":
            return examples.maps
        case "centre":
            return centres(examples)
        case "shuffled":
            return examples.maps[derangement(len(examples), seed=seed)]


def centres(examples: Examples) -> Float[np.ndarray, "n h w"]:
    """A Gaussian at the centre for each of the examples."""
    return np.tile(centre_prior(*examples.maps.shape[1:]), (len(examples), 1, 1))


def derangement(n: int, *, seed: int) -> Int[np.ndarray, "n"]:
    """A permutation of so many, two or more, that leaves none where it is."""
    if n < 2:
        raise ValueError(f"{n} examples; two or more have another's map")
    order = np.random.default_rng([seed, n]).permutation(n)
    moved = np.empty(n, np.int64)
    moved[order] = np.roll(order, 1)
    return moved


def divide(n: int, *, share: float, seed: int) -> tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]:
    """So many examples in two: those to train on, and a `share` of them to choose by.

    Raises ValueError if either would be empty.
    """
    held = round(share * n)
    if not 0 < held < n:
        raise ValueError(f"development = {share} holds {held} of {n} examples out")
    order = np.random.default_rng([seed, n, 1]).permutation(n)
    return np.sort(order[held:]), np.sort(order[:held])


def brought_to(maps: Float[np.ndarray, "n h w"], size: Sequence[int]) -> Float[np.ndarray, "n a b"]:
    """Maps at another size (height, width), bilinear."""
    rows = torch.from_numpy(np.ascontiguousarray(maps))[:, None]
    large = F.interpolate(rows, tuple(size), mode="bilinear", align_corners=False)
    return large[:, 0].numpy()


def set_of(folder: Path, split: str, people: str) -> Path:
    """The shards of a split with the maps of those `people`."""
    return folder / f"{split}_{people}"
