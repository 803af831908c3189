import numpy as np
import pandas as pd
import pytest

from attnlabels.psychophysics.exclusions import Rules, exclude

NONE = {
    "fastest_ms": None,
    "whole_accuracy": None,
    "unanswered_sd": None,
    "blank_accuracy": None,
    "marked": "keep",
    "unfinished": "keep",
}


def person(name: str, *, whole: str = "1111", blank: str = "01", missed: int = 0) -> list[dict]:
    """Right (1) and wrong (0) answers on whole and on blank images, and none on others."""
    seen = [(1.0, right) for right in whole] + [(0.0, right) for right in blank]
    rows = [
        {"participant": name, "share": share, "correct": right == "1", "answered": True}
        for share, right in seen
    ]
    rows += [{"participant": name, "share": 0.5, "correct": False, "answered": False}] * missed
    return [{**row, "rt_ms": 400.0, "mark": "", "finished": True} for row in rows]


def table(*people: list[dict]) -> pd.DataFrame:
    return pd.DataFrame([row for each in people for row in each])


def kept(trials: pd.DataFrame, **rules):
    return exclude(trials, Rules(**{**NONE, **rules}))


def test_without_rules_all_answered_trials_are_kept():
    trials = table(person("a", missed=2), person("b"))
    found = kept(trials)
    assert len(found.trials) == 12 and found.trials["answered"].all()
    assert (found.excluded, found.too_fast, found.unanswered) == ({}, 0, 2)


def test_who_is_at_chance_on_whole_images_is_left_out():
    found = kept(table(person("a"), person("b", whole="0101")), whole_accuracy=0.5)
    assert found.excluded == {"b": "0.50 on whole images"}
    assert {*found.trials["participant"]} == {"a"}
    assert kept(table(person("a"), person("b", whole="0111")), whole_accuracy=0.5).excluded == {}


def test_who_leaves_many_more_unanswered_than_others_is_left_out():
    people = [person(f"p{i}", missed=i % 2) for i in range(20)]
    found = kept(table(*people, person("away", missed=9)), unanswered_sd=3.0)
    assert found.excluded == {"away": "9 trials unanswered"} and found.unanswered == 10
    assert kept(table(*people), unanswered_sd=3.0).excluded == {}


def test_who_knows_what_cannot_be_seen_is_left_out():
    found = kept(table(person("a", blank="01"), person("b", blank="11")), blank_accuracy=0.5)
    assert found.excluded == {"b": "1.00 on blank ones"}


def test_an_answer_that_was_too_fast_is_none():
    trials = table(person("a"), person("b"))
    trials.loc[0, "rt_ms"], trials.loc[1, "rt_ms"] = 19.9, 20.0
    trials.loc[2, "rt_ms"] = np.nan  # no time was taken
    found = kept(trials, fastest_ms=20.0)
    assert (found.too_fast, found.unanswered) == (1, 1) and 0 not in found.trials.index
    assert kept(trials).too_fast == 0
    assert trials["answered"].all(), "the table itself is left as it was"


def test_marked_trials_are_dropped_before_all_rules_and_counted():
    trials = table(person("a", whole="10"), person("b", missed=1))
    trials.loc[1, "mark"] = "late"  # the wrong one of a's
    found = kept(trials, whole_accuracy=0.5, marked="drop")
    assert found.excluded == {} and found.marked == 1 and 1 not in found.trials.index
    assert kept(trials, whole_accuracy=0.5).excluded == {"a": "0.50 on whole images"}
    assert kept(trials).marked == 0


def test_marked_trials_of_who_is_left_out_are_not_counted():
    trials = table(person("a", whole="000"), person("b"))
    trials.loc[[0, 6], "mark"] = "hidden"
    assert kept(trials, whole_accuracy=0.5, marked="drop").marked == 1


def test_who_left_before_the_end_is_left_out():
    trials = table(person("a"), person("b", missed=1))
    trials.loc[trials["participant"] == "b", "finished"] = False
    assert kept(trials, unfinished="drop").excluded == {"b": "left after 7 trials"}
    assert kept(trials).excluded == {}


def test_several_reasons_are_all_told():
    people = table(person("a"), person("b", whole="0000", blank="11"))
    found = kept(people, whole_accuracy=0.5, blank_accuracy=0.5)
    assert found.excluded == {"b": "0.00 on whole images; 1.00 on blank ones"}


def test_rules_that_leave_nobody_are_refused():
    with pytest.raises(
        ValueError, match="all 1 participants are excluded .*a: 0.00 on whole.*rules"
    ):
        kept(table(person("a", whole="000")), whole_accuracy=0.5)


def test_rules_out_of_range_are_refused():
    with pytest.raises(ValueError, match="whole_accuracy"):
        Rules(**{**NONE, "whole_accuracy": 1.5})
