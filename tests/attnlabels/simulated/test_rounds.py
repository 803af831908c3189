import numpy as np
import pytest

from attnlabels.simulated.rounds import Game, play
from attnlabels.simulated.strokes import Hand, Known

KNOWN = Known(np.ones((32, 48)), np.eye(32, 48))
HAND = Hand(manner="painter", part_share=0.8, pace=0.9)


def played(guess=None, **asked):
    game = Game(**({"seconds": 3.0, "step": 1.0} | asked))
    return play(np.random.default_rng(0), HAND, KNOWN, game, guess=guess)


def bubbles(round):
    return [tuple(each[:3]) for each in round["samples"] if each[3] == "bubble"]


def test_who_asks_stops_as_soon_as_the_partner_knows():
    asked = []

    def guess(seen):
        asked.append([*seen])
        return len(seen) >= 20

    round = played(guess)
    assert [len(each) for each in asked] == [10, 20]
    assert round["outcome"] == "recognised" and len(bubbles(round)) == 20
    assert bubbles(round)[:10] == asked[0] and bubbles(round) == asked[1]
    assert round["duration_ms"] == bubbles(round)[-1][0]


def test_who_is_never_understood_or_never_asks_goes_on_to_the_end():
    for guess in (None, lambda seen: False):
        round = played(guess)
        assert round["outcome"] == "timeout" and round["duration_ms"] == 3000
        assert len(bubbles(round)) > 40


def test_a_round_begins_with_a_press_and_ends_with_a_release_in_order():
    events = [each[3] for each in played()["samples"]]
    assert events[:2] == ["down", "bubble"] and events[-1] == "up"
    times = [each[0] for each in played()["samples"]]
    assert times == sorted(times)


@pytest.mark.parametrize(("task", "event"), [("peek", "click"), ("look", "move")])
def test_the_other_tasks_have_their_events(task, event):
    round = played(task=task, clicks=4)
    assert {each[3] for each in round["samples"]} == {event}
    assert round["outcome"] == "done" and round["duration_ms"] == 3000
    assert len(round["samples"]) <= (4 if task == "peek" else 61)
