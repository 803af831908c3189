"""Reveal random regions of training images, for networks that are to take part in an experiment.

    python src/reveal_images.py NAME SHARDS OUT

NAME is a row of `reveal_images` in params.yaml. OUT gets shards of `copies` pictures of each image
of SHARDS with its class: a region around a random pixel, which knows of no map, of a share that is
drawn from the row's, in the middle of a background as the experiment has it. A network that learnt
from whole images alone would fail at what people do at once. The tested maps have no part in it.

With `patches` it is squares along a random trail, where they are, on a neutral grey: what the
partner in the game of `attnlabels collect` sees of what is painted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import UInt8
from pydantic import Field
from tqdm import tqdm

from attnlabels.images.decoding import decode
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.psychophysics.reveal import random_order, revealed, trail_of_patches
from attnlabels.psychophysics.stimuli import Background, background_of, compose, pixels_of
from attnlabels.shards.index import NOBODY
from attnlabels.shards.keys import key_of
from attnlabels.shards.shards import Sample, Shards, write_shards

Amount = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Patches:
    """As the game's settings have them, in pixels."""

    patch_px: Amount
    step_px: Annotated[float, Field(gt=0)]
    neutral: Annotated[int, Field(ge=0, le=255)]


@record
class RevealImages:
    copies: Amount
    shares: Annotated[list[Share], Field(min_length=1)]  # of the pixels; each as often as another
    noise: Annotated[float, Field(ge=0)]  # how irregular a region is, or a trail (radians)
    background: Background  # of a region
    patches: Patches | None  # null: a region
    shard_size: Amount
    seed: Annotated[int, Field(ge=0)]


def main(name: str, images: Path, out: Path) -> None:
    p, shards = load(RevealImages, "reveal_images", name), Shards(images)
    if len(shards) < 2 or (shards.labels < 0).any():
        raise ValueError(f"{images}: expected two images or more, and a class of each")
    told = {"copies": p.copies, "noise": p.noise, "background": p.background, "seed": p.seed}
    form = "patches" if p.patches else "revealed"
    with replacing_folder(out) as aside:
        write_shards(
            aside,
            reveal_all(shards, p),
            maximum_count=p.shard_size,
            maps_by={"kind": shards.index["maps_by"]["kind"], "form": form, **told},
            classes=shards.classes,
            skipped=shards.index["skipped"],
        )


def reveal_all(shards: Shards, p: RevealImages) -> Iterator[Sample]:
    """The pictures of each image in turn, whose randomness is its own and its copy's."""
    for number in tqdm(range(len(shards)), "revealed", disable=None):
        sample = shards[number]
        for copy in range(p.copies):
            rng = np.random.default_rng([p.seed, number, copy])
            stranger = shards[int(number + rng.integers(1, len(shards))) % len(shards)]
            yield reveal(sample, stranger, copy, p, rng)


def reveal(
    sample: Sample, stranger: Sample, copy: int, p: RevealImages, rng: np.random.Generator
) -> Sample:
    """A picture of a random part of the sample's image, without a map."""
    image = decode(sample["image"], name=sample["name"])
    size = image.shape[0], image.shape[1]
    if p.patches:
        pixels = show_patches(image, p, rng)
    else:
        pixels = show_region(image, decode(stranger["image"], name=stranger["name"]), p, rng)
    name = str(PurePosixPath(sample["name"]).with_suffix("")) + f"-{copy}"
    return Sample(
        key=key_of(name),
        image=cv2.imencode(".png", pixels[..., ::-1])[1].tobytes(),
        map=np.zeros(size, np.float32),
        points=np.zeros((0, 2), np.int64),
        observers=None,
        label=sample["label"],
        grid=size,
        image_size=size,
        source=NOBODY,
        name=f"{name}.png",
    )


def show_region(
    image: UInt8[np.ndarray, "h w 3"],
    other: UInt8[np.ndarray, "_ _ 3"],
    p: RevealImages,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "h w 3"]:
    """A random region in the middle of a background."""
    size = image.shape[0], image.shape[1]
    background = background_of(image, other, of=p.background, rng=rng)
    order = random_order(size, noise=p.noise, rng=rng)
    region = revealed(order, pixels_of(float(rng.choice(p.shares)), size))
    return compose(image, region, background).image


def show_patches(
    image: UInt8[np.ndarray, "h w 3"], p: RevealImages, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Patches along a random trail; of a share of 1 the whole image, which no trail would find."""
    assert p.patches is not None
    size, share = (image.shape[0], image.shape[1]), float(rng.choice(p.shares))
    if share == 1:
        return image
    count = max(1, pixels_of(share, size))
    patch, step = p.patches.patch_px, p.patches.step_px
    seen = trail_of_patches(size, count, patch=patch, step=step, noise=p.noise, rng=rng)
    return np.where(seen[..., None], image, np.uint8(p.patches.neutral))


if __name__ == "__main__":
    run(main)
