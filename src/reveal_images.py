"""Reveal random regions of training images, for networks that are to take part in an experiment.

    python src/reveal_images.py NAME SHARDS OUT

NAME is a row of `reveal_images` in params.yaml. OUT gets shards of `copies` pictures of each image
of SHARDS with its class: a region around a random pixel, which knows of no map, of a share that is
drawn from the row's, in the middle of a background as the experiment has it. A network that learnt
from whole images alone has never seen the like, and would fail at what people do at once. The maps
under test have no part in it.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field
from tqdm import tqdm

from attnlabels.images.decoding import decode
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.psychophysics.reveal import random_order, revealed
from attnlabels.psychophysics.stimuli import Background, background_of, compose, pixels_of
from attnlabels.shards.index import NOBODY
from attnlabels.shards.keys import key_of
from attnlabels.shards.shards import Sample, Shards, write_shards

Amount = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


@record
class RevealImages:
    copies: Amount
    shares: Annotated[list[Share], Field(min_length=1)]  # of the pixels; each as often as another
    noise: Annotated[float, Field(ge=0)]
    background: Background
    shard_size: Amount
    seed: Annotated[int, Field(ge=0)]


def main(name: str, images: Path, out: Path) -> None:
    p, shards = load(RevealImages, "reveal_images", name), Shards(images)
    if len(shards) < 2 or (shards.labels < 0).any():
        raise ValueError(f"{images}: expected two images or more, and a class of each")
    told = {"copies": p.copies, "noise": p.noise, "background": p.background, "seed": p.seed}
    with replacing_folder(out) as aside:
        write_shards(
            aside,
            reveal_all(shards, p),
            maximum_count=p.shard_size,
            maps_by={"kind": shards.index["maps_by"]["kind"], "form": "revealed", **told},
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
    """A picture of a random region of the sample's image, without a map."""
    image, other = (decode(each["image"], name=each["name"]) for each in (sample, stranger))
    size = image.shape[0], image.shape[1]
    background = background_of(image, other, of=p.background, rng=rng)
    order = random_order(size, noise=p.noise, rng=rng)
    region = revealed(order, pixels_of(float(rng.choice(p.shares)), size))
    pixels = compose(image, region, background).image
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


if __name__ == "__main__":
    run(main)
