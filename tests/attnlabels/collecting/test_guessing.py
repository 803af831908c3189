import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from attnlabels.collecting import guessing
from attnlabels.collecting.guessing import Guesser, Partner
from attnlabels.serving.refusals import Refused
from interrupting import wait_for

IMAGE = np.zeros((4, 4, 3), np.uint8)
WAITS_S = 60.0


def partner(see, classes="abcdefg"):
    return Partner(classes=[*classes], square=lambda image: image, see=see, identity={})


def test_the_five_likeliest_are_told_in_order():
    chances = np.array([[0.1, 0.3, 0.05, 0.2, 0.15, 0.12344, 0.08]], np.float32)
    guesser = Guesser(partner(lambda images: chances))
    names = [("b", 0.3), ("d", 0.2), ("e", 0.15), ("f", 0.1234), ("a", 0.1)]
    assert guesser.guess(IMAGE) == names
    guesser.close()


def test_of_three_classes_three_are_told_and_equal_ones_in_their_order():
    guesser = Guesser(partner(lambda images: np.full((len(images), 3), 1 / 3, np.float32), "abc"))
    assert [name for name, _ in guesser.guess(IMAGE)] == ["a", "b", "c"]
    guesser.close()


def test_who_asks_at_once_is_answered_each_with_their_own_in_few_batches():
    batches, begun, all_asked = [], threading.Event(), threading.Event()

    def see(images):
        batches.append(len(images))
        begun.set()
        assert all_asked.wait(WAITS_S)
        return np.eye(7, dtype=np.float32)[images[:, 0, 0, 0]]

    guesser = Guesser(partner(see))
    images = [np.full((4, 4, 3), k, np.uint8) for k in range(7)]
    with ThreadPoolExecutor(7) as pool:
        asked = [pool.submit(guesser.guess, images[0])]
        assert begun.wait(WAITS_S)  # or the first batch might hold several
        asked += [pool.submit(guesser.guess, image) for image in images[1:]]
        wait_for(lambda: guesser.asked.qsize() == 6)
        all_asked.set()
        names = [each.result()[0][0] for each in asked]
    assert names == [*"abcdefg"] and batches == [1, 6]
    guesser.close()


def test_who_comes_when_too_many_wait_is_refused_and_the_others_are_answered(monkeypatch):
    monkeypatch.setattr(guessing, "WAITING", 2)
    going, begun = threading.Event(), threading.Event()

    def see(images):
        begun.set()
        assert going.wait(WAITS_S)
        return np.ones((len(images), 7), np.float32)

    guesser = Guesser(partner(see))
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(guesser.guess, IMAGE)]
        assert begun.wait(WAITS_S)
        asked += [pool.submit(guesser.guess, IMAGE) for _ in range(2)]
        wait_for(guesser.asked.full)
        with pytest.raises(Refused, match="the partner is busy") as refused:
            guesser.guess(IMAGE)
        going.set()
        assert all(len(each.result()) == 5 for each in asked)
    assert refused.value.status == 503
    guesser.close()


def test_a_partner_that_takes_too_long_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(guessing, "PATIENCE_S", 0.01)
    going = threading.Event()

    def see(images):
        assert going.wait(WAITS_S)
        return np.ones((len(images), 7), np.float32)

    guesser = Guesser(partner(see))
    with pytest.raises(Refused, match="busy"):
        guesser.guess(IMAGE)
    going.set()
    guesser.close()


def test_a_partner_that_fails_fails_the_guess_and_goes_on():
    answers = iter([RuntimeError("no memory"), np.ones((1, 7), np.float32)])

    def see(images):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    guesser = Guesser(partner(see))
    with pytest.raises(RuntimeError, match="no memory"):
        guesser.guess(IMAGE)
    assert len(guesser.guess(IMAGE)) == 5
    guesser.close()
