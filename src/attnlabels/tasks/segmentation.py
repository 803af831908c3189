"""Salient object segmentation: a fully convolutional network with a skip, scored against masks."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attnlabels.images.crops import WHOLE, crop_map
from attnlabels.shards.shards import Shards
from attnlabels.tasks import object_scores
from attnlabels.tasks.examples import Examples
from attnlabels.tasks.stills import read_stills

SHOWN: tuple[str, ...] = ("image",)
REDUCED = 16  # channels of the head
HALF = 0.5  # of a pixel, from which it is object


def read(folder: Path, *, shown: str, size: int, masks: Path | None) -> Examples:
    """The photographs of shards with their masks, `<stem>.png` in the folder `masks`.

    Raises ValueError for a mask that is empty, full or not of its image's size.
    """
    if masks is None:
        raise ValueError(f"{folder}: segmentation wants masks; name their folder")
    shards = Shards(folder)
    samples = (shards[i] for i in range(len(shards)))
    found = [
        read_mask(masks / f"{Path(each['name']).stem}.png", each["image_size"], side=size)
        for each in samples
    ]
    target = np.stack(found).astype(np.float32)
    return read_stills(folder, size=size, target=target, n_outputs=1)


def read_mask(path: Path, size: tuple[int, int], *, side: int) -> Bool[np.ndarray, "s s"]:
    """What of a square of that `side` is object, of an image of `size` (height, width).

    Any value above 0 is object, as where masks have the numbers of classes. Raises
    FileNotFoundError or ValueError.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no mask; put it there, or leave the image out")
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError(f"{path}: no readable PNG; fetch it again")
    if grey.shape != size:
        raise ValueError(
            f"{path} has {grey.shape[0]} x {grey.shape[1]} pixels (height x width), its image "
            f"{size[0]} x {size[1]}; take the mask of that image"
        )
    inside = (grey > 0).astype(np.float32)
    mask = crop_map(inside, WHOLE, size=(side, side)) >= HALF
    if mask.all() or not mask.any():
        what = "all of it" if mask.all() else "nothing"
        raise ValueError(f"{path}: at {side} px {what} is object; leave the image out")
    return mask


class Head(nn.Module):
    """Logits a pixel: the attended features enlarged, beside those of the skip."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        _, middle, deep = channels
        self.reduced = nn.Conv2d(deep, REDUCED, 1)
        self.joined = nn.Sequential(
            nn.Conv2d(middle + REDUCED, REDUCED, 3, padding=1, bias=False),
            nn.BatchNorm2d(REDUCED),
            nn.ReLU(inplace=True),
            nn.Conv2d(REDUCED, 1, 1),
        )

    def forward(self, attended: Tensor, skip: Tensor) -> Float[Tensor, "n h w"]:
        few = self.reduced(attended)
        large = F.interpolate(few, skip.shape[2:], mode="bilinear", align_corners=False)
        logits = self.joined(torch.cat([large, skip], dim=1))
        return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)[:, 0]


def head(channels: Sequence[int], n_outputs: int) -> nn.Module:
    """What makes the answer of features."""
    return Head(channels)


def loss(predicted: Float[Tensor, "n h w"], target: Float[Tensor, "n h w"]) -> Float[Tensor, ""]:
    """Binary cross-entropy, mean over pixels, in single precision whatever the logits are in."""
    return F.binary_cross_entropy_with_logits(predicted.float(), target)


def answer(predicted: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Chances of object."""
    return predicted.sigmoid()


def scores(
    answers: Float[np.ndarray, "n h w"], target: Float[np.ndarray, "n h w"]
) -> dict[str, float]:
    """Means over images; `f_max` is the largest of the mean curve."""
    pairs = [(answer.astype(np.float64), mask > HALF) for answer, mask in zip(answers, target)]
    curves = np.mean([object_scores.f_curve(*each) for each in pairs], axis=0)
    measures = {
        "f_adaptive": object_scores.f_adaptive,
        "mae": object_scores.mae,
        "s_measure": object_scores.s_measure,
        "e_adaptive": object_scores.e_adaptive,
    }
    means = {
        name: float(np.mean([score(*each) for each in pairs])) for name, score in measures.items()
    }
    return {"f_adaptive": means.pop("f_adaptive"), "f_max": float(curves.max()), **means}
