"""Draw the figures from what the earlier stages left.

    python src/draw_figures.py METRICS ALIGNMENT RETRIEVAL CURVES EXAMPLES FIGURES

alignment.png   distribution over images of CC with human attention (paper §4.2, Fig. 3b)
retrieval.png   precision against recall, clean and corrupted (paper §4.5)
robustness.png  accuracy under each corruption (paper §4.4)
training.png    the loss and its terms by epoch
labels.png      human maps, the teacher's maps and the fixations found in these
attention.png   the maps of people, of the teacher and of each run

METRICS holds a folder a stage, EXAMPLES is one npz; the others hold `<run>-<seed>` files of the
runs of the table `main` and of `seeds`. Lines and bars are means over seeds, bands and whiskers
their standard errors.
"""

from pathlib import Path
from typing import Annotated, Any

import matplotlib
from pydantic import Field

from attnlabels.pipeline.params import PARAMS, check, load, read, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.reporting.figures import (
    STYLE,
    draw_alignment,
    draw_attention,
    draw_labels,
    draw_retrieval,
    draw_robustness,
    draw_training,
    readouts_of,
    write_png,
)
from attnlabels.reporting.legend import RUN_COLOURS


@record
class Runs:
    main: Annotated[dict[str, Any], Field(min_length=1, max_length=len(RUN_COLOURS))]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]


@record
class DrawFigures:
    alignment_set: str
    retrieval_corruption: str
    examples: Annotated[int, Field(ge=1, le=8)]


def main(
    metrics: Path, alignment: Path, retrieval: Path, curves: Path, examples: Path, figures: Path
) -> None:
    p = load(DrawFigures, "draw_figures")
    tree = read()
    runs = check(Runs, {key: tree.get(key) for key in ("main", "seeds")}, where=str(PARAMS))
    seeds, colours = runs.seeds, dict(zip(runs.main, RUN_COLOURS))
    readouts = {name: readouts_of(row) for name, row in runs.main.items()}
    with matplotlib.rc_context(STYLE):
        drawn = {
            "alignment": draw_alignment(
                alignment, colours, readouts, seeds=seeds, subset=p.alignment_set
            ),
            "retrieval": draw_retrieval(
                retrieval, colours, seeds=seeds, corruption=p.retrieval_corruption
            ),
            "robustness": draw_robustness(metrics / "score_robustness", colours, seeds=seeds),
            "training": draw_training(curves, colours, seeds=seeds),
            "labels": draw_labels(examples, p.examples),
            "attention": draw_attention(alignment, readouts, seed=seeds[0], n_examples=p.examples),
        }
        with replacing_folder(figures) as aside:
            aside.mkdir()
            for name, figure in drawn.items():
                write_png(aside / f"{name}.png", figure)


if __name__ == "__main__":
    run(main)
