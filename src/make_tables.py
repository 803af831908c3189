"""Gather the scores of all runs and seeds into the paper's tables, with tests of the differences.

    python src/make_tables.py STUDIES METRICS DATA TABLES REPORT

STUDIES are tables of params.yaml joined by "+", such as main+table1. Their runs' scores are read
below METRICS, the images' scores below DATA (attnlabels.pipeline.results says where), and no other
file. Each table is left as CSV and Markdown in TABLES, all of them for the report in tables.json
there, and in made_by.json what machines their scores are of; their numbers are in REPORT. Means are
over seeds and "±" is their standard error; the tests over images first average an image's CC over
seeds. A cell is empty where a run has no such score, and says why where the score cannot be told.

accuracy          top-1 of the probes beside Table 1 of the paper
robustness_*      top-1 for each corruption, beside the paper's poster (§4.4)
retrieval         mean average precision, clean and corrupted (§4.5)
alignment         agreement with people, beside the centre prior, the teacher and people (§4.2)
cc_above_zero     is the CC with people above 0, over the images of a set
cc_differences    does it differ between two models
cc_equivalence    is a run's that of its teacher, within a margin
teachers          with the study `ablations`: agreement with people of other teachers (§3.2)
teachers_cc       and does its CC differ from the teacher's
differences_*     a run minus its baseline, paired over the seeds that both have
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from attnlabels.metrics.statistics import bootstrap_interval, fewest_for_bootstrap, t_interval
from attnlabels.pipeline.params import load, read, record
from attnlabels.pipeline.results import read_json, runs_of
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.reporting.differences import (
    above_zero,
    baselines_of,
    compare_cc,
    compare_scores,
    compare_teachers,
    equate_cc,
)
from attnlabels.reporting.paper import (
    scale_of,
    tabulate,
    tabulate_teachers,
    teachers_of,
    texts_of,
)
from attnlabels.reporting.scores import ABLATIONS, read_cc, read_makers, read_scores
from attnlabels.reporting.tables import Table, as_numbers, write_tables


@record
class MakeTables:
    baseline: str
    baselines: dict[str, str | None]
    equivalence_margin: Annotated[float, Field(gt=0)]
    level: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Annotated[int, Field(ge=1000)]
    seed: Annotated[int, Field(ge=0)]


def main(studies: str, metrics: Path, data: Path, tables: Path, report: Path) -> None:
    p = load(MakeTables, "make_tables")
    tree = read()
    runs = runs_of(studies, tree)
    baselines = baselines_of(runs, tree, default=p.baseline, others=p.baselines)
    scores = {name: read_scores(metrics, each) for name, each in runs.items()}
    teacher = read_json(metrics / "evaluate_teacher.json", stage="evaluate_teacher")
    cc = read_cc(data, runs, scores)
    bootstrap = partial(bootstrap_interval, level=p.level, resamples=p.resamples, seed=p.seed)
    intervals = {"t": partial(t_interval, level=p.level), "bootstrap": bootstrap}
    narrow = 2 * p.level - 1  # an interval of it says what two one-sided tests at 1 - level say

    made: dict[str, Table] = {
        **tabulate(scores, baselines, teacher=teacher),
        "cc_above_zero": above_zero(cc, intervals=intervals),
        "cc_differences": compare_cc(cc, baselines, runs=list(runs), intervals=intervals),
        "cc_equivalence": equate_cc(
            cc, runs=list(baselines), margin=p.equivalence_margin, level=narrow
        ),
    }
    if ABLATIONS in {each.study for each in runs.values()}:
        teachers = teachers_of(tree)
        made["teachers"] = tabulate_teachers(metrics, teachers, default=teacher)
        made["teachers_cc"] = compare_teachers(data, teachers, cc, intervals=intervals)
    for name, baseline in baselines.items():
        made[f"differences_{name}"] = compare_scores(
            scores[name], scores[baseline], intervals=intervals
        )

    values: dict[str, Any] = {
        "scale": scale_of(tree),
        "margin": p.equivalence_margin,
        "level": 100 * p.level,
        "narrow": 100 * narrow,
        "fewest": fewest_for_bootstrap(p.level),
    }
    texts = {key: texts_of(key, scores, baselines, values=values) for key in made}
    with replacing_folder(tables) as aside:
        aside.mkdir()
        write_tables(aside, made, texts=texts)
        write_json(aside / "made_by.json", {"made_by": read_makers(metrics, runs.values())})
    write_json(report, {key: as_numbers(table) for key, table in made.items()})


if __name__ == "__main__":
    run(main)
