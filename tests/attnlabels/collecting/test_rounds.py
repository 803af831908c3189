import pytest

from attnlabels.collecting.rounds import (
    read_guessed,
    read_played,
    repaired,
    require_outcome,
    score_of,
)
from attnlabels.collecting.settings import SETTINGS, TEMPLATES, read_settings
from attnlabels.serving.refusals import Refused
from collected import played, settle, stroke

SETTINGS_OF_PAINT = read_settings(TEMPLATES / SETTINGS)
GIVEN = {"round": "a", "task": "paint", "width": 80, "height": 60, "settings": {"seconds": 7.0}}


def told(**other):
    return played(GIVEN) | other


def bubbles(places):
    return [[*place, "bubble"] for place in places]


def checks(samples, **other):
    round = read_played(told(samples=samples, **other))
    return repaired(round, SETTINGS_OF_PAINT, size=(60, 80))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"extra": 1}, "round.extra is unknown"),
        ({"guesses": []}, "round.guesses is unknown"),
        ({"score": 100}, "round.score is unknown"),
        ({"outcome": "won"}, "round.outcome"),
        ({"scale": 0}, "round.scale"),
        ({"scale": "1"}, "round.scale"),
        ({"frames": 1.5}, "round.frames"),
        ({"duration_ms": -1}, "round.duration_ms"),
        ({"duration_ms": 1e12}, "round.duration_ms"),
        ({"pointer": "nose"}, "round.pointer"),
        ({"samples": [[0, 1, 2]]}, "round.samples.0"),
        ({"samples": [[0, 1, 2, "jump"]]}, "round.samples.0.3"),
        ({"samples": [[0, "1", 2, "move"]]}, "round.samples.0.1"),
        ({"samples": [[0, 1e9, 2, "move"]]}, "round.samples.0.1"),
        ({"samples": [[0, 0, 0, "move"]] * 20_001}, "round.samples"),
    ],
    ids=range(15),
)
def test_what_is_no_round_is_refused_by_name(other, said):
    with pytest.raises(Refused, match=said) as refused:
        read_played(told(**other))
    assert refused.value.status == 400 and len(refused.value.why) <= 500


def test_a_missing_field_is_named():
    body = told()
    del body["hidden"]
    with pytest.raises(Refused, match="round.hidden is missing"):
        read_played(body)


def test_a_good_round_is_kept_as_it_is():
    samples = [*bubbles(stroke(5)), [220.0, -3.0, 100.0, "move"]]
    assert checks(samples) == (samples, {})


def test_samples_are_sorted_by_time_and_that_is_counted():
    rows, odd = checks([[50.0, 1.0, 1.0, "move"], [0.0, 0.0, 0.0, "move"]])
    assert [row[0] for row in rows] == [0.0, 50.0] and odd == {"unsorted": 1}


def test_bubbles_outside_are_brought_to_the_edge_and_the_pointer_is_not():
    rows, odd = checks([[0.0, -2.0, 61.0, "bubble"], [9.0, -2.0, 61.0, "move"]])
    assert rows == [[0.0, 0.0, 60.0, "bubble"], [9.0, -2.0, 61.0, "move"]]
    assert odd == {"outside": 1}


def test_leaps_haste_and_too_many_bubbles_are_counted():
    assert checks(bubbles(stroke(4, step=7.0)))[1] == {}
    assert checks(bubbles(stroke(4, step=7.2)))[1] == {"far": 3}
    hasty = [[10.0 * i, 1.0 + i, 1.0, "bubble"] for i in range(4)]
    assert checks(hasty)[1] == {"dense": 3}
    many = bubbles(stroke(143, step=0.1))
    assert checks(many)[1] == {"bubbles_beyond": 2}


def test_an_end_after_the_time_is_counted():
    assert checks([], duration_ms=7900.0)[1] == {}
    assert checks([], duration_ms=8100.0)[1] == {"late_end": 1}


def test_clicks_beyond_those_there_are_are_counted(tmp_path):
    settle(tmp_path / "study", task="peek", peek={"clicks": 2})
    settings = read_settings(tmp_path / "study" / SETTINGS)
    clicks = [[10.0 * i, 1.0, 1.0, "click"] for i in range(3)]
    round = read_played(told(samples=clicks, outcome="done"))
    assert repaired(round, settings, size=(60, 80))[1] == {"clicks_beyond": 1}


def test_numbers_are_kept_to_a_hundredth_of_a_pixel_and_a_tenth_of_a_millisecond():
    rows, _ = checks([[0.123, 1.23456, 2.34567, "move"]])
    assert rows == [[0.1, 1.23, 2.35, "move"]]


def test_a_task_has_its_outcomes(tmp_path):
    require_outcome(read_played(told(outcome="recognised")), SETTINGS_OF_PAINT)
    with pytest.raises(Refused, match="outcome done of a round of paint; recognised"):
        require_outcome(read_played(told(outcome="done")), SETTINGS_OF_PAINT)
    settle(tmp_path / "study", task="look")
    settings = read_settings(tmp_path / "study" / SETTINGS)
    with pytest.raises(Refused, match="outcome timeout of a round of look; done"):
        require_outcome(read_played(told(outcome="timeout")), settings)
    with pytest.raises(Refused, match="no skipping"):
        require_outcome(read_played(told(outcome="skipped")), settings)


def test_points_are_the_share_of_time_left():
    paint = SETTINGS_OF_PAINT.paint
    assert score_of("recognised", 0.0, paint) == 100
    assert score_of("recognised", 1750.0, paint) == pytest.approx(75)
    assert score_of("recognised", 9000.0, paint) == 0
    assert score_of("timeout", 1750.0, paint) == 0
    assert score_of("recognised", None, paint) == 0


def test_a_guess_has_bubbles_and_no_more_than_there_is_time_for():
    paint = SETTINGS_OF_PAINT.paint
    assert read_guessed({"round": "a", "bubbles": stroke(141, step=0.1)}, paint).round == "a"
    for body, said in (
        ({"round": "a", "bubbles": []}, "guess.bubbles"),
        ({"round": "a", "bubbles": stroke(142, step=0.1)}, "142 bubbles; a round has 141"),
        ({"round": "a", "bubbles": [[0, None, 1]]}, "guess.bubbles.0.1"),
        ({"bubbles": stroke(1)}, "guess.round is missing"),
    ):
        with pytest.raises(Refused, match=said):
            read_guessed(body, paint)
