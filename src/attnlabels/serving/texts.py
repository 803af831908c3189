"""The files of a study's folder that people edit: sentences by name, the consent text, settings.

The template of a study's texts says which sentences there are.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from attnlabels.pipeline.params import read
from attnlabels.pipeline.writing import replacing

VERSION_DIGITS = 12
CLASSES = "classes"  # the one entry that is no sentence: what the classes' folders are called


def write_new(folder: Path, files: Mapping[str, str], *, lacks: str) -> None:
    """Write the files of a new study, by their names, into a folder that is not there, or empty.

    Raises FileExistsError for any other; the message says what it `lacks`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there and {lacks}; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with replacing(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")


def remove_new(folder: Path, files: Iterable[str], *, whole: bool) -> None:
    """Remove the `files` of a study that was begun just now and refused, and the folder if `whole`.

    Left there, they would refuse the very settings that mend it. What cannot be removed stays, as
    why the study was refused is what is to be told.
    """
    with suppress(OSError):
        for name in files:
            (folder / name).unlink(missing_ok=True)
        if whole:
            folder.rmdir()


def read_text(path: Path) -> str:
    """A text that its user may have edited; raises ValueError or FileNotFoundError naming it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; restore it, or begin another folder")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no UTF-8 ({error}); save it as UTF-8") from error


def read_texts(path: Path, *, template: Path) -> dict[str, Any]:
    """The sentences by their names, and the classes' names.

    Raises ValueError that names one that is missing, unknown or no sentence, and FileNotFoundError.
    """
    texts, expected = read(path), read(template)
    if missing := expected.keys() - texts.keys():
        name = min(missing)
        line = json.dumps({name: expected[name]}, ensure_ascii=False)[1:-1]
        raise ValueError(f"{path}: {name} is missing; add it, in the study's language: {line}")
    if unknown := texts.keys() - expected.keys():
        raise ValueError(f"{path}: {min(unknown)} is unknown; remove it")
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
