"""Pictures of what networks attend to and depend on, from the examples of `score_likeness`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attnlabels.interpretation.pictures import difference
from attnlabels.pipeline.results import Run, read_arrays
from attnlabels.studies.likeness import STAGE
from attnlabels.studies.page import Picture, Pictures

SHOWN = 8  # columns of pictures


def show_attention(runs: Sequence[Run], examples: Path) -> Pictures:
    """Each image as far as each run attends to it, of the run's first seed."""
    rows: list[tuple[str, list[Picture]]] = []
    for run in runs:
        seen = _read(run, examples, "images", "seen_through")
        if not rows:
            rows.append(("image", [*seen["images"][:SHOWN]]))
        rows.append((run.name, [*seen["seen_through"][:SHOWN]]))
    return Pictures(
        "Where the last attention lies",
        "Each image as far as it is attended to (Fig. 4 of the paper); of a network without "
        "attention, by the norm of its features there.",
        rows,
    )


def show_gradients(pairs: Sequence[tuple[Run, Run]], examples: Path) -> Pictures:
    """What the true class depends on in one run and in another, of their first seeds."""
    rows: list[tuple[str, list[Picture]]] = []
    for pair in pairs:
        one, other = (_read(run, examples, "smoothgrad")["smoothgrad"] for run in pair)
        drawn = [difference(a, b) for a, b in zip(one[:SHOWN], other[:SHOWN])]
        rows.append((f"{pair[0].name}_and_{pair[1].name}", drawn))
    return Pictures(
        "What the true class depends on",
        "SmoothGrad of two networks: red where the first one's is higher, blue where the second "
        "one's (Fig. 8 of the paper).",
        rows,
    )


def _read(run: Run, examples: Path, *keys: str) -> dict[str, np.ndarray]:
    return read_arrays(examples / f"{run.name}-{run.seeds[0]}.npz", keys=keys, stage=STAGE)
