"""What participants read, in files of the study's folder: sentences by name, and the consent text.

The template of a study's texts says which sentences there are.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from markupsafe import escape

from attnlabels.pipeline.params import read

VERSION_DIGITS = 12
CLASSES = "classes"  # the one entry that is no sentence: what the classes' folders are called
BLANK = re.compile(r"\n\s*\n")
BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
HEADING = re.compile(r"(#{1,3}) ")


def read_texts(path: Path, *, template: Path) -> dict[str, Any]:
    """The sentences by their names, and the classes' names.

    Raises ValueError that names one that is missing, unknown or no sentence, and FileNotFoundError.
    """
    texts, expected = read(path), read(template)
    for fault, names in (
        ("is missing; add it", expected.keys() - texts.keys()),
        ("is unknown; remove it", texts.keys() - expected.keys()),
    ):
        if names:
            raise ValueError(f"{path}: {min(names)} {fault}")
    for name, text in texts.items():
        if name == CLASSES:
            _require_names(path, text)
        elif not isinstance(text, str) or not text:
            raise ValueError(f"{path}: {name} is {text!r}; expected a sentence, quoted")
    return texts


def _require_names(path: Path, names: Any) -> None:
    if not isinstance(names, Mapping) or not all(
        isinstance(each, str) for pair in names.items() for each in pair
    ):
        raise ValueError(
            f"{path}: {CLASSES}: expected FOLDER: name, each quoted where it is a number"
        )


def version_of(consent: str) -> str:
    """What is kept of which text somebody agreed to."""
    return sha256(consent.encode()).hexdigest()[:VERSION_DIGITS]


def html_of(markdown: str) -> str:
    """HTML of a text of headings (#), paragraphs, lists (-), quotes (>) and **bold**.

    All else is shown as it stands: nothing in the text is taken for HTML.
    """
    return "\n".join(map(_block, filter(None, map(str.strip, BLANK.split(markdown)))))


def _block(text: str) -> str:
    lines = text.splitlines()
    if found := HEADING.match(text):
        level, rest = len(found[1]), lines[1:]
        heading = f"<h{level}>{_inline(lines[0][found.end() :])}</h{level}>"
        return heading + (_block("\n".join(rest)) if rest else "")
    if all(line.startswith(">") for line in lines):
        return f"<blockquote>{html_of(_without(lines, '>'))}</blockquote>"
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>"
    return f"<p>{_inline(text)}</p>"


def _without(lines: list[str], mark: str) -> str:
    return "\n".join(line.removeprefix(mark).strip() for line in lines)


def _inline(text: str) -> str:
    return BOLD.sub(r"<strong>\1</strong>", str(escape(text)))
