from collections import Counter

import numpy as np
import pandas as pd
import pytest

from attnlabels.sessions.assignment import keys_after, next_set, next_turn, planned_trials

GROUPS = [0] * 4 + [1] * 4


def test_sets_and_groups_differ_by_one_participant_at_most_at_any_time():
    rng, uses = np.random.default_rng(0), [0] * 8
    for _ in range(30):
        uses[next_set(uses, GROUPS, rng=rng)] += 1
        assert max(uses) - min(uses) <= 1
        assert abs(sum(uses[:4]) - sum(uses[4:])) <= 1


def test_which_of_several_is_drawn():
    first = {next_set([0] * 8, GROUPS, rng=np.random.default_rng(seed)) for seed in range(60)}
    assert first == {*range(8)}


def test_a_set_that_is_given_back_is_the_next_ones():
    uses = [3, 3, 2, 3, 3, 3, 3, 3]
    assert next_set(uses, GROUPS, rng=np.random.default_rng(0)) == 2


@pytest.mark.parametrize("n_classes", [2, 3])
def test_turns_of_keys_differ_by_one_participant_at_most(n_classes):
    rng, turns = np.random.default_rng(0), []
    for _ in range(3 * n_classes + 1):
        turns.append(next_turn(turns, n_classes, rng=rng))
        counts = [turns.count(turn) for turn in range(n_classes)]
        assert max(counts) - min(counts) <= 1


def test_each_class_has_each_key_in_turn():
    keys = [keys_after(turn, ["bird", "cat", "dog"], [*"sdl"]) for turn in range(3)]
    assert all({*each.values()} == {*"sdl"} for each in keys)
    for name in ("bird", "cat", "dog"):
        assert {each[name] for each in keys} == {*"sdl"}


@pytest.fixture
def plan():
    """A participant's trials of ten images, in blocks of four, after three to practise."""
    shown = pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(10)],
            "class": [*"ab"] * 5,
            "map_type": "players",
            "share": 0.1,
            "stimulus": [f"players/{i}.png" for i in range(10)],
        }
    )
    practice = shown.head(5)[["image", "class", "stimulus"]].assign(image=[*"vwxyz"])

    def of(participant: int, **other):
        told = {"fixation_ms": (1100.0, 1600.0), "n_practice": 3, "block": 4, "seed": 0}
        return planned_trials(shown, practice, **told | other, participant=participant)

    return of


def test_each_image_is_seen_once_in_blocks_after_practice(plan):
    trials = plan(0)
    assert [*trials["position"]] == [*range(13)]
    assert [*trials["kind"]] == ["practice"] * 3 + ["trial"] * 10
    assert [*trials["block"]] == [0] * 3 + [1] * 4 + [2] * 4 + [3] * 2
    assert sorted(trials["image"][3:]) == [f"{i}.png" for i in range(10)]
    assert {*trials["image"][:3]} < {*"vwxyz"}


def test_fixations_are_within_their_bounds_and_all_is_drawn_for_each_anew(plan):
    trials = pd.concat([plan(number) for number in range(40)])
    fixations = trials["fixation_ms"]
    assert fixations.between(1100, 1600).all() and fixations.nunique() > 400
    assert abs(fixations.mean() - 1350) < 15
    first = Counter(plan(number)["image"][3] for number in range(40))
    assert len(first) > 5
    pd.testing.assert_frame_equal(plan(7), plan(7))


def test_practice_may_be_none_or_all_there_is(plan):
    assert not (plan(0, n_practice=0)["kind"] == "practice").any()
    assert (plan(0, n_practice=99)["kind"] == "practice").sum() == 5
