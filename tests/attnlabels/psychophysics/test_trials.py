from pathlib import Path

import pandas as pd
import pytest

from attnlabels.psychophysics.trials import (
    check_trials,
    read_practice,
    read_stimuli,
    read_trials,
)

HEADER = "participant,image,class,map_type,share,response,rt_ms"
GOOD = [
    "p1,a/1.png,a,players,0.1,a,512.5",
    "p1,b/1.png,b,players,0.1,a,300",
    "p2,a/1.png,a,bottom_up,1,,",
    "p2,b/1.png,b,bottom_up,0,b,",
]


@pytest.fixture
def table(tmp_path):
    """Writes a table of these lines."""

    def write(*lines: str, header: str = HEADER) -> Path:
        path = tmp_path / "trials.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


def test_trials_are_read_with_what_is_right_and_what_was_answered(table):
    trials = read_trials(table(*GOOD))
    assert [*trials["correct"]] == [True, False, False, True]
    assert [*trials["answered"]] == [True, True, False, True]
    assert [*trials["share"]] == [0.1, 0.1, 1, 0]
    assert trials["rt_ms"][0] == 512.5 and trials["rt_ms"][2:].isna().all()


def test_times_and_other_columns_may_be_missing_or_more(table):
    header = "share,participant,image,class,map_type,response,onset_ms"
    trials = read_trials(table("0.5,1,a/1.png,a,players,a,1200.1", header=header))
    assert trials["rt_ms"].isna().all() and [*trials["onset_ms"]] == ["1200.1"]
    assert [*trials["participant"]] == ["1"]


def test_a_page_may_mark_trials_and_tell_who_finished(table):
    trials = read_trials(table(*GOOD))
    assert [*trials["mark"]] == [""] * 4 and trials["finished"].all()
    told = ("late,1", ",1", ",0", "hidden,0")
    lines = [f"{line},{more}" for line, more in zip(GOOD, told)]
    trials = read_trials(table(*lines, header=f"{HEADER},mark,finished"))
    assert [*trials["mark"]] == ["late", "", "", "hidden"]
    assert [*trials["finished"]] == [True, True, False, False]
    with pytest.raises(ValueError, match="line 2: finished is 'yes'; expected a number from 0 to"):
        read_trials(table(f"{GOOD[0]},,yes", header=f"{HEADER},mark,finished"))


def test_rows_in_memory_are_read_as_those_of_a_file(table):
    rows = pd.read_csv(table(*GOOD), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(check_trials(rows, Path("there")), read_trials(table(*GOOD)))
    rows.loc[1, "share"] = "2"
    with pytest.raises(ValueError, match="there: line 3: share is"):
        check_trials(rows, Path("there"))


def test_pictures_to_practise_with_may_be_none(table, tmp_path):
    assert not len(read_practice(tmp_path / "none.csv"))
    practice = read_practice(table("a/1.png,a,practice/a/1.png", header="image,class,stimulus"))
    assert practice.to_numpy().tolist() == [["a/1.png", "a", "practice/a/1.png"]]
    with pytest.raises(ValueError, match="no column stimulus; make the stimuli again"):
        read_practice(table("a/1.png,a", header="image,class"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p3,a/1.png,a,players,1.2,a,", "line 6: share is .*1.2.*; expected a number from 0 to 1"),
        ("p3,a/1.png,a,players,much,a,", "line 6: share is .*; expected a number from 0 to 1"),
        ("p3,a/1.png,a,players,nan,a,", "line 6: share is"),
        ("p3,a/1.png,a,players,0.1,a,soon", "line 6: rt_ms is 'soon'; expected a number"),
        (
            "p3,a/1.png,a,players,0.1,c,",
            "line 6: the response 'c' is no class; .* a, b, or nothing",
        ),
        ("p3,a/1.png,b,players,0.1,a,", "line 6: a/1.png has another class in an earlier line"),
        ("p1,a/1.png,a,players,0.2,a,", "line 6: p1 saw a/1.png before; keep the first trial"),
        (",a/1.png,a,players,0.1,a,", "line 6: participant is empty; fill it, or remove the line"),
        ("p3,a/1.png,a,,0.1,a,", "line 6: map_type is empty"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(table, line, message):
    with pytest.raises(ValueError, match=f"trials.csv: {message}"):
        read_trials(table(*GOOD, line))


def test_a_table_that_is_none_is_named(table, tmp_path):
    with pytest.raises(FileNotFoundError, match="none.csv: no such table"):
        read_trials(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="trials.csv: no column map_type, response; see the col"):
        read_trials(table("p,a,a,1", header="participant,image,class,share"))
    with pytest.raises(ValueError, match="trials.csv: no rows"):
        read_trials(table())
    (tmp_path / "trials.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="trials.csv: no CSV in UTF-8"):
        read_trials(tmp_path / "trials.csv")


def test_stimuli_have_whole_numbers(table):
    header = "set,image,class,map_type,share,pixels,lost,stimulus"
    stimuli = read_stimuli(table("3,a/1.png,a,players,0.1,160,2,players/a.png", header=header))
    assert stimuli[["set", "pixels", "lost"]].values.tolist() == [[3, 160, 2]]
    with pytest.raises(ValueError, match="line 2: lost is '-1'; expected a number"):
        read_stimuli(table("3,a/1.png,a,players,0.1,160,-1,players/a.png", header=header))
    with pytest.raises(ValueError, match="no column set, .*; make the stimuli again"):
        read_stimuli(table(*GOOD))
