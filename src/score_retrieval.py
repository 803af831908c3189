"""Score image retrieval with frozen features, on clean and on corrupted images (paper §4.5).

    python src/score_retrieval.py RUN SEED FEATURES CURVES REPORT

A part of the images are queries, the others the gallery, ranked by cosine similarity; relevant is
what is of the query's class. The queries are drawn once, the same for all runs and corruptions.
REPORT has mean average precision (`map`), CURVES (CSV) precision and recall at some k, both means
over queries; clean rows have the corruption "clean" and severity 0.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from attnlabels.evaluation.features import (
    read_corrupted,
    read_features,
    read_parts,
    require_same_images,
)
from attnlabels.metrics.retrieval import retrieve, retrieve_corrupted, split_queries
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_metrics, write_rows

SETS = {  # clean, corrupted
    "imagenet": ("imagenet_val", "imagenet_c"),
    "cifar10": ("cifar10_test", "cifar10_c"),
}
REPORTED = ("map", "pr_area", "precision_at_10", "n_queries", "n_gallery")
COLUMNS = ("set", "corruption", "severity", "k", "precision", "recall")


@record
class ScoreRetrieval:
    seed: int
    queries: Annotated[float, Field(gt=0, lt=1)]
    corrupted: Literal["whole_set", "queries"]


def main(name: str, seed: int, features: Path, curves: Path, report: Path) -> None:
    threads = take_threads()
    p = load(ScoreRetrieval, "score_retrieval")
    scores: dict[str, dict[str, Any]] = {}
    rows: list[tuple[Any, ...]] = []
    for key, (clean_set, corrupted_set) in SETS.items():
        require_same_images(features / clean_set, features / corrupted_set)
        clean, labels = read_features(features / clean_set)
        split = split_queries(len(labels), n_queries=round(p.queries * len(labels)), seed=p.seed)
        found, curve = retrieve(clean, clean, labels=labels, split=split)
        scores[key] = {each: found[each] for each in REPORTED}
        rows += [(key, "clean", 0, *point) for point in curve]

        corruptions = read_corrupted(features / corrupted_set).corruptions
        scores[corrupted_set], corrupted_curve = retrieve_corrupted(
            read_parts(features / corrupted_set, corruptions, title=corrupted_set),
            clean,
            labels=labels,
            split=split,
            queries_alone=p.corrupted == "queries",
        )
        rows += [(key, *each) for each in corrupted_curve]

    write_rows(curves, [dict(zip(COLUMNS, row)) for row in rows], columns=COLUMNS)
    write_metrics(report, scores, threads=threads)
    print(f"{name}, seed {seed}, mAP:", *(f"{key} {scores[key]['map']:.4f}" for key in scores))


if __name__ == "__main__":
    run(main)
