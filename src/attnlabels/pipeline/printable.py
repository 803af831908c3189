"""Text for a terminal or a log: what is shown is what is there, and no more than that happens.

Names of files are anybody's bytes: they may hold the codes that clear a screen, turn its text
around or end a line, or look like another name.
"""

import logging
import unicodedata


def printable(text: str) -> str:
    """`text` with escapes in place of what does not show, or does not show what it is.

    These are control and formatting characters, line ends among them (\\n), bytes that are no
    UTF-8 (\\xff), and what Unicode's canonical composition would change (\\u0301): a name in
    decomposed characters looks like the composed one, and is another file. Other text stays.
    """
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    before = ""
    for character in text:
        other = _is_recomposed(before, character) or not character.isprintable()
        shown.append(_escape(character) if other else character)
        # marks belong to the letter that they stand behind, however many they are
        before = before + character if unicodedata.combining(character) else character
    return "".join(shown)


class Printable(logging.Formatter):
    """Lines of a log as `printable` has them."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _is_recomposed(before: str, character: str) -> bool:
    """Whether composition changes a character, alone or behind what is before it."""
    if not unicodedata.is_normalized("NFC", character):
        return True
    apart = unicodedata.normalize("NFC", before) + character
    return unicodedata.normalize("NFC", before + character) != apart


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte of a name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
