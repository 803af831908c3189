"""Reading tables that earlier stages left, as frames of pandas, which trainings do without.

Its import takes a sixth of the time in which a training starts.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from attnlabels.files.damage import refusing
from attnlabels.pipeline.results import require, require_keys


def read_csv(path: Path, *, columns: tuple[str, ...], stage: str) -> pd.DataFrame:
    """The rows of a CSV file, all its columns; raises ValueError if one of `columns` is not there.

    Columns of numbers are checked: an infinity is refused, an empty cell is NaN.
    """
    require(path, stage)
    with refusing((ValueError,), path, what="no whole CSV", cure=f"run the stage {stage} again"):
        rows = pd.read_csv(path)
    require_keys(path, columns, list(rows), stage)
    if not len(rows):
        raise ValueError(f"{path} has no rows; run the stage {stage} again")
    infinite = [key for key in rows.select_dtypes("number") if np.isinf(rows[key]).any()]
    if infinite:
        raise ValueError(f"{path} is infinite in {', '.join(infinite)}; see the stage {stage}")
    return rows
