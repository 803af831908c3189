"""Pictures of a study of tasks: closeness against the score, and what runs attend to."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from attnlabels.images.overlays import overlay
from attnlabels.pipeline.results import read_arrays
from attnlabels.reporting.figures import STYLE
from attnlabels.reporting.legend import PRIOR_COLOUR, RUN_COLOURS, show
from attnlabels.studies.page import Picture, Pictures

SHOWN = 6  # columns of pictures
COLOURS = {
    "implicit": RUN_COLOURS[0],
    "explicit": RUN_COLOURS[1],
    "wrong": RUN_COLOURS[4],
    "oracle": RUN_COLOURS[2],
    "centre": PRIOR_COLOUR,
    "shuffled": RUN_COLOURS[3],
    "side": RUN_COLOURS[5],
}
Points = Sequence[tuple[str, float, float]]


def draw_points(panels: Mapping[str, Points], *, none: Sequence[float], score: str) -> Figure:
    """A panel for each kind of people: a point a run, its CC with them and its score.

    The line is the mean score of runs without attention.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 3.6 * len(panels), 4.0), layout="constrained")
        all_axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
        for axes, (title, points) in zip(all_axes, panels.items()):
            for family, colour in COLOURS.items():
                own = [(near, value) for name, near, value in points if name == family]
                if own:
                    axes.scatter(*zip(*own), s=22, color=colour, label=show(family))
            axes.axhline(np.mean(none), color="#000000", linewidth=1, dashes=(2, 3))
            axes.set(xlabel="CC of the mask with people's maps", title=title)
        first = figure.axes[0]
        first.set_ylabel(score)
        first.legend(loc="best")
    return figure


def show_masks(examples: Path, runs: Sequence[str], *, task: str) -> Pictures:
    """The first test examples, where people looked, and what each run attends to."""
    rows: list[tuple[str, list[Picture]]] = []
    for run in runs:
        keys = ("pictures", "people", "masks")
        seen = read_arrays(examples / f"{run}.npz", keys=keys, stage="train_tasks")
        if not rows:
            rows.append(("image", [*seen["pictures"][:SHOWN]]))
            rows.append(("people", _over(seen["pictures"], seen["people"])))
        rows.append((run, _over(seen["pictures"], seen["masks"])))
    return Pictures(
        f"{show(task)}: what is attended to",
        "Test examples and masks over them, of the first seed; of clips the middle frame.",
        rows,
    )


def _over(pictures: np.ndarray, maps: np.ndarray) -> list[Picture]:
    nowhere = np.zeros((0, 2), np.int64)
    return [
        overlay(picture, map / map.max(), nowhere, grid=map.shape)
        for picture, map in zip(pictures[:SHOWN], maps[:SHOWN])
    ]
