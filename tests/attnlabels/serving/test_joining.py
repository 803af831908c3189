import pytest

from attnlabels.serving.joining import JoinCode, require_language
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


@pytest.mark.parametrize("given", [None, "", "<b>", 7, "\ud800", "a" * 9])
def test_what_is_no_tag_of_a_language_is_refused(given):
    with pytest.raises(Refused, match="expected a tag such as en"):
        require_language(given)


def test_the_tag_of_a_language_is_taken():
    assert require_language("fr-CA") == "fr-CA"
