"""A linear classifier on frozen features, of images that the network did not learn from."""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from attnlabels.bottleneck.frozen import Frozen
from attnlabels.bottleneck.scoring import see_all
from attnlabels.bottleneck.sets import Layout, read_set
from attnlabels.images.squares import resize_centre_crop
from attnlabels.metrics.linear_probe import choose_probe
from attnlabels.pipeline.params import record

Images = UInt8[np.ndarray, "n h w 3"]


@record
class Transfer:
    """The set that a network's features are tried on, and the classifier that is fitted to them."""

    set: str  # its folder; dvc.yaml gives it to the script, and watches it
    layout: Layout
    l2_times_n: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    development: Annotated[float, Field(gt=0, lt=1)]
    tolerance: Annotated[float, Field(gt=0)]
    maximum_iterations: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)]


def score_transfer(frozen: Frozen, folder: Path, p: Transfer, *, batch_size: int) -> dict[str, Any]:
    """Scores of a classifier of the last stage's `features`, and of one of the `code`'s means, on
    the set in `folder`.

    The penalty is chosen on a part of the set's training images, and its test images are scored
    once. No image is mirrored. Raises what `read_set` raises.
    """
    labels, seen = {}, {}
    for split in ("test", "train"):  # with test's it is known whether they fit each other
        images, labels[split] = read_set(p.layout, folder, split=split)
        seen[split] = see_all(frozen, resized(images, frozen.size), batch_size=batch_size)
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
            print(f"warning: {folder}, {of}: {probe.warning}", file=sys.stderr)
    return scores


def resized(images: Images, size: int) -> UInt8[np.ndarray, "n _ _ 3"]:
    """The whole images at the size that a network is shown."""
    return np.stack([resize_centre_crop(each, size=size, crop=1.0) for each in images])
