"""Labelled images as an encoder is scored on them, one by one; of a folder or of shards."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torch.utils.data import Dataset

from attnlabels.images.decoding import decode, read_image
from attnlabels.images.folder import Manifest
from attnlabels.images.squares import resize_centre_crop
from attnlabels.shards.shards import Shards


class Squares(Dataset[tuple[np.ndarray, int]]):
    """Images as SimCLR scores them, centre-cropped, with their labels."""

    def __init__(
        self,
        images: Callable[[int], np.ndarray],
        labels: Int[np.ndarray, "n"],
        *,
        size: int,
        crop: float,
    ) -> None:
        self.images, self.labels, self.size, self.crop = images, labels, size, crop

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        image = self.images(index)
        return resize_centre_crop(image, size=self.size, crop=self.crop), int(self.labels[index])


@dataclass(frozen=True)
class Listed:
    """The images of a manifest, by number."""

    folder: Path
    manifest: Manifest

    def __call__(self, index: int) -> np.ndarray:
        return read_image(self.folder / self.manifest.paths[index])


@dataclass(frozen=True)
class Sampled:
    """Some of the images of shards, by number."""

    samples: Shards
    chosen: np.ndarray

    def __call__(self, index: int) -> np.ndarray:
        sample = self.samples[int(self.chosen[index])]
        return decode(sample["image"], name=f"{self.samples.folder}: {sample['key']}")
