import sys
import threading
from collections import Counter

import numpy as np
import pytest

from attnlabels.collecting.schedule import Chosen, Plays, choose, generator_of, plan_of
from attnlabels.collecting.settings import SETTINGS, TEMPLATES, read_settings
from attnlabels.collecting.store import Round
from collected import settle


@pytest.fixture
def settings(tmp_path):
    def make(**changes):
        settle(tmp_path / "study", **changes)
        return read_settings(tmp_path / "study" / SETTINGS)

    return make


def ended(image, kind="play", outcome="timeout"):
    return Round("", image, kind, 0, "now", outcome, 0.0)


def play_all(plan, *, plain, catch=(), counts=None, gap=0, outcome="timeout", seed=0):
    """The images and kinds that somebody is shown until there are no more."""
    past, counts = [], np.zeros(100, np.int64) if counts is None else counts
    while True:
        chosen = choose(
            past,
            plan,
            plain=plain,
            catch=catch,
            counts=counts,
            gap=gap,
            rng=np.random.default_rng([seed, len(past)]),
        )
        if chosen is None:
            return [Chosen(each.image, each.kind) for each in past]
        past.append(ended(chosen.image, chosen.kind, outcome))


def test_a_plan_has_the_shares_that_are_asked_for(settings):
    asked = settings(
        rounds=20, practice=3, catch=["a"], catch_share=0.1, repeat_share=0.2, repeat_gap=5
    )
    plans = [plan_of(f"{n}", asked) for n in range(20)]
    for plan in plans:
        assert Counter(plan) == {"practice": 3, "catch": 2, "repeat": 4, "play": 14}
        assert plan[:3] == ["practice"] * 3
        assert "repeat" not in plan[: 3 + 5 + 1]  # there is one to repeat by then
    assert len({tuple(plan) for plan in plans}) > 10  # each has another
    assert plan_of("1", asked) == plans[1]


@pytest.mark.parametrize("gap", [0, 2, 4])
def test_each_repetition_of_a_plan_has_a_play_to_repeat(settings, gap):
    asked = settings(
        rounds=10, practice=2, catch=["a"], catch_share=0.2, repeat_share=0.3, repeat_gap=gap
    )
    for n in range(500):
        plan = plan_of(f"{n}", asked)
        shown = play_all(plan, plain=range(20), catch=range(20, 30), gap=gap, seed=n)
        assert [each.kind for each in shown] == plan


def test_a_plan_of_nothing_but_repetitions_still_ends(settings):
    plan = plan_of("1", settings(rounds=10, practice=1, repeat_share=1.0, repeat_gap=0))
    assert Counter(plan) == {"practice": 1, "play": 1, "repeat": 9}
    kinds = [each.kind for each in play_all(plan, plain=range(20))]
    assert kinds == ["practice"] + ["play", "repeat"] * 5


def test_the_default_plan_is_of_plays_and_repetitions():
    plan = plan_of("a", read_settings(TEMPLATES / SETTINGS))
    assert Counter(plan) == {"practice": 2, "play": 18, "repeat": 2}


def test_images_with_fewest_plays_come_first():
    counts = np.array([5, 0, 1, 0, 9])
    shown = play_all(["play"] * 5, plain=range(5), counts=counts)
    images = [each.image for each in shown]
    assert {*images[:2]} == {1, 3} and images[2:] == [2, 0, 4]


def test_ties_are_drawn_and_not_in_order():
    firsts = {play_all(["play"], plain=range(10), seed=seed)[0].image for seed in range(40)}
    assert len(firsts) > 5


def test_over_many_participants_no_image_is_ahead_by_more_than_one():
    plays = Plays(7, open_s=1.0)
    rng = np.random.default_rng(0)
    for _ in range(50):
        past = []
        for _ in range(3):
            counts = plays.counts()
            chosen = choose(
                past, ["play"] * 3, plain=range(7), catch=(), counts=counts, gap=0, rng=rng
            )
            past.append(ended(chosen.image))
            plays.close("", chosen.image, played=True)
        assert np.ptp(plays.finished) <= 1


def test_nothing_comes_twice_but_as_a_repetition_after_its_gap():
    plan = ["practice", *["play"] * 4, "repeat", "repeat", "repeat", "play"]
    shown = play_all(plan, plain=range(9), gap=3)
    assert [each.kind for each in shown] == plan
    places = {}
    for place, (image, kind) in enumerate(shown):
        if kind == "repeat":
            assert place - places[image] > 3 and shown[places[image]].kind == "play"
        else:
            assert image not in places
            places[image] = place
    repeated = [image for image, kind in shown if kind == "repeat"]
    assert len({*repeated}) == len(repeated)


def test_what_was_skipped_is_not_repeated_and_a_play_takes_its_place():
    shown = play_all(["play", "play", "repeat"], plain=range(9), outcome="skipped")
    assert [each.kind for each in shown] == ["play"] * 3


def test_catch_images_come_in_their_rounds_alone():
    plan = ["practice", "play", "catch", "play", "catch", "catch"]
    shown = play_all(plan, plain=range(6), catch=[7, 8])
    assert [each.kind for each in shown] == ["practice", "play", "catch", "play", "catch", "play"]
    assert {each.image for each in shown if each.kind == "catch"} == {7, 8}


def test_it_ends_with_the_plan_or_with_the_images():
    assert len(play_all(["play"] * 3, plain=range(9))) == 3
    assert len(play_all(["play"] * 9, plain=range(3))) == 3


def test_what_was_handed_out_counts_for_a_while():
    now = [0.0]
    plays = Plays(3, open_s=600.0, clock=lambda: now[0])
    plays.hand("a", 1)
    assert plays.counts().tolist() == [0, 1, 0]
    now[0] = 601.0
    assert plays.counts().tolist() == [0, 0, 0]
    plays.close("a", 1, played=True)
    assert plays.counts().tolist() == [0, 1, 0]
    plays.forget("a", 1, played=True)
    assert plays.counts().tolist() == [0, 0, 0]


def test_a_skipped_round_is_no_play():
    plays = Plays(2, open_s=600.0)
    plays.hand("a", 1)
    plays.close("a", 1, played=False)
    assert plays.counts().tolist() == [0, 0]


def test_a_participants_generator_is_their_own():
    draws = {
        generator_of(who, seed=seed, what=what).random()
        for who in "ab"
        for seed in (0, 1)
        for what in (0, 1)
    }
    assert len(draws) == 8


def test_plays_are_counted_while_other_threads_hand_rounds_out():
    plays, over, wrong = Plays(2, open_s=600.0), threading.Event(), []

    def play():
        number = 0
        while not over.is_set():
            plays.hand(str(number), 0)
            plays.close(str(number - 50), 0, played=True)
            number += 1

    thread, before = threading.Thread(target=play), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(2000):
            try:
                plays.counts()
            except RuntimeError as error:  # changed while it was gone through
                wrong.append(error)
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before)
    assert not wrong


def test_what_was_handed_out_long_before_a_server_began_does_not_count():
    plays = Plays(3, open_s=600.0)
    plays.hand("a", 1, ago_s=601.0)
    plays.hand("b", 2, ago_s=599.0)
    assert plays.counts().tolist() == [0, 0, 1]
