import pytest

from attnlabels.serving import rates
from attnlabels.serving.rates import Rates


@pytest.fixture
def clock():
    return [0.0]


def test_a_burst_is_let_through_and_then_so_many_a_second(clock):
    bucket = Rates(per_s=2.0, burst=3.0, clock=lambda: clock[0])
    assert [bucket.take("a") for _ in range(3)] == [0, 0, 0]
    assert bucket.take("a") == pytest.approx(0.5)
    clock[0] = 0.5
    assert bucket.take("a") == 0
    assert bucket.take("a") > 0


def test_a_bucket_is_never_fuller_than_the_burst(clock):
    bucket = Rates(per_s=2.0, burst=3.0, clock=lambda: clock[0])
    bucket.take("a")
    clock[0] = 1e6
    assert [bucket.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_each_has_a_bucket_of_their_own(clock):
    bucket = Rates(per_s=1.0, burst=1.0, clock=lambda: clock[0])
    assert [bucket.take("a"), bucket.take("b")] == [0, 0]
    assert bucket.take("a") > 0


def test_memory_is_bounded_and_the_oldest_is_forgotten(clock, monkeypatch):
    monkeypatch.setattr(rates, "MOST_KNOWN", 2)
    bucket = Rates(per_s=0.1, burst=1.0, clock=lambda: clock[0])
    for key in "abc":
        bucket.take(key)
    assert [*bucket.left] == ["b", "c"]


def test_what_was_given_back_may_be_taken_again_and_never_more(clock):
    bucket = Rates(per_s=1.0, burst=2.0, clock=lambda: clock[0])
    bucket.take("a")
    for _ in range(3):
        bucket.give_back("a")
    bucket.give_back("b")  # nobody asked
    assert [bucket.take("a") > 0 for _ in range(3)] == [False, False, True]
    assert [*bucket.left] == ["a"]
