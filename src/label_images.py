"""Let the teacher label every image with a map and pseudo fixations (paper §3.3, ImageNet-Attn).

    python src/label_images.py TEACHER IMAGES MANIFEST RECORDINGS SHARDS EXAMPLES

Writes webdataset shards that hold the original image bytes, the map, the points and the label;
shard k those of the MANIFEST's rows from k * shard_size on. Process r of n makes the shards r,
r + n, ..., and any number of processes the same bytes. A labelling that was killed goes on at the
first shard that is not finished. EXAMPLES are the labels of a few images of RECORDINGS, shards of
people's attention, so that one may look at both.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from attnlabels.images.broken import Broken
from attnlabels.images.decoding import decode, resize
from attnlabels.images.folder import read_manifest
from attnlabels.images.tree import ImageFiles
from attnlabels.labelling.batches import Labelling, cut, label_parts
from attnlabels.labelling.labeller import Drawing, Labeller, Sigma, read_labeller
from attnlabels.labelling.photographs import Photographs, require_distinct_keys
from attnlabels.labelling.shares import alone_in, collect
from attnlabels.labelling.skipped import Unlabelled
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, part, record
from attnlabels.pipeline.places import place_of_folder, settle
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_arrays
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.world import joined
from attnlabels.shards.shards import Shards, sha256_of, shard_name
from attnlabels.teachers.shapes import Shape

Count = Annotated[int, Field(gt=0)]

CHANGE_NO_SHARD = {"broken", "processes", "workers", "examples"}  # of the parameters


@record
class LabelImages:
    """The section `label_images` of params.yaml."""

    map_size: Count
    shape: Shape
    sigma: Sigma
    threshold: Annotated[float, Field(gt=0, le=1)]
    maximum_points: Count
    mirror: bool
    broken: Broken
    batch_size: Count
    precision: Literal["fp32", "bf16"]
    processes: Count
    workers: Annotated[int, Field(ge=0)]
    shard_size: Count
    examples: Count


def main(
    weights: Path, images: Path, manifest: Path, recordings: Path, shards: Path, examples: Path
) -> None:
    place_of_folder(shards)
    settle(examples)
    take_threads()
    p = load(LabelImages, "label_images")
    listed, people = read_manifest(manifest), Shards(recordings)
    source = ImageFiles(images, listed)
    require_distinct_keys(source)
    labeller = build_labeller(weights, p)
    photographs = Photographs(source, labeller.image_size, shape=p.shape)
    labelling = Labelling(photographs, labeller, p.broken, p.batch_size, p.workers)
    rows = cut(range(len(photographs)), p.shard_size)
    parts = {shard_name(number): some for number, some in enumerate(rows)}
    values = {key: value for key, value in vars(p).items() if key not in CHANGE_NO_SHARD}
    with joined() as world:
        about = [values, str(images), world.device.type, code_of(Path(__file__))]
        scratch = Scratch(f"labels-{fingerprint(about, [weights, manifest])}")
        with alone_in(scratch, world):
            try:
                label_parts(labelling, parts, scratch.folder, world=world)
            except Unlabelled as error:
                raise ValueError(f"{error}, or set label_images.broken to skip") from error
            if not world.first:
                return
            manner = labeller.manner.said()
            drawn_by = {"kind": "teacher", "sha256": sha256_of(weights), **manner}
            collect(scratch.folder, shards, [*parts], maps_by=drawn_by, classes=listed.classes)
            write_examples(examples, people, labeller, count=p.examples)
            scratch.clear()


def build_labeller(weights: Path, p: LabelImages) -> Labeller:
    """The teacher, as the parameters have it label."""
    return read_labeller(weights, part(Drawing, p))


def write_examples(path: Path, people: Shards, labeller: Labeller, *, count: int) -> None:
    """The first `count` images of `people` with people's maps and with their labels."""
    samples = [people[i] for i in range(min(count, len(people)))]
    images = [decode(each["image"], name=each["name"]) for each in samples]
    maps, points = labeller.label_images(images)
    padded = np.full((len(points), labeller.manner.maximum_points, 2), -1, np.int16)
    for row, some in zip(padded, points):
        row[: len(some)] = some.numpy()
    h, w = samples[0]["map"].shape
    write_arrays(
        path,
        images=np.stack([resize(each, h, w) for each in images]),
        human=np.stack([each["map"] for each in samples]),
        teacher=np.stack(maps),
        points=padded,
        names=np.array([each["name"] for each in samples]),
    )


if __name__ == "__main__":
    run(main, before=lambda: launch(load(LabelImages, "label_images").processes))
