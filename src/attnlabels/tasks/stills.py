"""Examples of photographs: what the tasks of still images share."""

from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from attnlabels.images.crops import WHOLE, count_points, crop_map
from attnlabels.images.decoding import decode
from attnlabels.images.squares import resize_square
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Sample, Shards
from attnlabels.tasks.examples import Examples


def read_stills(folder: Path, *, size: int, target: np.ndarray, n_outputs: int) -> Examples:
    """The photographs of shards as squares, with the maps and the points at the same size.

    Raises ValueError for one that nobody has looked at.
    """
    shards = Shards(folder)
    samples = [shards[i] for i in range(len(shards))]
    for each in samples:
        if each["source"] == NOBODY or not len(each["points"]):
            raise ValueError(f"{folder}: nobody looked at {each['name']}; leave it out")
    images = [
        resize_square(decode(each["image"], name=f"{folder}: {each['name']}"), size=size)
        for each in samples
    ]
    pictures: UInt8[np.ndarray, "n h w 3"] = np.stack(images)
    return Examples(
        keys=[each["key"] for each in samples],
        shown=(pictures.transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32),
        target=target,
        maps=np.stack([crop_map(each["map"], WHOLE, size=(size, size)) for each in samples]),
        points=[_points(each, size) for each in samples],
        n_outputs=n_outputs,
        pictures=pictures,
    )


def _points(sample: Sample, size: int) -> Int[np.ndarray, "_ 2"]:
    """Points on the square's pixels; each four times: on a corner, once on each of four."""
    counts = count_points(sample["points"], grid=sample["grid"], box=WHOLE, size=(size, size))
    quarters = np.rint(4 * counts).astype(np.int64)
    return np.repeat(np.argwhere(quarters), quarters[quarters > 0], axis=0)
