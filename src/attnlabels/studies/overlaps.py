"""Overlap of two runs' attention with objects, of equally many pixels: the paper's procedure.

As Linsley et al. 2019 compare two networks on COCO: of both as many pixels as the sparser one has
above half of its range. The examples of `score_likeness` have maps and masks.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from attnlabels.interpretation.overlap import iou_of_both
from attnlabels.metrics.permutations import sign_flips
from attnlabels.metrics.statistics import mean_se
from attnlabels.pipeline.results import Run, read_arrays
from attnlabels.reporting.tables import Table
from attnlabels.studies.likeness import IMAGES, STAGE

KEYS = ("names", "object", "attention_last")


def contrast_overlaps(
    pairs: Sequence[tuple[Run, Run]], examples: Path, *, permutations: int, seed: int
) -> Table:
    """A row a pair of runs: the IoU of each, mean over images, and the test of their difference.

    Of the images that have an object, averaged over seeds. Raises ValueError for runs that were
    scored on other images, and where no image has an object.
    """
    table: Table = {}
    for one, other in pairs:
        both = zip(one.seeds, other.seeds)
        of_seeds = [_overlaps(_file(one, a, examples), _file(other, b, examples)) for a, b in both]
        ious = np.mean(of_seeds, axis=0)
        test = sign_flips(ious[:, 0] - ious[:, 1], permutations=permutations, seed=seed)
        table[f"{one.name}_minus_{other.name}"] = {
            "first": mean_se(ious[:, 0]),
            "second": mean_se(ious[:, 1]),
            "difference": mean_se(ious[:, 0] - ious[:, 1]),
            IMAGES: test.p,
        }
    return table


def _overlaps(one: Path, other: Path) -> Float[np.ndarray, "n 2"]:
    a, b = (read_arrays(path, keys=KEYS, stage=STAGE) for path in (one, other))
    if a["names"].tolist() != b["names"].tolist():
        raise ValueError(f"{one} and {other} are of other images; run the stage {STAGE} again")
    chosen = a["object"].any(axis=(1, 2))
    if not chosen.any():
        raise ValueError(f"{one}: no image has an object; give {STAGE} their masks")
    rows = zip(*(each[chosen] for each in (a["attention_last"], b["attention_last"], a["object"])))
    return np.array([iou_of_both(*row)[:2] for row in rows])


def _file(run: Run, seed: int, examples: Path) -> Path:
    return examples / f"{run.name}-{seed}.npz"
