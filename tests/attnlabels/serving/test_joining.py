import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from attnlabels.serving import joining
from attnlabels.serving.joining import MOST_WRONG, WITHIN_S, JoinCode, require_language
from attnlabels.serving.refusals import Refused


@pytest.mark.parametrize("given", [None, "", "lab", "lab77", 7, ["lab7"], "\ud800"])
def test_a_wrong_code_is_refused(given):
    with pytest.raises(Refused, match="wrong code"):
        JoinCode("lab7").require(given, address="a")


def test_the_code_lets_in_and_without_one_everybody_is():
    JoinCode("lab7").require(" lab7 ", address="a")
    JoinCode(None).require(None, address="a")
    assert JoinCode("lab7").asked and not JoinCode(None).asked


def test_who_tries_codes_waits_and_the_right_one_is_taken_all_the_same():
    code, told = JoinCode("lab7"), []
    for n in range(12):
        with pytest.raises(Refused) as refused:
            code.require(str(n), address="a")
        told.append(refused.value.status)
    assert told == [403] * 10 + [429] * 2
    code.require("lab7", address="a")


@pytest.fixture
def guessed():
    """A code, a clock, and what is answered to a code that is given at a second of it."""
    code, clock = JoinCode("0042"), [0.0]
    code.wrong.clock = code.compared.clock = lambda: clock[0]

    def give(given, at_s, address="a"):
        clock[0] = at_s
        try:
            code.require(given, address=address)
        except Refused as refused:
            return refused
        return None

    return give


def test_after_a_class_of_wrong_codes_none_is_compared_and_others_addresses_are_free(guessed):
    assert guessed("0042", 0.0) is None
    told = [guessed("wrong", 0.0) for _ in range(MOST_WRONG)]
    assert all("your network" not in each.why for each in told)
    refused = guessed("0042", 0.0)
    assert refused.status == 429 and "ask who runs the study for the code" in refused.why
    assert 0 < refused.retry_s <= 60  # the text says a minute
    assert guessed("0042", 0.0, address="b") is None


def test_a_code_is_compared_again_once_it_has_cooled_down_and_a_right_one_counts_for_none(guessed):
    for _ in range(MOST_WRONG):
        guessed("wrong", 0.0)
    later = WITHIN_S / MOST_WRONG + 0.1
    assert [guessed("0042", later) for _ in range(MOST_WRONG)] == [None] * MOST_WRONG
    assert guessed("wrong", later).status in (403, 429)
    assert guessed("0042", later).status == 429
    assert guessed("0042", later + WITHIN_S) is None


def test_who_guesses_for_a_day_has_few_of_the_codes_of_four_digits_compared(guessed):
    told = [guessed("wrong", second).why for second in map(float, range(24 * 3600))]
    compared = [why for why in told if "your network" not in why]
    assert len(compared) == pytest.approx(25 * MOST_WRONG, rel=0.01)  # of 10,000


def test_of_many_codes_at_once_no_more_are_compared_than_may_be(monkeypatch):
    code, compared = JoinCode("0042"), []

    def same(one, other):
        compared.append(one)
        time.sleep(0.05)
        return one == other

    def give(given):
        with pytest.raises(Refused):
            code.require(given, address="a")

    for _ in range(MOST_WRONG - 1):
        give("wrong")
    monkeypatch.setattr(joining, "same", same)
    with ThreadPoolExecutor(8) as threads:
        [*threads.map(give, map(str, range(8)))]
    assert len(compared) == 1


@pytest.mark.parametrize("given", [None, "", "<b>", 7, "\ud800", "a" * 9])
def test_what_is_no_tag_of_a_language_is_refused(given):
    with pytest.raises(Refused, match="expected a tag such as en"):
        require_language(given)


def test_the_tag_of_a_language_is_taken():
    assert require_language("fr-CA") == "fr-CA"
