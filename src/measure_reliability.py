"""Measure how far players agree on what matters in an image (Linsley et al. 2019, §2).

    python src/measure_reliability.py PEOPLE REPORT

PEOPLE are shards of players' maps that tell who clicked where. REPORT has means of Spearman's
correlation: of two players of an image; of players of two images, of other classes and of one, the
null; of the mean maps of halves of an image's players, corrected to all of them, and as ClickMe 2.0
fills halves up. Each says its blur and pairing, without which it is not to be compared.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from attnlabels.clickmaps.blurring import Blur
from attnlabels.interpretation.likeness import as_dict
from attnlabels.interpretation.people import read_people
from attnlabels.metrics.reliability import (
    Pairing,
    Players,
    agreement,
    all_pairs,
    bootstrapped_halves,
    one_pair,
    other_class,
    same_class,
    split_halves,
    strangers,
    usable,
)
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_metrics
from attnlabels.recordings.density import Count


@record
class MeasureReliability:
    """The section `measure_reliability`."""

    blur: Blur
    count: Count
    map_size: Annotated[int, Field(gt=1)]
    pairs: Literal["one_pair", "all_pairs"]
    splits: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)]


def main(people: Path, report: Path) -> None:
    threads, p = take_threads(), load(MeasureReliability, "measure_reliability")
    painted = read_people(people, blur_by=p.blur, count=p.count, map_size=p.map_size, crop=1.0)
    found = usable(painted.players)
    if not len(found.kept):
        raise ValueError(
            f"{people}: no image has maps of two players or more; take shards that tell who "
            "clicked where"
        )
    summary: dict[str, Any] = {
        "images": len(found.kept),
        "few_players": found.few_players,
        "flat_maps": found.flat_maps,
        "nobody": painted.nobody,
        "players": float(np.mean([len(maps) for maps in found.players.maps])),
        "map_size": p.map_size,
    }
    for pairing, rhos in correlate(found.players, p).items():
        if len(rhos):  # of images of one class there is no null of others
            summary[pairing] = as_dict(agreement(rhos, blur=p.blur, pairing=pairing))
    write_metrics(report, summary, threads=threads)
    told = {key: each["rho"] for key, each in summary.items() if isinstance(each, dict)}
    print("Spearman's rho:", *(f"{key} {rho:.3f}" for key, rho in told.items()))


def correlate(players: Players, p: MeasureReliability) -> dict[Pairing, np.ndarray]:
    """The correlations of each image, by whose maps they are of; of halves not yet corrected."""
    labels, how = players.labels, {"splits": p.splits, "seed": p.seed}
    pairs = all_pairs(players) if p.pairs == "all_pairs" else one_pair(players, seed=p.seed)
    return {
        p.pairs: pairs,
        "other_class": strangers(players, other_class(labels, seed=p.seed), seed=p.seed),
        "same_class": strangers(players, same_class(labels, seed=p.seed), seed=p.seed),
        "split_halves": split_halves(players, **how),
        "bootstrapped_halves": bootstrapped_halves(players, **how),
    }


if __name__ == "__main__":
    run(main)
