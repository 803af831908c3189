"""Score the teacher against people on images it never saw (paper §3.2, §4.2).

    python src/evaluate_teacher.py TEACHER VAL EYE SCORES EXAMPLES REPORT

VAL are recordings of the kind it was trained on, EYE eye tracking. Beside it stand a centre prior
and, as a ceiling, the correlation of two halves of the observers. SCORES (CSV) has a row an image.
REPORT counts the images for which the teacher's map is constant: those score as chance does.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from attnlabels.evaluation.teacher_scores import COLUMNS, Example, Scored, score_halves, score_set
from attnlabels.images.decoding import resize
from attnlabels.metrics.statistics import spearman_brown
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_arrays, write_metrics, write_rows
from attnlabels.teachers.trained import read_trained


@record
class EvaluateTeacher:
    """The section `evaluate_teacher` of params.yaml."""

    splits: Annotated[int, Field(gt=0)]
    seed: int
    examples: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]


def main(weights: Path, val: Path, eye: Path, scores: Path, examples: Path, report: Path) -> None:
    threads = take_threads()
    p = load(EvaluateTeacher, "evaluate_teacher")
    trained = read_trained(weights)
    summary: dict[str, Any] = {}
    found: dict[str, dict[str, Scored]] = {}
    for name, folder in (("val", val), ("eye", eye)):
        found[name], shown = score_set(
            trained.teacher,
            folder,
            size=trained.image_size,
            batch_size=p.batch_size,
            examples=p.examples,
        )
        halves = np.fromiter(score_halves(folder, splits=p.splits, seed=p.seed), float)
        names, _, values = found[name]["teacher"]
        found[name]["split_half"] = Scored(names, ("cc",), halves[:, None])
        summary[name] = {readout: scored.means() for readout, scored in found[name].items()}
        flat = values[:, COLUMNS.index("floor")] == 1
        summary[name]["teacher"]["constant"] = int(flat.sum())
        summary[name]["n"] = len(names)
        half = summary[name]["split_half"]["cc"]
        summary[name]["split_half"]["cc_all_observers"] = spearman_brown(half)
    write_examples(examples, shown)
    rows = (
        {"set": name, "image": image, "readout": readout, **row}
        for name, readouts in found.items()
        for readout, scored in readouts.items()
        for image, row in scored.rows()
    )
    write_rows(scores, rows, columns=("set", "image", "readout", *COLUMNS))
    write_metrics(report, summary, threads=threads)


def write_examples(path: Path, shown: list[Example]) -> None:
    """The examples with the people's and the teacher's maps, for the figures."""
    h, w = shown[0].map.shape
    recordings = [each.recording for each in shown]
    write_arrays(
        path,
        images=np.stack([resize(each.image, h, w) for each in recordings]),
        human=np.stack([each.density for each in recordings]),
        maps=np.stack([each.map for each in shown]),
        names=np.array([each.name for each in recordings]),
    )


if __name__ == "__main__":
    run(main)
