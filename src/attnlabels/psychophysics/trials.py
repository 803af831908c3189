"""The tables of an experiment: what there is to be seen, and what was answered.

`stimuli.csv`, which `make` writes, has a row for each image in each set:

    set        number of the set; a participant gets all rows of one
    image      path of the image below the folder of images
    class      its class: the right answer
    map_type   whose map reveals it: a folder's name, or a control
    share      of the image's pixels that is revealed, 0..1
    pixels     how many that is
    lost       of these, how many fell off as the region was moved to the middle
    stimulus   path of the picture to show, below the folder of the table

A table of trials, which networks and a browser's page alike leave, has one for each answer, with
image, class, map_type and share as above and

    participant   any text
    response      the class that was answered; empty: none in time
    rt_ms         milliseconds from the onset of the stimulus to the answer; may be missing or empty

What else it has is left alone, such as the times of onset and offset, or the `network`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from attnlabels.files.damage import refusing

STIMULI = ("set", "image", "class", "map_type", "share", "pixels", "lost", "stimulus")
TRIALS = ("participant", "image", "class", "map_type", "share", "response")
RT = "rt_ms"


def read_stimuli(path: Path) -> pd.DataFrame:
    """The table that `make` wrote; raises FileNotFoundError or ValueError for any other."""
    stimuli = _read(path, STIMULI, cure="make the stimuli again")
    for key in ("set", "pixels", "lost"):
        stimuli[key] = _numbers(path, stimuli, key, low=0.0).astype(np.int64)
    return stimuli


def read_trials(path: Path) -> pd.DataFrame:
    """A table of trials, its `correct` (bool) and `answered` (bool) added, `rt_ms` as numbers.

    Raises FileNotFoundError, and ValueError naming the file, and the line where there is one: for a
    column that is missing, a share beyond 0..1, an empty cell (but of response and rt_ms), a time
    that is no number, an image that a participant saw twice or that has two classes, and an answer
    that is no class of the table.
    """
    trials = _read(path, TRIALS, cure="see the columns in attnlabels.psychophysics.trials")
    trials[RT] = _numbers(path, trials, RT, empty=True) if RT in trials else np.nan
    answers, classes = trials["response"], {*trials["class"]}
    if len(strange := trials[(answers != "") & ~answers.isin(classes)]):
        raise ValueError(
            f"{_line(path, strange)}: the response {strange['response'].iloc[0]!r} is no class; "
            f"expected one of {', '.join(sorted(classes))}, or nothing"
        )
    if len(again := trials[trials.duplicated(["participant", "image"])]):
        who, what = again[["participant", "image"]].iloc[0]
        raise ValueError(
            f"{_line(path, again)}: {who} saw {what} before; keep the first trial of each image"
        )
    if len(other := trials[trials["class"] != trials.groupby("image")["class"].transform("first")]):
        raise ValueError(
            f"{_line(path, other)}: {other['image'].iloc[0]} has another class in an earlier line; "
            "mend the table"
        )
    trials["answered"], trials["correct"] = answers != "", answers == trials["class"]
    return trials


def _read(path: Path, columns: tuple[str, ...], *, cure: str) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; {cure}")
    with refusing((ValueError,), path, what="no CSV in UTF-8", cure=cure):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [key for key in columns if key not in rows]:
        raise ValueError(f"{path}: no column {', '.join(missing)}; {cure}")
    if not len(rows):
        raise ValueError(f"{path}: no rows; {cure}")
    for key in columns:
        if key != "response" and len(empty := rows[rows[key] == ""]):
            raise ValueError(f"{_line(path, empty)}: {key} is empty; fill it, or remove the line")
    rows["share"] = _numbers(path, rows, "share", low=0.0, high=1.0)
    return rows


def _numbers(
    path: Path,
    rows: pd.DataFrame,
    key: str,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    empty: bool = False,
) -> "pd.Series[float]":
    numbers = pd.to_numeric(rows[key], errors="coerce")
    wrong = ~(np.isfinite(numbers) & (numbers >= low) & (numbers <= high))
    if empty:
        wrong &= rows[key] != ""
    if len(strange := rows[wrong]):
        bounds = f" from {low:g} to {high:g}" if np.isfinite(high) else ""
        raise ValueError(
            f"{_line(path, strange)}: {key} is {strange[key].iloc[0]!r}; expected a number{bounds}"
        )
    return numbers


def _line(path: Path, rows: pd.DataFrame) -> str:
    """Where the first of the rows stands; the header is line 1."""
    return f"{path}: line {rows.index[0] + 2}"
