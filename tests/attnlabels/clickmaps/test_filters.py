from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from attnlabels.clickmaps.filters import ColouringIn, Filters, of_images, of_players
from attnlabels.clickmaps.submissions import Submission

NONE = Filters(
    catch_trial=None,
    mobile="keep",
    first_only=False,
    min_clicks=None,
    max_clicks=None,
    beyond="trim",
    colouring_in=None,
    min_players=1,
)
ALL = replace(NONE, catch_trial=0.95, mobile="drop", first_only=True, min_clicks=2, max_clicks=4)


def a_submission(n: int = 3, *, player: str = "p", catch=1.0, mobile=False) -> Submission:
    clicks = np.arange(2.0 * n).reshape(n, 2)
    return Submission("a.jpg", player, clicks, catch, mobile, f"line of {player}")


def passed(*submissions: Submission, filters: Filters = ALL) -> tuple[list[Submission], dict]:
    counts: Counter[str] = Counter()
    return list(of_players(submissions, filters, counts)), dict(counts)


def test_each_filter_is_counted_and_the_rest_pass():
    found, counts = passed(
        a_submission(player="good"),
        a_submission(player="failed", catch=0.94),
        a_submission(player="mobile", mobile=True),
        a_submission(player="good"),
        a_submission(1, player="short"),
        a_submission(5, player="long"),
    )
    assert [each.player for each in found] == ["good", "long"]
    assert counts == {"catch_trial": 1, "mobile": 1, "repeated": 1, "few_clicks": 1, "trimmed": 1}


def test_filters_stand_in_order_so_that_one_submission_is_counted_once():
    found, counts = passed(a_submission(1, catch=0.0, mobile=True), a_submission())
    # What was left out before is no first submission.
    assert len(found) == 1 and counts == {"catch_trial": 1}


def test_the_first_submission_is_that_even_if_it_is_left_out_later():
    found, counts = passed(a_submission(1), a_submission(3))
    assert not found and counts == {"few_clicks": 1, "repeated": 1}


def test_many_clicks_are_cut_to_the_first_or_left_out():
    (kept,), _ = passed(a_submission(9))
    assert np.array_equal(kept.clicks, a_submission(9).clicks[:4])
    found, counts = passed(a_submission(9), a_submission(4), filters=replace(ALL, beyond="exclude"))
    assert not found and counts == {"many_clicks": 1, "repeated": 1}


def test_nothing_asked_leaves_all_but_those_without_clicks():
    silent = a_submission(1, catch=None, mobile=None)
    found, counts = passed(silent, silent, a_submission(0), filters=NONE)
    assert len(found) == 2 and counts == {"few_clicks": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"catch": None}, "line of p: user_catch_trial is not told; .*set catch_trial: null"),
        ({"mobile": None}, "line of p: is_mobile is not told; .*set mobile: keep"),
    ],
)
def test_what_a_filter_asks_and_the_file_does_not_tell_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        passed(a_submission(**changes))


def of_image(*players: tuple[np.ndarray, int], filters: Filters) -> tuple[list, dict]:
    counts: Counter[str] = Counter()
    object = np.zeros((64, 64), bool)
    object[20:40, 20:40] = True
    kept = of_images(players, filters, counts, read_object=lambda: object)
    return kept, dict(counts)


def test_an_image_of_too_few_players_keeps_none():
    one, other = (np.array([[3, 3]]), 1), (np.array([[4, 4]]), 2)
    asked = replace(NONE, min_players=2)
    assert len(of_image(one, other, filters=asked)[0]) == 2
    kept, counts = of_image(one, one, filters=asked)  # one player, twice
    assert not kept and counts == {"few_players": 2, "few_players_images": 1}
    assert of_image(filters=asked) == ([], {})


def test_who_colours_in_the_object_is_left_out_before_players_are_counted():
    filled = np.argwhere(np.ones((20, 20))) + 20
    spot = np.array([[30, 30], [31, 32]])
    asked = replace(NONE, colouring_in=ColouringIn(objects="", iou=0.6), min_players=2)
    kept, counts = of_image((filled, 1), (spot, 2), (spot, 3), filters=asked)
    assert [player for _, player in kept] == [2, 3] and counts == {"colouring_in": 1}
    kept, counts = of_image((filled, 1), (spot, 2), filters=asked)
    assert not kept and counts["few_players"] == 1
