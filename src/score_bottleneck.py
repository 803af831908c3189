"""Score what a network through a bottleneck attends to, and what it lets pass.

    python src/score_bottleneck.py WEIGHTS IMAGES OBJECTS SET SCORES EXAMPLES REPORT

IMAGES are shards of test images with classes, OBJECTS a folder of the masks of their objects,
`<class>/<stem>.png`, and SET one of other labelled images, as `transfer.layout` says. SCORES (CSV)
tells of each image whether it is classified rightly, the bits of its code and mask, IoU of mask and
gradient with the object, beside chance, the areas under deletion and insertion in the order of
either and at random, of some images, and accuracy, IoU and likeness of the mask under changes that
leave the object alone or the class. REPORT has their means, and the scores of a linear classifier
of SET's images on the network's frozen features; EXAMPLES (npz) the mean curves, and of a few
images the pixels, object and maps.
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from attnlabels.bottleneck.changes import changes_of
from attnlabels.bottleneck.frozen import open_network
from attnlabels.bottleneck.scoring import (
    columns_of,
    draw_some,
    idle_anchors,
    maps_of,
    read_tested,
    score_curves,
    score_maps,
    score_stability,
    see_all,
)
from attnlabels.bottleneck.transfer import Transfer, score_transfer
from attnlabels.interpretation.likeness import means_of
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_arrays, write_metrics, write_rows
from attnlabels.shards.shards import Shards

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@record
class ScoreBottleneck:
    """The section `score_bottleneck`."""

    curve_images: Count
    shares: Annotated[tuple[Share, ...], Field(min_length=2)]
    cells: Count
    patch: Annotated[float, Field(gt=0, lt=1)]
    radii: tuple[Annotated[float, Field(gt=0)], ...]
    batch_size: Count
    examples: Count
    seed: Annotated[int, Field(ge=0)]
    transfer: Transfer


def main(
    weights: Path,
    images: Path,
    objects: Path,
    other: Path,
    scores: Path,
    examples: Path,
    report: Path,
) -> None:
    threads, p = take_threads(), load(ScoreBottleneck, "score_bottleneck")
    frozen = open_network(weights, n_classes=len(Shards(images).classes))
    tested = read_tested(images, objects, size=frozen.size, crop=frozen.crop)
    transfer = score_transfer(frozen, other, p.transfer, batch_size=p.batch_size)
    seen = see_all(frozen, tested.images, batch_size=p.batch_size)
    maps = maps_of(frozen, tested, seen, batch_size=p.batch_size)
    of_maps = score_maps(tested, seen, maps)
    some = draw_some(len(tested.names), p.curve_images, seed=p.seed)
    of_curves, curves = score_curves(
        frozen,
        tested.images[some],
        tested.labels[some],
        {name: each[some] for name, each in maps.items()},
        shares=p.shares,
        cells=p.cells,
        seed=p.seed,
        batch_size=p.batch_size,
    )
    changes = changes_of(side=p.patch, radii=p.radii)
    of_changes = score_stability(
        frozen, tested, seen, changes, seed=p.seed, batch_size=p.batch_size
    )
    rows = [a | b for a, b in zip(of_maps, of_changes)]
    for i, more in zip(some.tolist(), of_curves):
        rows[i] |= more
    idle = idle_anchors(frozen, seen)
    tell_idle(**idle)
    named = [{"image": name, **row} for name, row in zip(tested.names, rows)]
    columns = [*(key for row in named for key in row), *columns_of(changes, seen)]
    write_rows(scores, named, columns=[*dict.fromkeys(columns)])
    few = some[: p.examples]
    shown = {name: each[few].astype(np.float32) for name, each in maps.items()}
    write_arrays(
        examples,
        images=tested.images[few],
        object=np.stack([tested.objects[i] for i in few]),
        shares=np.array(p.shares),
        **(curves | shown),
    )
    about = {"images": len(rows), "curve_images": len(of_curves)}
    write_metrics(report, about | idle | means_of(rows) | {"transfer": transfer}, threads=threads)


def tell_idle(anchors: int = 0, idle: int = 0) -> None:
    """Warn of anchors that never win."""
    if idle:
        told = f"{idle} of {anchors} anchors are nearest to no cell of any image; fewer would do"
        print(f"warning: {told}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
