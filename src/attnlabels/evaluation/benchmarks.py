"""The paper's benchmarks of frozen features: probe, neighbours, robustness and retrieval."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from tqdm import tqdm

from attnlabels.evaluation.datasets import Opened
from attnlabels.evaluation.features import read_features, read_parts
from attnlabels.metrics.knn import choose_k, score_knn
from attnlabels.metrics.linear_probe import Probe, choose_probe, top1
from attnlabels.metrics.retrieval import (
    require_matches,
    retrieve,
    retrieve_corrupted,
    split_queries,
)
from attnlabels.metrics.robustness import robustness
from attnlabels.readouts.readouts import READOUTS
from attnlabels.testsets.image_sets import ImageSet

CHOSEN = ("development", "l2_times_n", "tolerance")
DEPENDS: Mapping[str, Mapping[str, Sequence[str]]] = {  # a benchmark's scores, by stage, on what
    "probe": {"probe_linear": CHOSEN},
    "knn": {"probe_knn": ("development", "k")},
    "robustness": {"probe_linear": CHOSEN, "score_robustness": (*CHOSEN, "test_seed")},
    "retrieval": {"score_retrieval": ("queries", "test_seed")},
    "retrieval-c": {"score_retrieval": ("queries", "test_seed", "corrupt_queries_alone")},
}
CURVE = ("set", "corruption", "severity", "k", "precision", "recall")

Extract: TypeAlias = Callable[[ImageSet], Path]  # to the folder of a set's features


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What the benchmarks choose from and draw; by default as the pipeline does on photographs.

    Raises ValueError for a share outside of (0, 1), for a tolerance or a penalty that is not above
    0 and finite, for fewer than one neighbour, for nothing to choose from and for a seed below 0.
    """

    development: float = 0.2  # share of the training images, to choose the penalty and k on
    # What is tried first, and gone beyond where the best is at an end (`metrics.search`):
    l2_times_n: Sequence[float] = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)  # penalties of the probe
    tolerance: float = 1e-4  # largest gradient at the probe's end
    k: Sequence[int] = (5, 10, 20, 50, 100, 200)  # numbers of neighbours
    queries: float = 0.1  # share of the test images that ask the others
    test_seed: int = 0  # draws them, and corruptions that are generated: the same for all runs
    corrupt_queries_alone: bool = False  # retrieval-c: against a gallery that is clean
    readouts: Sequence[str] = tuple(READOUTS)  # alignment: how maps are read

    def __post_init__(self) -> None:  # so worded that nan is refused too
        for key in ("development", "queries"):
            if not 0 < (share := getattr(self, key)) < 1:
                raise ValueError(f"{key} {share}: expected a share above 0 and below 1")
        if not 0 < self.tolerance < inf:
            raise ValueError(f"tolerance {self.tolerance}: expected a number above 0")
        if self.test_seed < 0:
            raise ValueError(f"test_seed {self.test_seed}: expected 0 or more")
        if not self.l2_times_n or not all(0 < each < inf for each in self.l2_times_n):
            raise ValueError(f"l2_times_n {self.l2_times_n}: expected numbers above 0, one or more")
        if not self.k or not all(each >= 1 for each in self.k):
            raise ValueError(f"k {self.k}: expected numbers of 1 or more, one or more")

    def of(self, on: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the scores of the benchmarks `on` depend on, by stage."""
        found: dict[str, dict[str, Any]] = {}
        for stage, keys in chain.from_iterable(DEPENDS.get(each, {}).items() for each in on):
            found.setdefault(stage, {}).update({key: getattr(self, key) for key in keys})
        return found


class Scores(NamedTuple):
    """What a stage of the pipeline, and so its file, says of a set or of that and it corrupted."""

    stage: str
    found: dict[str, Any]
    curves: Sequence[Mapping[str, Any]] = ()  # rows of CURVE


def score_sets(
    sets: Mapping[str, Opened],
    extract: Extract,
    *,
    on: Sequence[str],
    scoring: Scoring,
    seed: int,
) -> Iterator[Scores]:
    """The benchmarks `on`, one after the other and set by set, each as soon as it is finished.

    `seed` draws the development part of the training images. Raises ValueError for fewer images
    than a score needs.
    """
    probes: dict[str, Probe] = {}
    if {"probe", "robustness"} & {*on}:
        for key, opened in sets.items():
            probes[key] = _probe(opened, extract, scoring=scoring, seed=seed)
            found = probes[key].score(*read_features(extract(opened.test)))
            yield Scores("probe_linear", {key: found})
    if "knn" in on:
        for key, opened in sets.items():
            yield Scores("probe_knn", {key: _knn(opened, extract, scoring=scoring, seed=seed)})
    if "robustness" in on:
        for key, opened in sets.items():
            yield Scores(
                "score_robustness", {f"{key}_c": _robustness(opened, probes[key], extract)}
            )
    if {"retrieval", "retrieval-c"} & {*on}:
        for key, opened in sets.items():
            asked = opened if "retrieval-c" in on else opened._replace(corrupted=None)
            yield _retrieval(key, asked, extract, scoring=scoring)


def _probe(opened: Opened, extract: Extract, *, scoring: Scoring, seed: int) -> Probe:
    probe = choose_probe(
        *read_features(extract(_given(opened.train))),
        l2_times_n=scoring.l2_times_n,
        development=scoring.development,
        tolerance=scoring.tolerance,
        maximum_iterations=1000,
        seed=seed,
    )
    if probe.warning:
        tqdm.write(f"warning: {_given(opened.train).name}: {probe.warning}", file=sys.stderr)
    return probe


def _knn(opened: Opened, extract: Extract, *, scoring: Scoring, seed: int) -> dict[str, Any]:
    x, y = read_features(extract(_given(opened.train)))
    chosen = choose_k(x, y, k=scoring.k, development=scoring.development, seed=seed)
    return score_knn(chosen, x, y, *read_features(extract(opened.test)))


def _robustness(opened: Opened, probe: Probe, extract: Extract) -> dict[str, Any]:
    corrupted = _given(opened.corrupted)
    clean = top1(*read_features(extract(opened.test)), weight=probe.weight, bias=probe.bias)
    folder, title = extract(corrupted), f"{corrupted.name}, probe"
    scores: dict[str, dict[int, float]] = {}
    for corruption, severity, x in read_parts(folder, corrupted.corruptions(), title=title):
        accuracy = top1(x, corrupted.labels, weight=probe.weight, bias=probe.bias)
        scores.setdefault(corruption, {})[severity] = accuracy
    generated = bool(corrupted.about["generated"])
    own = corrupted.of_imagenet()
    return robustness(scores, clean=clean, generated=generated, of_imagenet=own)


def _retrieval(key: str, opened: Opened, extract: Extract, *, scoring: Scoring) -> Scores:
    clean, labels = read_features(extract(opened.test))
    n_queries = round(scoring.queries * len(labels))
    split = split_queries(len(labels), n_queries=n_queries, seed=scoring.test_seed)
    require_matches(labels, split, classes=opened.classes)
    found, curve = retrieve(clean, clean, labels=labels, split=split)
    scores: dict[str, Any] = {key: found}
    rows = [(key, "clean", 0, *point) for point in curve]
    if opened.corrupted:
        of_set, curves = retrieve_corrupted(
            read_parts(extract(opened.corrupted), opened.corrupted.corruptions(), title=f"{key}_c"),
            clean,
            labels=labels,
            split=split,
            queries_alone=scoring.corrupt_queries_alone,
        )
        about = {
            "generated": opened.corrupted.about["generated"],
            "queries_alone": int(scoring.corrupt_queries_alone),
        }
        scores[f"{key}_c"] = of_set | about
        rows += [(key, *each) for each in curves]
    return Scores("score_retrieval", scores, [dict(zip(CURVE, row)) for row in rows])


def _given(images: ImageSet | None) -> ImageSet:
    assert images is not None  # opened, as some benchmark asked for it
    return images
