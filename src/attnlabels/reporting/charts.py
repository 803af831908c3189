"""Charts as plain values: what the report's script draws, and how each line and shade looks.

A chart is a tree of choices by their labels, at whose ends is what to draw: lines, or a table of
shades. Numbers are rounded to four digits, more than a screen shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_hex

from attnlabels.reporting.legend import (
    BINS,
    PRIOR_COLOUR,
    RUN_COLOURS,
    TEACHER_COLOUR,
    over_seeds,
    show,
)

DASHES = ("", "7 4", "2 3", "9 3 2 3")  # of SVG; with each, all the colours come again
SHADES = 33  # of a colour map
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
