"""How alike networks and people are, run by run and run against run, as tables.

Of a run there is a file of means a seed and a file of the images' scores, both by
`score_likeness`. Over seeds a network is trained anew, over images it is asked anew: a difference
is tested over both, as either alone could be luck in the other (STUDIES §C.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from attnlabels.metrics.permutations import sign_flips
from attnlabels.metrics.statistics import Mean, mean_se, one_sample_t, t_interval
from attnlabels.pipeline.frames import read_csv
from attnlabels.pipeline.results import Run, read_json
from attnlabels.reporting.differences import with_holm
from attnlabels.reporting.legend import show
from attnlabels.reporting.scores import flatten
from attnlabels.reporting.tables import Row, Table

STAGE = "score_likeness"
# Columns of the tables, by what `score_likeness` calls them in the images' scores and in the means;
# of the latter the numbers are a level below.
MEASURES = {
    "top-1 error": "top1_error",
    "top-5 error": "top5_error",
    "rho gradient": "smoothgrad.rho",
    "rho attention": "attention_last.rho",
    "IoU part": "attention_last.iou_part",
    "IoU object": "attention_last.iou_object",
    "gradient IoU part": "smoothgrad.iou_part",
}
SHARES = {  # of what players agree, each by its ceiling; no image has one of its own
    "share of player": "smoothgrad.share_of_player.share",
    "share of mean": "smoothgrad.share_of_mean_of_players.share",
    "below null": "smoothgrad.share_below_null",
}
# Beside a network's own: what knows nothing of the image, and what nothing was taught.
CONTROLS = {
    "centre prior": {
        "rho gradient": "centre_prior.rho",
        "rho attention": "centre_prior.rho",
        "IoU part": "centre_prior.iou_part",
        "IoU object": "centre_prior.iou_object",
    },
    "random weights": {
        "rho gradient": "random_smoothgrad.rho",
        "rho attention": "random_attention_last.rho",
        "IoU part": "random_attention_last.iou_part",
        "IoU object": "random_attention_last.iou_object",
        "gradient IoU part": "random_smoothgrad.iou_part",
    },
    "chance": {"IoU part": "chance_part", "IoU object": "chance_object"},
}
TESTED = ("top-1 error", "rho gradient", "rho attention", "IoU part")
SEEDS, IMAGES = "p seeds", "p images"
MANNER = ("blur", "map_size", "painted")  # of a run's scores; with another they do not compare
PAPER = {  # Linsley et al. 2019, Table 1: top-1 and top-5 error and share of human variability, %
    "resnet": (63.68, 40.65, 43.61),
    "se": (66.17, 42.48, 64.36),
    "gala": (53.90, 31.04, 64.21),
    "gala_boxes": (58.14, 35.17, 76.42),
    "gala_maps": (49.29, 27.73, 88.56),
    "features_maps": (61.32, 41.42, 31.18),
}
TEXTS = {
    "networks": (
        "Networks and people",
        "Means over seeds, ± their standard error; last, what knows nothing of the image. `rho` is "
        "Spearman's correlation with the mean map of an image's players (blur {blur}, {map_size} "
        "px, {painted} images), of SmoothGrad or of the attention of the last unit with any (of "
        "the features' norm where a network has none); `share` is that of the gradient over how "
        "players agree: two of them (the paper's ceiling), and the root of the reliability of "
        "their mean. `below null` is the share of images below the mean correlation of players of "
        "other classes' images, which the paper calls p. IoU is that of as many pixels as the mask "
        "has. The paper's columns are of 1,000 classes at 224 px: signs compare, sizes do not.",
    ),
    "contrasts": (
        "{measure}: one run minus another",
        "Paired over {seeds} seeds (± standard error, the {level:.3g} % interval of Student's t, "
        "`p seeds`) and over the images, averaged over seeds (`p images`, {permutations} sign "
        "flips). Each p is two-sided, and `holm` the same corrected for all rows of this table. A "
        "difference is found where both are small.",
    ),
    "overlaps": (
        "Overlap with objects of two runs' attention",
        "IoU of the last attention with the object, of as many pixels of both as the sparser one "
        "has above half of its range (the paper's procedure on COCO), averaged over seeds; mean "
        "over images ± standard error, `p images` by {permutations} sign flips. Beside chance and "
        "a centre prior stands the IoU of the first table, of as many pixels as the object has.",
    ),
    "people": (
        "How far people agree",
        "Spearman's correlation, mean over images ± standard error, of players' maps with blur "
        "{blur}: two players of an image; the mean maps of two halves of its players, corrected to "
        "all or filled up; and players of two images, which is the null.",
    ),
}


class Scored(NamedTuple):
    """A run's means, a row a seed, and its images' scores, averaged over seeds."""

    seeds: pd.DataFrame
    images: pd.DataFrame
    about: dict[str, Any]


def read_scored(run: Run, metrics: Path, scores: Path, *, stage: str = STAGE) -> Scored:
    """What `stage` left of a run; raises FileNotFoundError naming what is missing."""
    trees = {
        seed: read_json(metrics / f"{run.name}-{seed}.json", stage=stage) for seed in run.seeds
    }
    means = {seed: flatten(tree) for seed, tree in trees.items()}
    images = [
        read_csv(scores / f"{run.name}-{seed}.csv", columns=("image",), stage=stage)
        for seed in run.seeds
    ]
    for seed, frame in zip(run.seeds, images):
        _require_like(images[0], frame, scores / f"{run.name}-{seed}.csv", stage)
    averaged = pd.concat(images).groupby("image", sort=True).mean(numeric_only=True)
    first = next(iter(trees.values()))
    return Scored(pd.DataFrame.from_dict(means, orient="index"), averaged, first)


def _require_like(first: pd.DataFrame, other: pd.DataFrame, path: Path, stage: str) -> None:
    """Raises ValueError unless two seeds tell the same of the same images, each once."""
    names = other["image"].tolist()
    if len({*names}) < len(names) or names != first["image"].tolist() or {*other} != {*first}:
        raise ValueError(
            f"{path}: of other images than the run's first seed, of one twice, or with other "
            f"columns; run the stage {stage} again"
        )


def read_comparable(
    runs: Mapping[str, Run], metrics: Path, scores: Path, *, stage: str = STAGE
) -> dict[str, Scored]:
    """What `stage` left of some runs.

    Raises ValueError unless it scored all of them on the same images in the same manner, and what
    `read_scored` raises.
    """
    scored = {name: read_scored(run, metrics, scores, stage=stage) for name, run in runs.items()}
    (first, one), *others = scored.items()
    for name, other in others:
        unlike = [key for key in MANNER if one.about.get(key) != other.about.get(key)]
        if not one.images.index.equals(other.images.index):
            unlike.append("images")
        if unlike:
            raise ValueError(
                f"the runs {first} and {name} were scored with another {' and '.join(unlike)}; "
                f"run the stage {stage} again for both"
            )
    return scored


def tabulate(scored: Mapping[str, Scored]) -> Table:
    """A row a run, beside the paper's numbers; then the controls, on the first run's images."""
    columns, table = {**_means(MEASURES), **SHARES}, dict[str, Row]()
    for name, each in scored.items():
        paper = zip(("paper top-1 error", "paper top-5 error", "paper share"), PAPER.get(name, ()))
        table[name] = _row(each, columns) | {key: value / 100 for key, value in paper}
    first = next(iter(scored.values()))
    controls = {title: _row(first, _means(each)) for title, each in CONTROLS.items()}
    return table | {title: row for title, row in controls.items() if row}


def _means(measures: Mapping[str, str]) -> dict[str, str]:
    return {key: f"{path}.mean" for key, path in measures.items()}


def _row(scored: Scored, columns: Mapping[str, str]) -> Row:
    """Means over seeds of what the run has; a network of few classes has no top-5 error."""
    of = scored.seeds
    found = {key: path for key, path in columns.items() if path in of}
    return {key: mean_se(of[path].to_numpy(np.float64)) for key, path in found.items()}


def measured(names: Iterable[str], scored: Mapping[str, Scored]) -> list[str]:
    """Those of the MEASURES that all runs have; without masks there is no overlap."""
    return [
        name for name in names if all(MEASURES[name] in each.images for each in scored.values())
    ]


def contrast(
    path: str,
    scored: Mapping[str, Scored],
    pairs: Sequence[tuple[str, str]],
    *,
    level: float,
    permutations: int,
    seed: int,
    stage: str = STAGE,
) -> Table:
    """One run minus another in what `stage` scores as `path`, over seeds and over images."""
    table = dict[str, Row]()
    for one, other in pairs:
        a, b = scored[one], scored[other]
        mean = f"{path}.mean"
        for name, each in ((one, a), (other, b)):
            told = mean in each.seeds and each.seeds[mean].notna().all()
            if not told or path not in each.images or each.images[path].isna().all():
                raise ValueError(f"the run {name} has no {path}; run the stage {stage} again")
        over_seeds = (a.seeds[mean] - b.seeds[mean]).to_numpy(np.float64)
        over_images = (a.images[path] - b.images[path]).dropna().to_numpy()
        row: Row = {"difference": mean_se(over_seeds)}
        if interval := t_interval(over_seeds, level=level):
            row |= interval._asdict()
        if (p := one_sample_t(over_seeds, 0.0).p) is not None:
            row[SEEDS] = p
        flipped = sign_flips(over_images, permutations=permutations, seed=seed)
        table[f"{one}_minus_{other}"] = row | {IMAGES: flipped.p}
    for column in (SEEDS, IMAGES):
        table = with_holm(table, column, corrected_as=f"{column}, holm")
    return table


def _p_of(row: Row, column: str) -> float | None:
    value = row.get(column)
    return value if isinstance(value, float) else None


def tabulate_people(reliability: Mapping[str, Any]) -> Table:
    """A row a pairing of `measure_reliability`."""
    return {
        pairing: {"rho": Mean(told["n"], told["rho"], told.get("se"))}
        for pairing, told in reliability.items()
        if isinstance(told, Mapping) and "rho" in told
    }


def require_runs(
    key: str, names: Iterable[str], runs: Mapping[str, Run], *, stage: str = "compare_likeness"
) -> None:
    """Raises ValueError if the section of `stage` names at `key` what is no run."""
    unknown = sorted({*names} - {*runs})
    if unknown:
        raise ValueError(
            f"params.yaml: {stage}.{key} names {unknown[0]!r}, which is no run; "
            f"expected some of {', '.join(runs)}"
        )


def tell(table: Table, *, level: float) -> tuple[list[str], list[str]]:
    """The contrasts of a measure in words: those found, over seeds and images alike; the others."""
    found, others = list[str](), list[str]()
    for name, row in table.items():
        ps = [_p_of(row, f"{column}, holm") for column in (SEEDS, IMAGES)]
        if all(p is not None and p < 1 - level for p in ps):
            difference = row["difference"]
            assert isinstance(difference, Mean)
            found.append(f"{show(name)} {difference.mean:+.3f} ± {difference.se:.3f}")
        else:
            others.append(show(name))
    return found, others
