import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnlabels.pipeline.printable import Printable, printable

TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    "text",
    [
        "a b.jpg",
        "caf\u00e9",
        "\u65e5\u672c",
        "q\u0323\u0307",
        "\u0928\u093f",
        "\U0001f600",
        "C:\\x",
    ],
)
def test_what_shows_what_it_is_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\r\tc\x7f\x9b", r"a\nb\r\tc\x7f\x9b"),
        ("\u202egpj.exe", r"\u202egpj.exe"),  # turns what follows around
        ("a\u200bb\u00a0c\u2028", r"a\u200bb\xa0c\u2028"),  # nothing, a blank, the end of a line
        (b"\xff\xfe.jpg".decode(errors="surrogateescape"), r"\xff\xfe.jpg"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_acts_or_does_not_show_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("composed", "decomposed"),
    [
        ("caf\u00e9.jpg", r"cafe\u0301.jpg"),
        ("\u1ea5", r"a\u0302\u0301"),
        ("\ud55c", "\u1112\\u1161\u11ab"),
        ("\u00c5ngstr\u00f6m", r"A\u030angstro\u0308m"),
    ],
)
def test_a_decomposed_name_is_told_from_the_composed_one(composed, decomposed):
    assert printable(composed) == composed
    assert printable(unicodedata.normalize("NFD", composed)) == decomposed
    assert printable("\u212b") == r"\u212b"  # the sign, which becomes the letter


@given(TEXT)
def test_what_is_shown_is_one_line_that_can_be_encoded_and_is_composed(text):
    shown = printable(text)
    assert shown.isprintable() and shown.encode().decode() == shown
    assert unicodedata.is_normalized("NFC", shown)


@given(TEXT)
def test_the_forms_of_a_text_are_shown_alike_only_if_they_are_one(text):
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert (printable(composed) == printable(decomposed)) is (composed == decomposed)
    assert (printable(composed) == printable(text)) is (composed == text)


def test_a_log_is_printable_in_full():
    record = logging.LogRecord("a", logging.INFO, "", 0, "left out: %s", ("\x1b[2J.jpg",), None)
    assert Printable("x: %(message)s").format(record) == r"x: left out: \x1b[2J.jpg"
