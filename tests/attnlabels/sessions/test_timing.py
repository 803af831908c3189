import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from attnlabels.sessions import timing
from attnlabels.sessions.settings import read_settings
from attnlabels.sessions.timing import Shown, frames_of, mark_of, planned_ms, require_sense
from taking_part import PERIOD, shown

SETTINGS = read_settings(None)
TRIAL = {"id": "t", "position": 0, "fixation_ms": 1234.5}
PAGES = Path(timing.__file__).parent / "pages"


def told(key: str | None = "s", **other) -> Shown:
    return Shown(**shown(TRIAL, key) | other)


@pytest.mark.parametrize(
    ("duration", "hertz", "frames"),
    [(400.0, 60, 24), (400.0, 144, 58), (400.0, 75, 30), (400.0, 59.94, 24), (5.0, 60, 1)],
)
def test_the_nearest_number_of_frames(duration, hertz, frames):
    assert frames_of(duration, 1000 / hertz) == frames


def test_what_was_planned_is_whole_frames_after_start_and_onset():
    trial = told()
    onset, offset = planned_ms(trial, fixation_ms=1234.5, stimulus_ms=400.0)
    assert onset == pytest.approx(trial.onset_ms) and offset == pytest.approx(trial.offset_ms)
    assert (offset - trial.onset_ms) / PERIOD == pytest.approx(24)


@pytest.mark.parametrize(
    ("late", "mark"), [(-2, "late"), (-1, ""), (0, ""), (1, ""), (2, "late"), (30, "late")]
)
def test_more_than_one_frame_is_late(late, mark):
    trial = Shown(**shown(TRIAL, "s", late=late) | {"frames": 24, "slow_frames": 0})
    assert mark_of(trial, fixation_ms=1234.5, settings=SETTINGS) == mark
    strict = replace(SETTINGS, late_frames=0.0)
    assert mark_of(trial, fixation_ms=1234.5, settings=strict) == ("late" if late else "")


def test_a_late_onset_is_late_too():
    trial = told()
    later = {"onset_ms": trial.onset_ms + 3 * PERIOD, "offset_ms": trial.offset_ms + 3 * PERIOD}
    assert mark_of(told(**later), fixation_ms=1234.5, settings=SETTINGS) == "late"


def test_pages_that_were_hidden_or_left_are_marked():
    assert mark_of(told(hidden=1), fixation_ms=1234.5, settings=SETTINGS) == "hidden"
    left = Shown(id="t", outcome="interrupted")
    assert mark_of(left, fixation_ms=1234.5, settings=SETTINGS) == "interrupted"


@pytest.mark.parametrize(
    ("key", "other", "message"),
    [
        ("s", {"rt_ms": 551.0}, "trial t, answered: an answer after 550 ms"),
        ("s", {"rt_ms": None}, "trial t, answered: key and time of an answer"),
        (None, {"rt_ms": 300.0}, "trial t, too_slow: key and time of an answer"),
        ("s", {"outcome": "too_slow"}, "key and time of an answer"),
        ("s", {"outcome": "interrupted"}, "trial t, interrupted: key and time"),
        ("s", {"onset_ms": None}, "times are missing"),
        ("s", {"frames": None}, "times are missing"),
        ("s", {"offset_ms": 5000.5}, "times do not follow one another"),
    ],
)
def test_trials_that_cannot_have_been_are_named(key, other, message):
    require_sense(told(key), limit_ms=550.0)
    with pytest.raises(ValueError, match=message):
        require_sense(told(key, **other), limit_ms=550.0)


def test_the_page_closes_at_the_frame_that_is_planned():
    # both sides of the same rule, in their own languages
    if shutil.which("node") is None:
        pytest.skip("node is not installed: pages are only tested in the browser")
    script = f"""
        import {{ isOver, median }} from "{PAGES / "categorisation.js"}";
        const told = {{ median: [median([3, 1, 2]), median([4, 1, 2, 3])], frames: {{}} }};
        for (const hertz of [24, 50, 59.94, 60, 75, 120, 144, 240])
          for (const duration of [5, 16, 100, 400, 1234.5]) {{
            let frames = 1;
            while (!isOver((frames * 1000) / hertz, 0, duration, 1000 / hertz)) frames += 1;
            told.frames[`${{hertz}} ${{duration}}`] = frames;
          }}
        console.log(JSON.stringify(told));
    """
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["median"] == [2, 2.5]
    for case, frames in found["frames"].items():
        hertz, duration = map(float, case.split())
        assert frames == frames_of(duration, 1000 / hertz), case
