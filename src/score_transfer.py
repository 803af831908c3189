"""Score a linear classifier on a network's frozen features, of images it did not learn from.

    python src/score_transfer.py WEIGHTS SET CLASSES REPORT

SET holds a set of labelled images as `score_transfer.layout` says, CLASSES shards of those that the
network learnt. Features are those of the last stage and the means of the code; the penalty is
chosen on a part of the set's training images, and its test images are scored once. No image is
mirrored.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from attnlabels.bottleneck.frozen import open_network
from attnlabels.bottleneck.scoring import see_all
from attnlabels.bottleneck.sets import Layout, read_set
from attnlabels.images.squares import resize_centre_crop
from attnlabels.metrics.linear_probe import choose_probe
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_metrics
from attnlabels.shards.shards import Shards


@record
class ScoreTransfer:
    """The section `score_transfer`."""

    set: str  # given to this script by dvc.yaml, which watches it
    layout: Layout
    batch_size: Annotated[int, Field(gt=0)]
    l2_times_n: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    development: Annotated[float, Field(gt=0, lt=1)]
    tolerance: Annotated[float, Field(gt=0)]
    maximum_iterations: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)]


def main(weights: Path, folder: Path, classes: Path, report: Path) -> None:
    threads, p = take_threads(), load(ScoreTransfer, "score_transfer")
    frozen = open_network(weights, n_classes=len(Shards(classes).classes))
    labels, seen = {}, {}
    for split in ("train", "test"):
        images, labels[split] = read_set(p.layout, folder, split=split)
        seen[split] = see_all(frozen, resized(images, frozen.size), batch_size=p.batch_size)
    scores: dict[str, Any] = {}
    for of in ("features", "code"):
        probe = choose_probe(
            getattr(seen["train"], of),
            labels["train"],
            l2_times_n=p.l2_times_n,
            development=p.development,
            tolerance=p.tolerance,
            maximum_iterations=p.maximum_iterations,
            seed=p.seed,
        )
        scores[of] = probe.score(getattr(seen["test"], of), labels["test"])
        if probe.warning:
            print(f"warning: {of}: {probe.warning}", file=sys.stderr)
    write_metrics(report, scores, threads=threads)


def resized(images: UInt8[np.ndarray, "n h w 3"], size: int) -> UInt8[np.ndarray, "n _ _ 3"]:
    """The whole images at the size that a network is shown."""
    return np.stack([resize_centre_crop(each, size=size, crop=1.0) for each in images])


if __name__ == "__main__":
    run(main)
