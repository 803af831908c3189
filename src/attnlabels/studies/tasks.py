"""Whether attention that is closer to people's goes with doing a task better, in tables.

Of a run and a seed there is a file by `train_tasks`. Closeness is the mask's to people's maps of
test examples that nothing learnt from; a run without a mask has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnlabels.metrics.statistics import Mean, mean_se, paired_t
from attnlabels.pipeline.results import read_json
from attnlabels.reporting.differences import with_holm
from attnlabels.reporting.legend import show
from attnlabels.reporting.tables import Row, Table
from attnlabels.studies.association import Association, spearman_in_families

STAGE = "train_tasks"
MEASURES = {"cc": "CC", "nss": "NSS", "sauc": "sAUC"}
SCORE = {"segmentation": "f_adaptive"}  # a task's own; of classes the share of right answers
TOP1 = "top1"
NAMES = {
    "f_adaptive": "F",
    "f_max": "F max",
    "mae": "MAE",
    "s_measure": "S",
    "e_adaptive": "E",
    "top1": "top-1",
}
ORACLE = ("oracle",)
SIDE = "side"  # a mask that is held to people's maps and multiplies nothing
CONTROLS = ("wrong", "centre", "shuffled", SIDE)
SCOPES = {  # of the correlation: which families are left out, and whether it is within families
    "all": ((), False),
    "without oracle": (ORACLE, False),
    "without controls": (CONTROLS, False),
    "masks learnt from people or task": ((*ORACLE, *CONTROLS), False),
    "within families": ((), True),
}
SAID = ("all", "without oracle", "within families")  # what a page opens with; tables have all
TEXTS = {
    "runs": (
        "{task}: scores and closeness to people",
        "Means over {seeds} seeds ± their standard error, on test examples. CC, NSS and sAUC are "
        "of the mask with people's maps of these; `null CC` is CC with other examples' people, "
        "which says what the centre alone is worth. `oracle` runs are given people's maps of the "
        "test examples themselves and are no competitors. `development` is the task's score on "
        "training examples held out, by which λ is chosen. Last, a Gaussian at the centre.",
    ),
    "contrasts": (
        "{task}: one run minus another",
        "The task's score, paired over {seeds} seeds: mean ± standard error, two-sided t-test, and "
        "`holm` the p corrected for all rows. λ of `explicit` and of `side`, whose mask multiplies "
        "nothing, is the one with the best mean on the development part: {chosen}.",
    ),
    "correlations": (
        "Does closeness to people go with the score?",
        "Spearman's correlation over runs (rows of a task × seeds that have a mask) of closeness "
        "and the task's score, and the {level:.3g} % interval of {resamples} bootstrap resamples "
        "of runs within families (runs alike but for λ and seed). `within families`: of what both "
        "are above their family's means.",
    ),
}


class Told(NamedTuple):
    """What was said of one run by one seed."""

    run: str
    seed: int
    family: str
    people: str
    weight: float
    about: dict[str, Any]

    def closeness(self, people: str) -> dict[str, float] | None:
        """To these people; None without a mask."""
        found: dict[str, dict[str, float]] = self.about.get("closeness", {})
        return found.get(people)


def read_task(
    task: str, setting: Mapping[str, Any], seeds: Sequence[int], reports: Path
) -> list[Told]:
    """All runs of a task; raises FileNotFoundError naming what is missing."""
    found = []
    for run, row in setting["runs"].items():
        for seed in seeds:
            about = read_json(reports / f"{task}-{seed}" / f"{run}.json", stage=STAGE)
            found.append(Told(run, seed, row["family"], row["people"], row["weight"], about))
    return found


def score_of(task: str) -> str:
    """The name of the task's own score."""
    return SCORE.get(task, TOP1)


def tabulate(told: Sequence[Told], *, task: str) -> Table:
    """A row a run, and the centre prior of each kind of people."""
    table: Table = {}
    for run, each in by_run(told).items():
        row: Row = {"family": each[0].family}
        for part in ("test", "fused", "development"):
            if part in each[0].about:
                names = each[0].about[part] if part == "test" else [score_of(task)]
                for name in names:
                    title = NAMES[name] if part == "test" else part
                    row[title] = _mean(one.about[part][name] for one in each)
        near = [one.closeness(one.people) for one in each]
        row |= _closeness([one for one in near if one is not None])
        table[run] = row
    for people, priors in _priors(told).items():
        table[f"centre prior, {people}"] = _closeness(priors)
    return table


def by_run(told: Iterable[Told]) -> dict[str, list[Told]]:
    """The seeds of each run."""
    runs: dict[str, list[Told]] = {}
    for each in told:
        runs.setdefault(each.run, []).append(each)
    return runs


def _mean(values: Iterable[float]) -> Mean:
    return mean_se(np.array([*values], np.float64))


def _closeness(near: Sequence[Mapping[str, float]]) -> Row:
    titles = {**MEASURES, "null_cc": "null CC"}
    return {title: _mean(one[key] for one in near) for key, title in titles.items() if near}


def _priors(told: Sequence[Told]) -> dict[str, list[dict[str, float]]]:
    first = by_run(told)[told[0].run]
    return {
        people: [one.about["centre_prior"][people] for one in first]
        for people in told[0].about["centre_prior"]
    }


def choose(told: Sequence[Told], *, task: str, family: str = "explicit") -> dict[str, str]:
    """Of each kind of people, the run of a family that is best on the development part."""
    best: dict[str, tuple[float, str]] = {}
    for run, each in by_run(told).items():
        if each[0].family == family:
            mean = float(np.mean([one.about["development"][score_of(task)] for one in each]))
            before = best.get(each[0].people)
            if before is None or mean > before[0]:
                best[each[0].people] = (mean, run)
    return {people: run for people, (_, run) in best.items()}


def contrast(told: Sequence[Told], pairs: Sequence[tuple[str, str]], *, task: str) -> Table:
    """One run's score minus another's, over seeds."""
    runs, key = by_run(told), score_of(task)
    table: Table = {}
    for one, other in pairs:
        a, b = (np.array([each.about["test"][key] for each in runs[name]]) for name in (one, other))
        test = paired_t(a, b)
        row: Row = {"difference": Mean(test.n, test.difference, test.se)}
        table[f"{one}_minus_{other}"] = row | ({"p": test.p} if test.p is not None else {})
    return with_holm(table)


def pairs_of(told: Sequence[Told], *, task: str) -> list[tuple[str, str]]:
    """What is compared: each chosen explicit run with the implicit one and with the side head.

    Of the same people; wrong ones with the implicit one; and each with none.
    """
    families: dict[str, list[str]] = {}
    for run, each in by_run(told).items():
        families.setdefault(each[0].family, []).append(run)
    explicit, side = (choose(told, task=task, family=each) for each in ("explicit", SIDE))
    chosen = [*explicit.values()]
    implicit, none = families.get("implicit", []), families.get("none", [])[:1]
    pairs = [(run, other) for run in (*chosen, *families.get("wrong", [])) for other in implicit]
    pairs += [(run, side[people]) for people, run in explicit.items() if people in side]
    others = ("oracle", *(each for each in CONTROLS if each != SIDE))
    rest = [
        *implicit,
        *chosen,
        *side.values(),
        *(run for key in others for run in families.get(key, [])),
    ]
    return pairs + [(run, other) for run in rest for other in none]


def points_of(
    told: Sequence[Told], *, task: str, people: str, measure: str
) -> list[tuple[str, float, float]]:
    """Family, closeness to these people and score of each run with a mask.

    Of runs that were held to or given people's maps, those of these people.
    """
    found = []
    for each in told:
        near = each.closeness(people)
        taught = each.family in ("explicit", "oracle", "shuffled", "wrong", SIDE)
        if near is not None and (each.people == people or not taught):
            found.append((each.family, near[measure], each.about["test"][score_of(task)]))
    return found


def correlate(
    told: Sequence[Told], *, task: str, people: str, level: float, resamples: int, seed: int
) -> Table:
    """A row a measure of closeness and a scope."""
    table: Table = {}
    for measure, title in MEASURES.items():
        points = points_of(told, task=task, people=people, measure=measure)
        for scope, (left_out, within) in SCOPES.items():
            kept = [each for each in points if each[0] not in left_out]
            names = sorted({family for family, *_ in kept})
            found = spearman_in_families(
                np.array([near for _, near, _ in kept]),
                np.array([score for *_, score in kept]),
                np.array([names.index(family) for family, *_ in kept], np.int64),
                within=within,
                level=level,
                resamples=resamples,
                seed=seed,
            )
            table[f"{task}, {people}: {title}, {scope}"] = _row(found)
    return table


def _row(found: Association) -> Row:
    named = {"rho": found.rho, "low": found.low, "high": found.high}
    return {"runs": found.n, **{key: value for key, value in named.items() if value is not None}}


def tell_correlations(table: Table) -> list[str]:
    """What is found of CC, in words: one sentence for each kind of people of a task."""
    told: dict[str, list[str]] = {}
    for name, row in table.items():
        whose, _, rest = name.partition(": ")
        measure, _, scope = rest.partition(", ")
        if measure == MEASURES["cc"] and scope in SAID and isinstance(row.get("rho"), float):
            told.setdefault(whose, []).append(f"{scope} {_interval(row)}")
    return [
        f"{whose}: Spearman's correlation of CC with the score: {'; '.join(each)}."
        for whose, each in told.items()
    ]


def _interval(row: Row) -> str:
    rho, low, high = (row.get(key) for key in ("rho", "low", "high"))
    told = f"{rho:+.2f}"
    return f"{told} [{low:+.2f}, {high:+.2f}]" if low is not None else told


def tell_contrasts(table: Table, *, task: str) -> str:
    """The differences of a task, in words, but those from no attention at all."""
    told = []
    for name, row in table.items():
        if name.endswith("_minus_none"):
            continue
        difference = row["difference"]
        assert isinstance(difference, Mean)
        error = f" ± {difference.se:.3f}" if difference.se is not None else ""
        told.append(f"{show(name)} {difference.mean:+.3f}{error}")
    return f"{show(task)}: {'; '.join(told)}."
