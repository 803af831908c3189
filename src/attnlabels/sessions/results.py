"""What an experiment with people left, as a table of trials, and its analysis."""

from pathlib import Path

import pandas as pd

from attnlabels.pipeline.places import require_ours
from attnlabels.pipeline.writing import replacing
from attnlabels.psychophysics import analysis
from attnlabels.psychophysics.analysis import Analysing, Analysis, analyse, write_experiment
from attnlabels.psychophysics.trials import check_trials
from attnlabels.serving.database import reading
from attnlabels.sessions.store import DATABASE, VERSION

CURE = "copy the folder of results again, its log (-wal) with it, or take a backup"
KIND = "rapid-categorisation"  # the name of the page's plugin
COLUMNS = f"""
    people.id AS participant, people.number AS number, people."set" AS "set",
    people.finished IS NOT NULL AS finished, handedness, language, app,
    block, position, image, class, map_type, share, stimulus,
    outcome, key, response, rt_ms, mark, stored, fixation_ms,
    started_ms, planned_onset_ms, onset_ms, planned_offset_ms, offset_ms,
    period_ms, frames, slow_frames, hidden, left_fullscreen, fullscreen, ratio, width, height,
    '{KIND}' AS trial_type, trial_index, time_elapsed
"""
QUERY = f"""
    SELECT {COLUMNS} FROM trials JOIN participants AS people ON people.id = trials.participant
    WHERE kind = 'trial' AND stored IS NOT NULL ORDER BY number, position
"""


def read_results(folder: Path) -> pd.DataFrame:
    """The trials that were stored, without practice: text, empty where there is nothing.

    Columns as in `attnlabels.psychophysics.trials`, and times, frames and `trial_type`,
    `trial_index` and `time_elapsed` as jsPsych has them. Raises FileNotFoundError or ValueError for
    a folder that `experiment start` did not write, and where nobody answered yet.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name what `experiment start` wrote")
    with reading(path, version=VERSION, cure=CURE) as base:
        rows = [dict(row) for row in base.execute(QUERY)]
    if not rows:
        raise ValueError(f"{path}: no trials yet; wait for the first participant")
    text = [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in rows
    ]
    return pd.DataFrame(text)


def export_experiment(results: Path, table: Path) -> int:
    """Write the trials of a folder of results as a CSV; returns how many there are.

    Raises what `read_results` raises, and OSError where the table cannot be written, or is there
    and no such table.
    """
    rows = read_results(results)
    header = ",".join(rows.columns).encode()
    require_ours(table, lambda data: data.partition(b"\n")[0] == header)
    with replacing(table) as aside:
        rows.to_csv(aside, index=False, lineterminator="\n")
    return len(rows)


def analyse_experiment(path: Path, out: Path, *, analysing: Analysing) -> Analysis:
    """Write an experiment's tables, `report.json` and the figure `curves.png` into `out`.

    `path` is a folder of results of `experiment start`, or a table of trials
    (`attnlabels.psychophysics.trials` names its columns). Raises what reading it and
    `attnlabels.psychophysics.analysis.analyse` raise; nothing is then written.
    """
    if not path.is_dir():
        return analysis.analyse_experiment(path, out, analysing=analysing)
    found = analyse(check_trials(read_results(path), path / DATABASE), analysing)
    write_experiment(out, found)
    return found
