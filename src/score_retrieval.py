"""Score image retrieval with frozen features, on clean and on corrupted images (paper §4.5).

    python src/score_retrieval.py RUN SEED FEATURES CURVES REPORT

A part of the images are queries, the others the gallery, ranked by cosine similarity; relevant is
what is of the query's class. The queries are drawn once, the same for all runs and corruptions.
REPORT has mean average precision (`map`), CURVES (CSV) precision and recall at some k, both means
over queries; clean rows have the corruption "clean" and severity 0.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float16, Int, Int64
from pydantic import Field
from tqdm import tqdm

from attnlabels.datasets.corruptions import CORRUPTIONS, EXTRA, SEVERITIES
from attnlabels.datasets.features import read_features, require_same_images
from attnlabels.metrics.retrieval import (
    k_grid,
    pr_area,
    rank_matches,
    score_ranks,
    split_queries,
)
from attnlabels.params import load, record
from attnlabels.report import write_json, write_rows
from attnlabels.script import run

SETS = {  # clean, corrupted
    "imagenet": ("imagenet_val", "imagenet_c"),
    "cifar10": ("cifar10_test", "cifar10_c"),
}
COLUMNS = ("set", "corruption", "severity", "k", "precision", "recall")


@record
class ScoreRetrieval:
    seed: int
    queries: Annotated[float, Field(gt=0, lt=1)]
    corrupted: Literal["whole_set", "queries"]


def main(name: str, seed: int, features: Path, curves: Path, report: Path) -> None:
    p = load(ScoreRetrieval, "score_retrieval")
    scores: dict[str, dict[str, Any]] = {}
    rows: list[tuple] = []
    for key, (clean_set, corrupted_set) in SETS.items():
        require_same_images(features / clean_set, features / corrupted_set)
        clean, labels = read_features(features / clean_set)
        split = split_queries(len(labels), n_queries=round(p.queries * len(labels)), seed=p.seed)
        scores[key], curve = retrieve(clean, clean, labels=labels, split=split)
        rows += [(key, "clean", 0, *point) for point in curve]

        scores[corrupted_set] = {}
        for corruption in tqdm((*CORRUPTIONS, *EXTRA), desc=corrupted_set, disable=None):
            by_severity = {}
            for severity in SEVERITIES:
                x, _ = read_features(features / corrupted_set, f"{corruption}-{severity}")
                gallery = x if p.corrupted == "whole_set" else clean
                score, curve = retrieve(x, gallery, labels=labels, split=split)
                by_severity[str(severity)] = score["map"]
                rows += [(key, corruption, severity, *point) for point in curve]
            mean = float(np.mean([*by_severity.values()]))
            scores[corrupted_set][corruption] = {"mean": mean, **by_severity}
        means = [each["mean"] for each in scores[corrupted_set].values()]
        scores[corrupted_set]["map"] = float(np.mean(means))

    write_rows(curves, [dict(zip(COLUMNS, row)) for row in rows], columns=COLUMNS)
    write_json(report, scores)
    print(f"{name}, seed {seed}, mAP:", *(f"{key} {scores[key]['map']:.4f}" for key in scores))


def retrieve(
    queries: Float16[np.ndarray, "n d"],
    gallery: Float16[np.ndarray, "n d"],
    *,
    labels: Int64[np.ndarray, "n"],
    split: tuple[Int[np.ndarray, "q"], Int[np.ndarray, "g"]],
) -> tuple[dict[str, float], list[tuple[int, float, float]]]:
    """Scores of images split[0] of `queries` against split[1] of `gallery`, and (k, P, R) rows."""
    asked, stored = split
    if len(stored) < 10:
        raise ValueError(
            f"a gallery of {len(stored)} images has no precision at 10; take more images or lower "
            "score_retrieval.queries"
        )
    ranks = rank_matches(queries, gallery, labels=labels, split=split)
    found = score_ranks(ranks, n_gallery=len(stored))
    scores = {
        "map": found.map,
        "pr_area": pr_area(found.precision, found.recall),
        "precision_at_10": float(found.precision[9]),
        "n_queries": len(asked),
        "n_gallery": len(stored),
    }
    k = k_grid(len(stored))
    precision, recall = found.precision[k - 1].round(6), found.recall[k - 1].round(6)
    return scores, list(zip(k.tolist(), precision.tolist(), recall.tolist()))


if __name__ == "__main__":
    run(main)
