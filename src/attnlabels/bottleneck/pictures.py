"""Pictures of masks, from the examples of `score_bottleneck`."""

from collections.abc import Sequence
from pathlib import Path

from attnlabels.bottleneck.tables import STAGE
from attnlabels.interpretation.pictures import seen_through
from attnlabels.pipeline.results import Run, read_arrays
from attnlabels.studies.page import Picture, Pictures

SHOWN = 8  # columns


def show_masks(runs: Sequence[Run], examples: Path) -> Pictures:
    """Each image as far as each run's mask stresses it, of the run's first seed."""
    rows: list[tuple[str, list[Picture]]] = []
    for run in runs:
        path = examples / f"{run.name}-{run.seeds[0]}.npz"
        seen = read_arrays(path, keys=("images", "mask"), stage=STAGE)
        images = [*seen["images"][:SHOWN]]
        if not rows:
            rows.append(("image", images))
        drawn = [seen_through(*each) for each in zip(images, seen["mask"])]
        rows.append((run.name, drawn))
    return Pictures(
        "Where the masks lie",
        "Each image as far as the mean of its mask stresses it, between the least and the most.",
        rows,
    )
