"""Players' clicks as ClickMe 2.0 has them: a CSV with a row a submission, or an npz of columns.

CSV     image_path, clicks, user_id, and perhaps user_catch_trial and is_mobile; `clicks` is the
        text of a list of (x, y)
npz     file_pointer, clickmap_x, clickmap_y, user_id, and perhaps user_catch_trial and is_mobile;
        the published columns of clicks are lists in arrays of objects, which are pickles and so
        never read: here they lie end to end, and `n_clicks` says how many each submission has

Clicks are (x, y) in pixels of the image, from 0, in the order they were made.
"""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from attnlabels.files.damage import opened_npz
from attnlabels.files.pointers import refuse_pointer

REQUIRED, OPTIONAL = ("image_path", "clicks", "user_id"), ("user_catch_trial", "is_mobile")
ARRAYS = ("file_pointer", "clickmap_x", "clickmap_y", "n_clicks", "user_id")
FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
AS_PLAIN = (
    "where you trust it, write it anew without objects: np.savez(NEW, clickmap_x="
    "np.concatenate(x), clickmap_y=np.concatenate(y), n_clicks=[len(each) for each in x], the "
    "rest as arrays of text and numbers)"
)


class Submission(NamedTuple):
    """What one player submitted for one image."""

    image: str  # as the file names it
    player: str
    clicks: Float[np.ndarray, "n 2"]  # (x, y)
    catch_trial: float | None  # share of the player's catch trials that were right; None: not told
    is_mobile: bool | None
    where: str  # in the file, for messages


def read_csv(path: Path) -> Iterator[Submission]:
    """The rows of a CSV in their order. Raises ValueError with the line for what does not fit."""
    refuse_pointer(path)
    csv.field_size_limit(sys.maxsize)  # a cell holds all clicks
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            _require_header(rows.fieldnames or [], path)
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                if None in row or None in row.values():
                    raise ValueError(f"{where}: not as many cells as the header names; mend it")
                yield _submission(row, where)
    except csv.Error as error:
        raise ValueError(f"{path}: no whole CSV ({error}); fetch it again, or mend it") from error
    except UnicodeError as error:
        raise ValueError(f"{path}: no CSV in UTF-8 ({error}); save it as one") from error


def read_npz(path: Path) -> Iterator[Submission]:
    """The submissions of an npz in their order; never unpickles. Raises ValueError likewise."""
    refuse_pointer(path)
    with opened_npz(path, what="no whole npz", cure="fetch it again") as file:
        columns = {key: _column(file, key, path) for key in file.files}
    if missing := [key for key in ARRAYS if key not in columns]:
        cure = f"; {AS_PLAIN}" if missing == ["n_clicks"] else "; ClickMe 2.0's files have all"
        raise ValueError(f"{path}: has no {', '.join(missing)}{cure}")
    lengths = columns["n_clicks"]
    n = len(lengths)
    _require_lengths(columns, path)
    ends = np.cumsum(lengths)
    xy = np.stack([columns["clickmap_x"], columns["clickmap_y"]], axis=1).astype(np.float64)
    told: Mapping[str, Any] = {key: columns.get(key, [None] * n) for key in OPTIONAL}
    for i, (start, end) in enumerate(zip(ends - lengths, ends)):
        catch, mobile = (told[key][i] for key in OPTIONAL)
        where = f"{path}: submission {i}"
        yield Submission(
            image=str(columns["file_pointer"][i]),
            player=str(columns["user_id"][i]),
            clicks=_finite(xy[start:end], where),
            catch_trial=None if catch is None else _share(str(catch), where),
            is_mobile=None if mobile is None else _flag(str(mobile), where),
            where=where,
        )


def _require_header(header: Any, path: Path) -> None:
    if missing := [key for key in REQUIRED if key not in header]:
        raise ValueError(
            f"{path}: line 1: the header {','.join(header)[:200]!r} has no {', '.join(missing)}; "
            f"expected {', '.join(REQUIRED)} and perhaps {', '.join(OPTIONAL)}"
        )
    if doubled := [key for key in (*REQUIRED, *OPTIONAL) if list(header).count(key) > 1]:
        raise ValueError(f"{path}: line 1: the header names {doubled[0]} twice; remove one")


def _submission(row: Mapping[str, str], where: str) -> Submission:
    for key in ("image_path", "user_id"):
        if not row[key].strip():
            raise ValueError(f"{where}: {key} is empty; fill it or remove the line")
    catch, mobile = (row.get(key) for key in OPTIONAL)
    return Submission(
        image=row["image_path"].strip(),
        player=row["user_id"].strip(),
        clicks=_clicks(row["clicks"], where),
        catch_trial=_share(catch, where) if catch and catch.strip() else None,
        is_mobile=_flag(mobile, where) if mobile and mobile.strip() else None,
        where=where,
    )


def _clicks(text: str, where: str) -> Float[np.ndarray, "n 2"]:
    """The text of a list of pairs, which Python writes with round brackets."""
    try:
        pairs = json.loads(text.replace("(", "[").replace(")", "]"))
        clicks = np.array(pairs, np.float64) if pairs != [] else np.zeros((0, 2))
    except (ValueError, TypeError, OverflowError, RecursionError):
        clicks = np.zeros(())
    if clicks.ndim != 2 or clicks.shape[1] != 2:
        raise ValueError(
            f"{where}: clicks are {text[:60]!r}; expected a list of pairs [(x, y), ...]"
        )
    return _finite(clicks, where)


def _finite(clicks: Float[np.ndarray, "n 2"], where: str) -> Float[np.ndarray, "n 2"]:
    if not np.isfinite(clicks).all():
        number = int(np.argmax(~np.isfinite(clicks).all(axis=1)))
        raise ValueError(f"{where}: click {number} is no place; mend or remove it")
    return clicks


def _share(text: str, where: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = np.nan
    if not 0 <= share <= 1:
        raise ValueError(f"{where}: user_catch_trial is {text!r}; expected a share from 0 to 1")
    return share


def _flag(text: str, where: str) -> bool:
    if text.strip().lower() not in FLAGS:
        raise ValueError(f"{where}: is_mobile is {text!r}; expected true, false, 1 or 0")
    return FLAGS[text.strip().lower()]


def _column(file: Any, key: str, path: Path) -> np.ndarray:
    try:
        return np.atleast_1d(file[key])
    except ValueError as error:  # an array of objects, or cut short
        if "pickle" not in str(error):
            raise ValueError(f"{path}: {key} cannot be read ({error}); fetch it again") from error
        raise ValueError(
            f"{path}: {key} is an array of objects, which is a pickle and not read; {AS_PLAIN}"
        ) from None


def _require_lengths(columns: Mapping[str, np.ndarray], path: Path) -> None:
    lengths = columns["n_clicks"]
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 0).any():
        raise ValueError(f"{path}: n_clicks is no list of counts; {AS_PLAIN}")
    expected = {
        **dict.fromkeys(("file_pointer", "user_id", *OPTIONAL), len(lengths)),
        **dict.fromkeys(("clickmap_x", "clickmap_y"), int(lengths.sum())),
    }
    for key, n in expected.items():
        if key in columns and columns[key].shape != (n,):
            found = " x ".join(map(str, columns[key].shape))
            raise ValueError(f"{path}: {key} has {found} values; n_clicks tells of {n}")
    for key in ("clickmap_x", "clickmap_y"):
        if columns[key].dtype.kind not in "iuf":
            raise ValueError(f"{path}: {key} holds no numbers; {AS_PLAIN}")
