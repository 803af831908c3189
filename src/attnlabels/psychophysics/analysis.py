"""Analyse an experiment: accuracy against the share revealed, thresholds and tests, as tables.

Fig. 2B of Linsley et al. (ICLR 2019): accuracy by map type over the share of the image, with
standard errors over participants, and a randomisation test of two of them at each share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from attnlabels.metrics.statistics import TTest
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.psychophysics.curves import (
    Compared,
    Curves,
    compare,
    curves_of,
    fit_curves,
    leak_of,
    means_of,
    resampled_shares,
)
from attnlabels.psychophysics.exclusions import Kept, Rules, exclude
from attnlabels.psychophysics.psychometric import Psychometric
from attnlabels.psychophysics.trials import read_trials
from attnlabels.reporting.figures import STYLE, write_png
from attnlabels.reporting.legend import RUN_COLOURS, show
from attnlabels.reporting.tables import Row, Table, as_numbers, write_tables

INTERVAL = (0.025, 0.975)  # quantiles of the resampled shares
NOT_REACHED = "not reached"
REPORT = "report.json"
TEXTS = {
    "accuracy": (
        "Accuracy",
        "Mean over participants ± its standard error, of trials that were answered, by map type "
        "and the share of the image's pixels that is revealed. Chance is {guess:.3g}.",
    ),
    "thresholds": (
        "How much has to be revealed",
        "`share` of the pixels at which accuracy is {accuracy:.4g}, by a logistic function of its "
        "logarithm with guesses ({guess:.3g}) and lapses (at most {most_lapses:g}), fitted to all "
        "trials; `low` to `high` has 95 % of {resamples} resamples of participants.",
    ),
    "comparisons": (
        "One map type minus another at each share",
        "Difference of mean accuracy; `p` of a randomisation test over participants ({permutations}"
        " permutations of groups' labels, or of signs where participants have both), and the same "
        "corrected by Holm for the shares of that pair.",
    ),
    "excluded": ("Who is left out", "By the rules, with the reason; all others are in the tables."),
}


@dataclass(frozen=True, kw_only=True)
class Analysing:
    """How an experiment is analysed; `experiment analyse` has the defaults."""

    rules: Rules
    accuracy: float  # at which thresholds are
    guess: float | None  # chance of a right guess; None: one in as many classes as there are
    most_lapses: float  # largest chance of a wrong answer however much is seen
    pairs: Sequence[tuple[str, str]] | None  # that are tested; None: all
    permutations: int
    resamples: int  # of participants, for intervals of thresholds
    seed: int


class Analysis(NamedTuple):
    """What comes of an experiment."""

    kept: Kept
    curves: Curves
    fits: dict[str, Psychometric]
    tests: dict[tuple[str, str], Compared]  # by pair of map types
    leak: TTest | None  # of accuracy where nothing is revealed, against chance
    tables: dict[str, Table]
    texts: dict[str, tuple[str, str]]  # title and caption of each table
    guess: float


def analyse(trials: pd.DataFrame, analysing: Analysing) -> Analysis:
    """Of a table that `attnlabels.psychophysics.trials.read_trials` read.

    Raises ValueError for rules that leave nobody, an accuracy or a guess that make no sense, and
    map types that are not there or cannot be compared.
    """
    p = analysing
    guess = 1 / trials["class"].nunique() if p.guess is None else p.guess
    if not guess < p.accuracy < 1:
        raise ValueError(f"accuracy {p.accuracy}; expected one above chance, {guess:.3g}, below 1")
    kept = exclude(trials, p.rules)
    means, curves = means_of(kept.trials), curves_of(means_of(kept.trials))
    types = [name for name in dict.fromkeys(trials["map_type"]) if name in curves]
    curves = {name: curves[name] for name in types}
    fits = fit_curves(kept.trials, guess=guess, most_lapses=p.most_lapses)
    pairs = [*combinations(types, 2)] if p.pairs is None else p.pairs
    drawn = {"permutations": p.permutations, "seed": p.seed}
    tests = {(one, other): compare(means, one, other, **drawn) for one, other in pairs}
    tables: dict[str, Table] = {
        "accuracy": {name: _accuracies(curve) for name, curve in curves.items()},
        "thresholds": {name: _threshold(kept.trials, name, fits[name], p) for name in types},
        "comparisons": _tabulate(tests),
        "excluded": {who: {"why": why} for who, why in kept.excluded.items()},
    }
    tables = {key: table for key, table in tables.items() if table}
    values = vars(p) | {"guess": guess}
    texts = {
        key: (title, caption.format(**values))
        for key, (title, caption) in TEXTS.items()
        if key in tables
    }
    return Analysis(kept, curves, fits, tests, leak_of(means, guess=guess), tables, texts, guess)


def analyse_experiment(path: Path, out: Path, *, analysing: Analysing) -> Analysis:
    """Write an experiment's tables, `report.json` and the figure `curves.png` into `out`.

    `path` is a table of trials (`attnlabels.psychophysics.trials` names its columns). Raises what
    reading it and `analyse` raise; nothing is then written.
    """
    found = analyse(read_trials(path), analysing)
    write_experiment(out, found)
    return found


def write_experiment(out: Path, found: Analysis) -> None:
    """What `analyse_experiment` writes, as a folder."""
    with replacing_folder(out, of=REPORT) as aside:
        aside.mkdir()
        write_analysis(aside, found)
        write_json(aside / REPORT, numbers_of(found))


def write_analysis(folder: Path, found: Analysis) -> None:
    """The tables as CSV, Markdown and tables.json, and the figure."""
    write_tables(folder, found.tables, texts=found.texts)
    write_png(folder / "curves.png", draw_curves(found))


def numbers_of(found: Analysis) -> dict[str, Any]:
    """The tables' numbers, and how many participants and trials they are of."""
    counts = {
        "participants": int(found.kept.trials["participant"].nunique()),
        "excluded": len(found.kept.excluded),
        "trials": len(found.kept.trials),
        "unanswered": found.kept.unanswered,
        "too_fast": found.kept.too_fast,
        "marked": found.kept.marked,
    }
    leak = found.leak._asdict() if found.leak else {}
    told = {key: value for key, value in leak.items() if value is not None}
    named = {key: table for key, table in found.tables.items() if key != "excluded"}
    return {**counts, "leak": told, **{key: as_numbers(table) for key, table in named.items()}}


def describe_leak(found: Analysis) -> str:
    """Accuracy where nothing is revealed beside chance, in a sentence; empty if nobody saw that."""
    if found.leak is None:
        return ""
    n, difference, se, _, p = found.leak
    told = f"{found.guess + difference:.3f}" + ("" if se is None else f" ± {se:.3f}")
    sure = "" if p is None else f" (p {p:.2g}, {n} participants)"
    return f"Where nothing is revealed accuracy is {told}, chance {found.guess:.3g}{sure}."


def draw_curves(found: Analysis) -> Figure:
    """Accuracy over the share revealed, on a logarithmic axis; that of nothing stands apart."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = figure.subplots()
        least = min(share for curve in found.curves.values() for share in curve if share > 0)
        line = np.geomspace(least, 1, 100)
        for i, (name, curve) in enumerate(found.curves.items()):
            colour = RUN_COLOURS[i % len(RUN_COLOURS)]
            at = np.array([share or least / 2 for share in curve])
            errors = np.array([mean.se or 0.0 for mean in curve.values()])
            means = np.array([mean.mean for mean in curve.values()])
            axes.errorbar(100 * at, means, errors, fmt="o", ms=4, color=colour, label=show(name))
            axes.plot(100 * line, found.fits[name].accuracy(line), color=colour)
        axes.axhline(found.guess, color="#777777", linewidth=1, dashes=(2, 3))
        axes.set(xscale="log", ylim=(0, 1), xlabel="% of the image revealed", ylabel="accuracy")
        ticks = sorted({share for curve in found.curves.values() for share in curve})
        labels = [f"{100 * share:.3g}" for share in ticks]
        axes.set_xticks([100 * (share or least / 2) for share in ticks], labels, minor=False)
        axes.set_xticks([], minor=True)
        axes.legend(loc="upper left")
    return figure


def _accuracies(curve: Mapping[float, Any]) -> Row:
    return {f"{100 * share:.10g} %": mean for share, mean in curve.items()}


def _threshold(trials: pd.DataFrame, name: str, fit: Psychometric, p: Analysing) -> Row:
    own = trials[trials["map_type"] == name]
    resampled = resampled_shares(
        own,
        fit,
        accuracy=p.accuracy,
        most_lapses=p.most_lapses,
        resamples=p.resamples,
        seed=p.seed,
    )
    low, high = _quantiles(resampled)
    return {
        "share": _told(fit.share_at(p.accuracy), fit),
        "low": _told(low, fit),
        "high": _told(high, fit),
        "slope": fit.slope,
        "lapse": fit.lapse,
        "participants": int(own["participant"].nunique()),
        "trials": len(own),
    }


def _quantiles(shares: Float[np.ndarray, "_"]) -> tuple[float | None, ...]:
    """None where what lies there is infinite; nothing is interpolated between it and a number."""
    if not len(shares):
        return None, None
    found = (float(each) for each in np.quantile(shares, INTERVAL, method="inverted_cdf"))
    return tuple(each if np.isfinite(each) else None for each in found)


def _told(share: float | None, fit: Psychometric) -> float | str:
    if share is None:
        return NOT_REACHED
    return share or f"below {fit.shown[0]:g}"


def _tabulate(tests: Mapping[tuple[str, str], Compared]) -> Table:
    table: Table = {}
    for (one, other), of_pair in tests.items():
        for share, (test, corrected) in of_pair.items():
            row: Row = {"difference": test.difference, "p": test.p, "holm": corrected, "n": test.n}
            table[f"{one}_minus_{other}_at_{100 * share:.10g}_%"] = row
    return table
