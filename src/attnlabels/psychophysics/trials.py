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

`practice.csv` has image, class and stimulus of the images that `make` set aside.

A table of trials, which networks and a browser's page alike leave, has one for each answer, with
image, class, map_type and share as above and

    participant   any text
    response      the class that was answered; empty: none in time
    rt_ms         milliseconds from the onset of the stimulus to the answer; may be missing or empty
    mark          why the trial cannot be trusted, such as `late`; may be missing or empty: it can
    finished      1, or 0 of a participant who left before the end; may be missing: all are

What else it has is left alone, such as the times of onset and offset, or the `network`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from attnlabels.files.damage import refusing

TABLE, PRACTICE_TABLE = "stimuli.csv", "practice.csv"
STIMULI = ("set", "image", "class", "map_type", "share", "pixels", "lost", "stimulus")
PRACTICE = ("image", "class", "stimulus")
TRIALS = ("participant", "image", "class", "map_type", "share", "response")
RT = "rt_ms"
MARK = "mark"
FINISHED = "finished"
COLUMNS = "see the columns in attnlabels.psychophysics.trials"
REMADE = "make the stimuli again"


def read_stimuli(path: Path) -> pd.DataFrame:
    """The table that `make` wrote; raises FileNotFoundError or ValueError for any other."""
    stimuli = _require(path, _table(path, cure=REMADE), STIMULI, cure=REMADE)
    stimuli["share"] = _numbers(path, stimuli, "share", low=0.0, high=1.0)
    for key in ("set", "pixels", "lost"):
        stimuli[key] = _numbers(path, stimuli, key, low=0.0).astype(np.int64)
    return stimuli


def read_practice(path: Path) -> pd.DataFrame:
    """The pictures to practise with, none where `make` set no image aside.

    Raises ValueError for a table that is none of `make`'s.
    """
    if not path.is_file():
        return pd.DataFrame(columns=PRACTICE, dtype=str)
    return _require(path, _table(path, cure=REMADE), PRACTICE, cure=REMADE)


def read_trials(path: Path) -> pd.DataFrame:
    """A table of trials: its `correct` and `answered` (bool) added, `rt_ms` as numbers.

    `mark` is text, and `finished` bool, whether the file has them or not. Raises FileNotFoundError,
    and ValueError naming the file, and the line where there is one: for a column that is missing, a
    share beyond 0..1, an empty cell (but of response, rt_ms and mark), a time that is no number, an
    image that a participant saw twice or that has two classes, and an answer that is no class of
    the table.
    """
    return check_trials(_table(path, cure=COLUMNS), path)


def check_trials(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """`read_trials` of rows of text, in place of a file; `path` is where errors say they are."""
    trials = _require(path, rows, TRIALS, cure=COLUMNS)
    trials["share"] = _numbers(path, trials, "share", low=0.0, high=1.0)
    trials[RT] = _numbers(path, trials, RT, empty=True) if RT in trials else np.nan
    trials[MARK] = trials.get(MARK, "")
    trials[FINISHED] = (
        _numbers(path, trials, FINISHED, low=0.0, high=1.0) == 1 if FINISHED in trials else True
    )
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


def _table(path: Path, *, cure: str) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; {cure}")
    with refusing((ValueError,), path, what="no CSV in UTF-8", cure=cure):
        return pd.read_csv(path, dtype=str, keep_default_na=False)


def _require(
    path: Path, rows: pd.DataFrame, columns: tuple[str, ...], *, cure: str
) -> pd.DataFrame:
    """The rows, which have the columns, and but for a response something in each."""
    if missing := [key for key in columns if key not in rows]:
        raise ValueError(f"{path}: no column {', '.join(missing)}; {cure}")
    if not len(rows):
        raise ValueError(f"{path}: no rows; {cure}")
    for key in columns:
        if key != "response" and len(empty := rows[rows[key] == ""]):
            raise ValueError(f"{_line(path, empty)}: {key} is empty; fill it, or remove the line")
    return rows.copy()


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
