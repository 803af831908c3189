"""Tests of differences: between runs over seeds, between maps over images (§4.2 to §4.5)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from attnlabels.metrics.statistics import (
    Interval,
    TTest,
    holm,
    one_sample_t,
    paired_equivalence,
    paired_t,
    t_interval,
    welch_t,
)
from attnlabels.pipeline.frames import read_csv
from attnlabels.pipeline.results import Run, baseline_of, folder_of, own_baselines
from attnlabels.reporting.scores import (
    ABLATIONS,
    ALIGNMENT_SETS,
    CC_COLUMNS,
    COMPARED,
    READOUTS,
    Scores,
    of_seeds,
    over_images,
)
from attnlabels.reporting.tables import Cell, Row, Table

BY_IMAGE = "CC with people over images, an image's averaged over seeds"
TESTS = (
    "`p` is two-sided, of one test; `p holm` is that corrected for all rows of this table. The "
    "intervals hold {level:.3g} %: Student's t, and the bootstrap's (BCa), which needs {fewest} "
    "values or more."
)
TEXTS = {  # title and caption of a table
    "cc_above_zero": ("Agreement above chance", f"{BY_IMAGE}. {TESTS}"),
    "cc_differences": (
        "Differences in agreement",
        f"{BY_IMAGE} (against a run's baseline, over the seeds that both have); the paired test "
        f"first, then Welch's. {TESTS}",
    ),
    "cc_equivalence": (
        "Agreement equal to the teacher's",
        f"{BY_IMAGE}: a run minus the teacher. A small p says that they differ by less than "
        "{margin} (TOST, paired), as does the {narrow:.3g} % interval by lying within it; "
        "`p holm` is `p` corrected for all rows of this table.",
    ),
    "teachers_cc": (
        "Other teachers: differences in agreement",
        f"CC with people over images; the paired test first, then Welch's. {TESTS}",
    ),
}
TEXT = (  # the same of a table `differences_<run>`
    "{run} minus {baseline}",
    "{run} minus {baseline}, paired over the seeds that both have; then Welch's test of all "
    f"seeds. {TESTS}",
)

Intervals = Mapping[str, Callable[[np.ndarray], Interval | None]]  # of a mean, by their names


def baselines_of(
    runs: Mapping[str, Run],
    tree: Mapping[str, Any],
    *,
    default: str,
    others: Mapping[str, str | None],
) -> dict[str, str]:
    """What each run that is compared is compared with: `others` says it, or it is `default`.

    `others` are `make_tables.baselines`; those of the runs' own studies are looked up in `tree`.
    Raises ValueError for what is no run, and for two runs that share no seed.
    """
    others = {**others, **own_baselines(runs, tree)}
    tables = {key: table for key, table in tree.items() if isinstance(table, Mapping)}
    unknown = {*others} - {*tables}.union(*tables.values())  # a run may be of another study
    if unknown:
        raise ValueError(f"make_tables.baselines has {min(unknown)!r}, which is no run or study")
    studies = "+".join(dict.fromkeys(each.study for each in runs.values()))
    baselines = {}
    for name, each in runs.items():
        baseline = baseline_of(each, default=default, others=others)
        if baseline is None:
            continue
        if baseline not in runs:
            raise ValueError(
                f"make_tables: {name} is to be compared with {baseline!r}, expected a run of "
                f"`{studies}`"
            )
        if not {*each.seeds} & {*runs[baseline].seeds}:
            raise ValueError(
                f"{name} and {baseline}, which it is compared with, share no seed; give "
                "study_seeds some of seeds"
            )
        baselines[name] = baseline
    return baselines


def above_zero(cc: Mapping[str, pd.DataFrame], *, intervals: Intervals) -> Table:
    table: Table = {}
    for key, each in cc.items():
        values = over_images(each)
        test = one_sample_t(values, 0.0)
        table[key] = _cells_of(test, values, "cc", unit="image", intervals=intervals)
    return with_holm(table)


def compare_cc(
    cc: Mapping[str, pd.DataFrame],
    baselines: Mapping[str, str],
    *,
    runs: Sequence[str],
    intervals: Intervals,
) -> Table:
    """Each run against its baseline, the teacher and the centre prior, over images."""
    table: Table = {}
    for subset, readout, name in product(ALIGNMENT_SETS, READOUTS, runs):
        key = f"{subset}_{name}_{readout}"
        if key not in cc:
            continue
        others = {other: f"{subset}_{other}" for other in ("teacher", "centre_prior")}
        pairs = {other: (cc[key], cc[path]) for other, path in others.items()}
        baseline = f"{baselines.get(name)}_{readout}"
        if f"{subset}_{baseline}" in cc:
            shared = cc[key].align(cc[f"{subset}_{baseline}"], join="inner")
            pairs = {baseline: shared, **pairs}
        for other, frames in pairs.items():
            a, b = map(over_images, frames)
            table[f"{key}_minus_{other}"] = _compare(a, b, unit="image", intervals=intervals)
    return with_holm(table)


def compare_teachers(
    data: Path, names: Sequence[str], cc: Mapping[str, pd.DataFrame], *, intervals: Intervals
) -> Table:
    """Each other teacher against the teacher, over images."""
    found = {}
    for name in names:
        path = folder_of(data, ABLATIONS) / "alignment" / f"teacher-{name}.csv"
        rows = read_csv(path, columns=CC_COLUMNS, stage="evaluate_teacher")
        found[name] = rows[rows["readout"] == "teacher"].set_index(["set", "image"])["cc"]
    table: Table = {}
    for subset, name in product(ALIGNMENT_SETS, names):
        ours = cc[f"{subset}_teacher"]
        theirs = found[name].loc[subset].reindex(ours.index)
        if theirs.isna().any():
            raise ValueError(
                f"the teacher {name} is not scored on all images of the set {subset!r}; run the "
                "stage evaluate_teacher for it again"
            )
        table[f"{subset}_{name}_minus_teacher"] = _compare(
            theirs.to_numpy(), over_images(ours), unit="image", intervals=intervals
        )
    return with_holm(table)


def equate_cc(
    cc: Mapping[str, pd.DataFrame], *, runs: Sequence[str], margin: float, level: float
) -> Table:
    """Whether a run's CC is the teacher's, over images (the paper: no difference, p = 0.7)."""
    table: Table = {}
    for subset, readout, name in product(ALIGNMENT_SETS, READOUTS, runs):
        if f"{subset}_{name}_{readout}" in cc:
            a = over_images(cc[f"{subset}_{name}_{readout}"])
            b = over_images(cc[f"{subset}_teacher"])
            test = paired_equivalence(a, b, margin=margin)
            cells: dict[str, Cell | None] = {
                "difference": test.difference,
                "se": test.se,
                "p": test.p,
                "images": test.n,
                **_ends("t", t_interval(a - b, level=level)),
            }
            key = f"{subset}_{name}_{readout}_and_teacher"
            table[key] = _told(cells, n=test.n, unit="image")
    return with_holm(table)


def compare_scores(scores: Scores, baseline: Scores, *, intervals: Intervals) -> Table:
    table: Table = {key: {} for key in COMPARED}
    for key, path in COMPARED.items():
        one, other = of_seeds(scores, path), of_seeds(baseline, path)
        if one is not None and other is not None:
            a, b = (each.to_numpy() for each in one.align(other, join="inner"))
            table[key] = {
                **_compare(a, b, unit="seed", intervals=intervals),
                **_welch_cells(one.to_numpy(), other.to_numpy(), unit="seed"),
            }
    return with_holm(table)


def _compare(
    a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"], *, unit: str, intervals: Intervals
) -> Row:
    """a - b, of the same images or seeds in the same order."""
    test = paired_t(a, b)
    return {
        **_cells_of(test, a - b, "difference", unit=unit, intervals=intervals),
        **_welch_cells(a, b, unit=unit),
    }


def _cells_of(
    test: TTest, values: Float[np.ndarray, "_"], subject: str, *, unit: str, intervals: Intervals
) -> Row:
    """A test of the mean of `values`, which `subject` names; its cells."""
    cells: dict[str, Cell | None] = {
        subject: test.difference,
        "se": test.se,
        "t": test.t,
        "p": test.p,
        f"{unit}s": test.n,
    }
    for key, interval in intervals.items():
        cells |= _ends(key, interval(values))
    return _told(cells, n=test.n, unit=unit)


def _ends(key: str, interval: Interval | None) -> dict[str, Cell | None]:
    low, high = interval or (None, None)
    return {f"{key}_low": low, f"{key}_high": high}


def _welch_cells(a: Float[np.ndarray, "_"], b: Float[np.ndarray, "_"], *, unit: str) -> Row:
    test = welch_t(a, b)
    cells: dict[str, Cell | None] = {"se": test.se, "welch_t": test.t, "welch_p": test.p}
    row = _told(cells, n=min(len(a), len(b)), unit=unit)
    return {key: row[key] for key in ("welch_t", "welch_p")}


def _told(cells: Mapping[str, Cell | None], *, n: int, unit: str) -> Row:
    """The cells, with a remark for those that n values cannot tell."""
    few = f"n/a ({n} {unit}{'' if n == 1 else 's'})"
    remark = "n/a (no spread)" if cells["se"] == 0 else few
    return {key: remark if cell is None else cell for key, cell in cells.items()}


def with_holm(table: Table, column: str = "p", *, corrected_as: str = "p_holm") -> Table:
    """The table with one more column after that of p-values, corrected for all that it tests."""
    ps = [row.get(column) for row in table.values()]
    corrected = holm([p if isinstance(p, float) else None for p in ps])
    longer: Table = {}
    for (name, row), p_holm in zip(table.items(), corrected):
        longer[name] = {}
        for key, cell in row.items():
            longer[name][key] = cell
            if key == column:
                longer[name][corrected_as] = cell if p_holm is None else p_holm
    return longer
