"""Reading what earlier stages left, for the tables and the figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def read_json(path: Path, *, stage: str) -> dict[str, Any]:
    """The nested numbers that `stage` wrote with `write_json`."""
    return json.loads(_require(path, stage).read_text())


def read_csv(path: Path, *, columns: tuple[str, ...], stage: str) -> pd.DataFrame:
    """The rows of a CSV file, all its columns; raises ValueError if one of `columns` is not there.

    Columns of numbers are checked: an infinity is refused, an empty cell is NaN.
    """
    rows = pd.read_csv(_require(path, stage))
    _require_keys(path, columns, list(rows), stage)
    if not len(rows):
        raise ValueError(f"{path} has no rows; run the stage {stage} again")
    infinite = [key for key in rows.select_dtypes("number") if np.isinf(rows[key]).any()]
    if infinite:
        raise ValueError(f"{path} is infinite in {', '.join(infinite)}; see the stage {stage}")
    return rows


def read_arrays(path: Path, *, keys: tuple[str, ...], stage: str) -> dict[str, np.ndarray]:
    """The arrays `keys` of an npz file, all about the same n things, at least one."""
    with np.load(_require(path, stage), allow_pickle=False) as file:
        _require_keys(path, keys, list(file), stage)
        try:
            arrays = {key: file[key] for key in keys}
        except ValueError as error:  # objects, which are pickled, are never read
            raise ValueError(f"{path}: {error}; run the stage {stage} again") from error
    lengths = {key: len(array) for key, array in arrays.items()}
    if len({*lengths.values()}) != 1 or not lengths[keys[0]]:
        raise ValueError(f"{path} holds arrays of the lengths {lengths}, expected one and not 0")
    return arrays


def _require(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run the stage {stage}")
    return path


def _require_keys(path: Path, wanted: tuple[str, ...], present: list[str], stage: str) -> None:
    missing = [key for key in wanted if key not in present]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; run the stage {stage} again")
