"""Draw what a teacher makes of photographs that it did not see, beside where people looked.

    python src/draw_teacher.py TEACHER RECORDINGS PICTURE

TEACHER are its weights, RECORDINGS shards of people's fixations on photographs it did not learn.
PICTURE is a JPEG with a column a photograph: the photograph, people's density with their fixations,
and the teacher's map with the pseudo fixations in it, as `attnlabels label` makes them.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pydantic import Field

from attnlabels.images.decoding import decode
from attnlabels.images.overlays import fit_inside, overlay
from attnlabels.labelling.labeller import Drawing, Labeller, read_labeller
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.places import settle
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing
from attnlabels.shards.shards import Sample, Shards

GAP = 6  # pixels between pictures
QUALITY = 85  # of JPEG


@record
class DrawTeacher:
    """The section `draw_teacher` of params.yaml."""

    photographs: Annotated[tuple[str, ...], Field(min_length=1)]  # their names
    side: Annotated[int, Field(ge=16)]  # pixels of a picture's longer side


def main(teacher: Path, recordings: Path, picture: Path) -> None:
    settle(picture)
    take_threads()
    p = load(DrawTeacher, "draw_teacher")
    samples = find(Shards(recordings), p.photographs)
    labeller = read_labeller(teacher, Drawing())
    columns = [column(sample, labeller, side=p.side) for sample in samples]
    height, width = (max(each.shape[axis] for each in columns) for axis in (0, 1))
    sheet = np.full((height, len(columns) * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, each in enumerate(columns):
        h, w = each.shape[:2]
        sheet[:h, i * (width + GAP) :][:, :w] = each
    with replacing(picture) as aside:
        Image.fromarray(sheet).save(aside, format="JPEG", quality=QUALITY, optimize=True)


def find(shards: Shards, names: tuple[str, ...]) -> list[Sample]:
    """The samples of these names, in their order; raises ValueError for one that is not there."""
    by_name = {sample["name"]: sample for sample in (shards[i] for i in range(len(shards)))}
    for name in names:
        if name not in by_name:
            raise ValueError(
                f"{shards.folder}: no photograph {name}; name others under "
                "draw_teacher.photographs in params.yaml"
            )
    return [by_name[name] for name in names]


def column(sample: Sample, labeller: Labeller, *, side: int) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph, people's attention to it and the teacher's, one under the other."""
    photograph = decode(sample["image"], name=sample["name"])
    small = fit_inside(photograph, side=side)
    (map,), (points,) = labeller.label_images([photograph])
    grid = (labeller.map_size, labeller.map_size)
    rows = [
        small,
        overlay(small, sample["map"], sample["points"], grid=sample["grid"]),
        overlay(small, (map / map.max()).numpy(), points.numpy(), grid=grid),
    ]
    gap = np.full((GAP, small.shape[1], 3), 255, np.uint8)
    return np.concatenate([rows[0], gap, rows[1], gap, rows[2]])


if __name__ == "__main__":
    run(main)
