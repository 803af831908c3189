"""Charts as plain values: what the page's script draws, and how each line and shade looks.

A chart is a tree of choices by their labels, at whose ends is what to draw: lines, or a table of
shades. Numbers are rounded to four digits, more than a screen shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.colors import to_hex

from attnlabels.pipeline.frames import read_csv
from attnlabels.pipeline.gaps import Results
from attnlabels.pipeline.results import MAIN, folder_of, read_json
from attnlabels.reporting.legend import (
    BINS,
    CORRUPTED,
    PRIOR_COLOUR,
    READOUTS,
    RUN_COLOURS,
    SETS,
    TEACHER_COLOUR,
    TERMS,
    over_seeds,
    show,
)
from attnlabels.reporting.scores import cc_reader
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA, SEVERITIES

DASHES = ("", "7 4", "2 3", "9 3 2 3")  # of SVG; with each, all the colours come again
SHADES = 33  # of a colour map
ALL_RUNS = "all runs beside each other"
HEAT_ROWS = [
    "clean",
    "mean of the 15",
    *map(show, CORRUPTIONS),
    "mean of the 4",
    *map(show, EXTRA),
]
NO_TERMS = ("epoch", "step", "lr", "spread")  # of the columns of the training curves
PEOPLE = {"eye": "eye fixations (eye)", "val": "mouse recordings (val)"}
# The scores of what is no run, by a key that no run's file name could be.
OTHERS = {
    "/teacher": {"label": "teacher", "colour": TEACHER_COLOUR, "dashes": ""},
    "/centre_prior": {"label": "centre prior, mean", "colour": PRIOR_COLOUR, "dashes": "2 3"},
    # in black on white paper, and in white on a dark screen
    "/split_half": {
        "label": "people, half and half, mean",
        "colour": "currentColor",
        "dashes": "7 4",
    },
}

Tree = dict[str, Any]


def line_styles(runs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How lines are drawn, of runs, then OTHERS; `on` at first are as many runs as colours."""
    styles: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(runs):
        styles[name] = {
            "label": show(name),
            "colour": RUN_COLOURS[i % len(RUN_COLOURS)],
            "dashes": DASHES[i // len(RUN_COLOURS) % len(DASHES)],
            "on": i < len(RUN_COLOURS),
        }
    return styles | {key: {**style, "on": True} for key, style in OTHERS.items()}


def line(
    key: str, by_seed: Sequence[Float[np.ndarray, "n"]], x: Float[np.ndarray, "n"]
) -> dict[str, Any]:
    """The mean over seeds, and its standard error where there are several."""
    mean, error = over_seeds(np.stack(by_seed))
    drawn = {"line": key, "x": rounded(x), "y": rounded(mean)}
    return drawn if error is None else drawn | {"se": rounded(error)}


def upright(key: str, at: float) -> dict[str, Any]:
    return {"line": key, "at": round(at, 4)}


def histogram(key: str, values: Float[np.ndarray, "n"]) -> list[dict[str, Any]]:
    """The outline of the density of values in -1..1, and an upright line at their mean."""
    density, _ = np.histogram(values, BINS, density=True)
    there = slice(density.nonzero()[0][0], density.nonzero()[0][-1] + 1)
    x = np.repeat(BINS[there.start : there.stop + 1], 2)
    y = np.concatenate([[0], np.repeat(density[there], 2), [0]])
    return [{"line": key, "x": rounded(x), "y": rounded(y)}, upright(key, float(values.mean()))]


def heat(by_seed: Sequence[Float[np.ndarray, "r c"]], shades: str) -> dict[str, Any]:
    """A table of shares as shades, "sequential" or "diverging"; NaN is an empty cell.

    `share_limits` says what the shades span.
    """
    stack = np.stack(by_seed)
    note = f"Mean of {len(stack)} seed{'s' if len(stack) > 1 else ''}"
    if len(stack) > 1:
        error = stack.std(axis=0, ddof=1) / len(stack) ** 0.5
        note += f"; the standard error of a cell is about {100 * np.nanmedian(error):.1f} points"
    return {
        "values": [rounded(row) for row in stack.mean(axis=0)],
        "shades": shades,
        "note": f"{note}.",
    }


def share_limits(tables: Sequence[dict[str, Any]]) -> None:
    """Give some tables of one kind of shades one span, so that they compare by colour.

    That of diverging shades is as wide below zero as above.
    """
    values = [v for table in tables for row in table["values"] for v in row if v is not None]
    for table in tables:
        low, high = min(values), max(values)
        if table["shades"] == "diverging":
            high = max(-low, high)
            low = -high
        table["limits"] = [low, high]


def colour_scales() -> dict[str, list[str]]:
    """Told apart by any colour vision: by lightness, and from purple over white to orange."""
    shares = np.linspace(0, 1, SHADES)
    return {
        kind: [to_hex(matplotlib.colormaps[name](share)) for share in shares]
        for kind, name in (("sequential", "cividis"), ("diverging", "PuOr_r"))
    }


def chooser(kind: str, choices: Sequence[str], tree: Tree, **more: Any) -> Tree:
    """A chart of a kind: "lines", "heat", or "part" for choosing a part of the page.

    `start` holds what is chosen at first, where it is there; else the last choice is.
    """
    return {"kind": kind, "choices": choices, "tree": tree, **more}


def rounded(values: Iterable[float]) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.4g}") for value in values]


def parts(shown: Mapping[str, Any]) -> Tree:
    """The places of some parts of the page, by their labels."""
    return {label: i for i, label in enumerate(shown)}


def chart_cc(results: Results, first_set: str) -> Tree:
    """Distribution over images of CC with people, all seeds together (Fig. 3b)."""
    tables = {}
    reader = cc_reader("align_attention")
    for name, each in results.runs.items():
        if found := results.by_seed("alignment", each, "data/alignment/*.csv", reader):
            tables[name] = pd.concat(found.values())
    if not tables:
        return {}
    path = folder_of(results.data, MAIN) / "alignment/teacher.csv"
    teacher = results.read("alignment", path, cc_reader("evaluate_teacher"), study=MAIN)
    tree: Tree = {}
    for subset, readout in product(PEOPLE, READOUTS):
        lines = []
        for name, rows in tables.items():
            cc = rows[(rows["set"] == subset) & (rows["readout"] == readout)]["cc"]
            if len(cc):
                lines += histogram(name, cc.to_numpy())
        if teacher is not None:
            of_set = teacher[teacher["set"] == subset].groupby("readout")["cc"]
            means = of_set.mean()
            lines += histogram("/teacher", of_set.get_group("teacher").to_numpy())
            lines += [upright(f"/{key}", means[key]) for key in ("centre_prior", "split_half")]
        tree.setdefault(PEOPLE[subset], {})[READOUTS[readout]] = lines
    return chooser(
        "lines",
        ["recordings", "attention heads"],
        tree,
        start=[PEOPLE[first_set], "refitted"],
        x="CC with people, by image",
        y="density of images",
        x_range=[-1, 1],
    )


def chart_robustness(results: Results, baselines: Mapping[str, str], first: str) -> Tree:
    """Top-1 accuracy for each corruption and severity, and its difference to the baseline's."""
    reports = {
        name: results.by_seed(
            "robustness",
            each,
            "metrics/score_robustness/*.json",
            lambda path: read_json(path, stage="score_robustness"),
        )
        for name, each in results.runs.items()
    }
    reports = {name: found for name, found in reports.items() if found}
    if not reports:
        return {}
    tree: Tree = {}
    for subset, title in CORRUPTED.items():
        scores = {
            name: {seed: _accuracies(report[subset]) for seed, report in found.items()}
            for name, found in reports.items()
        }
        made = {name: heat([*found.values()], "sequential") for name, found in scores.items()}
        gains = {}
        for name, found in scores.items():
            other = scores.get(baselines.get(name, ""), {})
            pairs = [found[seed] - other[seed] for seed in found if seed in other]
            if pairs:
                gains[name] = heat(pairs, "diverging")
        of_set: Tree = {ALL_RUNS: {"top-1 accuracy": _beside(made)}}
        if gains:
            of_set[ALL_RUNS]["minus the baseline"] = _beside(gains)
        for tables in (made, gains):
            share_limits([*tables.values()])
        for name, table in made.items():
            of_set[show(name)] = {"top-1 accuracy": table}
        for name, table in gains.items():
            of_set[show(name)][f"minus {show(baselines[name])}"] = table
        ours = any(
            of_run[subset]["generated"] for found in reports.values() for of_run in found.values()
        )
        tree[f"{title}, corrupted by us" if ours else title] = of_set
    return chooser(
        "heat",
        ["data set", "run", "shown"],
        tree,
        start=[next(iter(tree)), show(first)],
        rows=HEAT_ROWS,
        columns=[*map(str, SEVERITIES), "mean"],
    )


def chart_retrieval(results: Results, first: str) -> Tree:
    """Precision against recall, clean and under each corruption and severity (§4.5)."""
    columns = ("set", "corruption", "severity", "k", "precision", "recall")
    found: dict[tuple[Any, ...], dict[str, list[pd.DataFrame]]] = {}
    for name, each in results.runs.items():
        tables = results.by_seed(
            "retrieval",
            each,
            "data/retrieval/*.csv",
            lambda path: read_csv(path, columns=columns, stage="score_retrieval"),
        )
        for table in tables.values():
            for key, curve in table.groupby(["set", "corruption", "severity"], sort=False):
                found.setdefault(key, {}).setdefault(name, []).append(curve)
    if not found:
        return {}
    tree: Tree = {}
    for (subset, corruption, severity), by_run in found.items():
        lines = [
            line(
                name,
                [curve["precision"].to_numpy(float) for curve in curves],
                np.mean([curve["recall"].to_numpy(float) for curve in curves], axis=0),
            )
            for name, curves in by_run.items()
        ]
        of_corruption = tree.setdefault(SETS[subset], {}).setdefault(show(corruption), {})
        of_corruption[str(severity) if severity else "none"] = lines
    return chooser(
        "lines",
        ["data set", "corruption", "severity"],
        tree,
        start=[next(iter(tree)), show(first), "3"],
        x="recall",
        y="precision",
        x_range=[0, 1],
    )


def chart_training(results: Results) -> Tree:
    """The loss and its terms by epoch."""
    tree: Tree = {}
    for name, each in results.runs.items():
        reader = partial(read_csv, columns=("epoch", "loss"), stage=each.trained_by)
        tables = [*results.by_seed("training", each, "data/curves/*.csv", reader).values()]
        for term in [key for key in tables[0] if key not in NO_TERMS] if tables else []:
            tree.setdefault(TERMS.get(term, show(term)), {})[name] = line(
                name,
                [table[term].to_numpy(float) for table in tables],
                tables[0]["epoch"].to_numpy(float),
            )
    if not tree:
        return {}
    tree = {label: [*lines.values()] for label, lines in tree.items()}
    return chooser("lines", ["shown"], tree, start=[next(iter(tree))], x="epoch", y="")


def _beside(tables: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The last columns of some tables, a column a run."""
    columns = [[row[-1] for row in table["values"]] for table in tables.values()]
    together = {
        "values": [[*row] for row in zip(*columns)],
        "shades": next(iter(tables.values()))["shades"],
        "columns": [*map(show, tables)],
        "note": "Means over severities and seeds.",
    }
    share_limits([together])
    return together


def _accuracies(scores: Mapping[str, Any]) -> Float[np.ndarray, "r 6"]:
    """Rows as HEAT_ROWS; the severities, then their mean, which alone the sums have.

    NaN for an extra corruption that the set lacks.
    """

    def whole(value: float) -> list[float]:
        return [np.nan] * len(SEVERITIES) + [value]

    def row(corruption: str) -> list[float]:
        by_severity = scores.get(corruption)
        if by_severity is None:
            return [np.nan] * (len(SEVERITIES) + 1)
        return [*(by_severity[str(severity)] for severity in SEVERITIES), by_severity["mean"]]

    return np.array(
        [
            whole(scores["clean"]),
            whole(scores["mean"]),
            *map(row, CORRUPTIONS),
            whole(scores.get("mean_extra", np.nan)),
            *map(row, EXTRA),
        ]
    )
