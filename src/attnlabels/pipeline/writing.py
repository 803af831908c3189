"""Writing results: whole files or none, finite numbers under stable keys."""

import csv
import io
import json
import math
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import ArrayLike

from attnlabels.files.damage import FULL
from attnlabels.pipeline.machine import made_by
from attnlabels.pipeline.places import mark, place_of_file, place_of_folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside the file `path` to write to; moved to `path` if all goes well.

    On any failure what was written is removed and `path` stays as it was. What a process that was
    killed left beside it goes with the next that writes there. A link is followed. Raises OSError,
    before anything is written, if no file can be written there.
    """
    place = place_of_file(path)
    with _aside(path, place) as aside:
        yield aside
        _require_written(path, aside)
        os.replace(aside, place)


@contextmanager
def replacing_folder(path: Path, *, of: str | None = None, replace: bool = True) -> Iterator[Path]:
    """A path beside the folder `path` to make a folder at; the rest is as in `replacing`.

    A folder is replaced if it is empty or was written so (see `attnlabels.pipeline.places`), or
    without `replace` only if it is empty. This is asked again at the end.
    """
    place = place_of_folder(path, replace=replace, of=of)
    with _aside(path, place) as aside:
        yield aside
        place_of_folder(path, replace=replace, of=of)
        _require_written(path, aside)
        mark(aside, by_content=of is not None)
        if not place.exists() or not any(place.iterdir()):
            os.replace(aside, place)
            return
        old = _beside(place, "old")  # no folder is replaced in one step
        _remove(old)
        os.replace(place, old)
        try:
            os.replace(aside, place)
        except BaseException:
            os.replace(old, place)
            raise
        _remove(old)


@contextmanager
def _aside(path: Path, place: Path) -> Iterator[Path]:
    """A path in the folder of `place` that is not there, before and after."""
    aside = _beside(place, "tmp")
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(place, "tmp")
    try:
        yield aside
        _remove_abandoned(place, "old")  # not before there is a new one
    except OSError as error:
        says_where = error.filename and error.errno not in FULL
        if says_where or error.errno is None:  # as our own messages are
            raise
        raise OSError(f"{path}: cannot be written ({error.strerror}); make room there") from error
    finally:
        _remove(aside)


def _require_written(path: Path, aside: Path) -> None:
    if not aside.exists():
        raise FileNotFoundError(f"{path} stays as it was: nothing was written for it")


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write nested numbers and strings as JSON.

    Raises ValueError naming the full key of anything else, and of a number that is not finite:
    one NaN makes the output of `dvc metrics diff --json` invalid.
    """
    _check(tree, f"{path.name}: ", separator="")
    with replacing(path) as aside:
        aside.write_text(json.dumps(tree, indent=2, allow_nan=False) + "\n")


def write_metrics(path: Path, scores: Mapping[str, Any], *, threads: int, **measured: str) -> None:
    """`write_json` of a stage's scores and of what their last digits may depend on.

    That is `made_by` and whatever was `measured` and chosen on the machine, such as a precision.
    """
    write_json(path, {**scores, "made_by": {**made_by(threads), **measured}})


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write a CSV table; a row that lacks a column leaves its cell empty.

    Raises ValueError for a key that is no column, and for a number that is not finite.
    """
    with replacing(path) as aside, open(aside, "w", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        for number, row in enumerate(rows):
            _check(row, f"{path.name}: row {number}", separator=", ")
            table.writerow(row)


def write_arrays(path: Path, **arrays: ArrayLike) -> None:
    """Write arrays by name as an npz file, the same bytes for the same arrays.

    `numpy.savez` writes the time of day beside each. Raises ValueError for an array of objects.
    """
    with replacing(path) as aside, ZipFile(aside, "w") as file:
        for name, array in arrays.items():
            data = io.BytesIO()  # whole: of a member of unknown size, Pythons write unlike headers
            np.lib.format.write_array(data, np.asanyarray(array), allow_pickle=False)
            file.writestr(ZipInfo(f"{name}.npy"), data.getvalue())


def _check(node: Any, where: str, *, separator: str = ".") -> None:
    if isinstance(node, Mapping):
        for key, value in node.items():
            _check(value, f"{where}{separator}{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _check(value, f"{where}{separator}{index}")
    elif not isinstance(node, (str, int, float)):
        raise ValueError(f"{where} is {node!r}; expected a number or a string")
    elif isinstance(node, float) and not math.isfinite(node):
        raise ValueError(f"{where} is {node}; a result must be finite")


def _beside(place: Path, ending: str) -> Path:
    return place.with_name(f"{_prefix(place)}{os.getpid()}.{ending}")


def _prefix(place: Path) -> str:
    return f".{place.name}.{platform.node()}."


def _remove_abandoned(place: Path, ending: str) -> None:
    """Remove what processes of this machine that are no more left beside `place`, if one may.

    Of what they wrote aside, and of what they wrote beside that under its name and another ending.
    """
    ours = re.compile(rf"{re.escape(_prefix(place))}(\d+)\.{ending}(\..*)?")
    with suppress(OSError):
        for path in place.parent.iterdir():
            if (found := ours.fullmatch(path.name)) and not _runs(int(found[1])):
                _remove(path)


def _runs(number: int) -> bool:
    """Whether another process has this number; a killed one may have had ours, as in containers."""
    if number == os.getpid():
        return False
    try:
        os.kill(number, 0)
    except PermissionError:  # somebody else's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
