"""Tabulate and draw what guidance adds to each method: each guided run minus its baseline.

    python src/compare_methods.py STUDIES METRICS COMPARISON REPORT

STUDIES are tables of params.yaml joined by "+", such as main+methods. Their runs' scores are read
below METRICS; `make_tables` and `compare_methods` say which run is compared with which. COMPARISON
gets a table, as CSV, Markdown and JSON, and a figure of it, guidance.png; REPORT its numbers. A row
is a guided run: its baseline's score and the difference, both means over seeds with their standard
errors, the difference paired over the seeds that both have.

probe           top-1 of linear classifiers on frozen features (§4.3)
map             mean average precision of retrieval (§4.5)
corrupted       the probe's top-1 on ImageNet-C, mean of the 15 corruptions (§4.4)
cc              agreement with people's eye fixations, of the readout fitted to convergence (§4.2)
cc_as_trained   the same of the readout as it was trained along
"""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from attnlabels.metrics.statistics import Mean
from attnlabels.pipeline.params import PARAMS, check, read, record
from attnlabels.pipeline.results import runs_of
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.reporting.differences import baselines_of
from attnlabels.reporting.figures import STYLE, write_png
from attnlabels.reporting.legend import RUN_COLOURS, show
from attnlabels.reporting.scores import Scores, over_seeds, paired_over_seeds, read_scores
from attnlabels.reporting.tables import Row, Table, as_numbers, write_tables

SCORES = {
    "probe": "probe_linear.imagenet.top1",
    "map": "score_retrieval.imagenet.map",
    "corrupted": "score_robustness.imagenet_c.mean",
    "cc": "align_attention.eye.refitted.cc",
    "cc_as_trained": "align_attention.eye.as_trained.cc",
}
DRAWN = {"probe": "probe", "map": "retrieval mAP", "corrupted": "corrupted", "cc": "CC with people"}
TITLE = "What guidance adds to each method"
CAPTION = (
    "Guided minus its baseline, whose head learns behind a stopped gradient, ± over the seeds that "
    "both have, and the baseline's own score. Each method's settings were chosen for its baseline."
)


@record
class Baselines:
    """Of the section `make_tables`."""

    baseline: str
    baselines: dict[str, str | None]


def main(studies: str, metrics: Path, comparison: Path, report: Path) -> None:
    tree = read()
    section = tree.get("make_tables", {})
    told = {key: section.get(key) for key in ("baseline", "baselines")}
    p = check(Baselines, told, where=f"{PARAMS}: make_tables")
    runs = runs_of(studies, tree)
    pairs = baselines_of(runs, tree, default=p.baseline, others=p.baselines)
    scores = {name: read_scores(metrics, each) for name, each in runs.items()}
    table = {name: compare(scores[name], scores[other]) for name, other in pairs.items()}
    with replacing_folder(comparison) as aside, matplotlib.rc_context(STYLE):
        aside.mkdir()
        write_tables(aside, {"guidance": table}, texts={"guidance": (TITLE, CAPTION)})
        write_png(aside / "guidance.png", draw(table))
    write_json(report, as_numbers(table))


def compare(guided: Scores, baseline: Scores) -> Row:
    """A score a pair of columns: of the baseline, and what guidance adds to it."""
    own = over_seeds(baseline, SCORES)
    row: Row = {}
    for key, path in SCORES.items():
        difference = paired_over_seeds(guided, baseline, path)
        if difference is not None:
            row |= {f"{key}_baseline": own[key], f"{key}_difference": difference}
    return row


def draw(table: Table) -> Figure:
    """A panel a score, a row a run: the difference, and one and two standard errors about it."""
    figure = Figure(figsize=(11, 1.2 + 0.34 * len(table)), layout="constrained")
    panels = figure.subplots(1, len(DRAWN), sharey=True)
    for axes, (key, title) in zip(panels, DRAWN.items()):
        axes.axvline(0, color="#777777", linewidth=1)
        axes.set(title=title, xlabel="guided minus baseline")
        for y, row in enumerate(table.values()):
            cell = row.get(f"{key}_difference")
            if not isinstance(cell, Mean):
                continue
            axes.plot(cell.mean, y, "o", color=RUN_COLOURS[1])
            for times, width in ((2, 1.2), (1, 3.0)):
                error = times * (cell.se or 0.0)  # of one seed there is none
                axes.errorbar(cell.mean, y, xerr=error, color=RUN_COLOURS[1], linewidth=width)
    panels[0].set_yticks(range(len(table)), [show(name) for name in table])
    panels[0].invert_yaxis()
    return figure


if __name__ == "__main__":
    run(main)
