"""An experiment that `attnlabels experiment make` made, as a session shows it."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from attnlabels.psychophysics.trials import (
    PRACTICE_TABLE,
    REMADE,
    TABLE,
    read_practice,
    read_stimuli,
)


class Made(NamedTuple):
    """Its folder, its tables (`attnlabels.psychophysics.trials`) and what follows from them."""

    folder: Path
    stimuli: pd.DataFrame
    practice: pd.DataFrame
    classes: list[str]  # in the order of the table
    pictures: list[str]  # paths below the folder; a page asks for them by number
    digests: list[str]  # SHA-256 of each of them
    groups: list[int]  # of each set, the number of the map types that it has
    digest: str  # of the tables, and of the sizes of the pictures


def read_made(folder: Path) -> Made:
    """The experiment in a folder.

    Raises FileNotFoundError or ValueError, naming the file, for a folder without its table, tables
    that are damaged, classes of images to practise with that the experiment does not have, and
    pictures that are missing or beyond the folder.
    """
    stimuli = read_stimuli(folder / TABLE)
    practice = read_practice(folder / PRACTICE_TABLE)
    classes = [*dict.fromkeys(stimuli["class"])]
    if strange := [name for name in practice["class"] if name not in classes]:
        raise ValueError(
            f"{folder / PRACTICE_TABLE}: the class {strange[0]!r} is none of {TABLE}'s; {REMADE}"
        )
    if sorted({*stimuli["set"]}) != [*range(stimuli["set"].nunique())]:
        raise ValueError(f"{folder / TABLE}: sets are not numbered from 0; {REMADE}")
    pictures = sorted({*stimuli["stimulus"], *practice["stimulus"]})
    types = stimuli.groupby("set")["map_type"].agg(lambda found: tuple(sorted({*found})))
    kinds = [*dict.fromkeys(types)]
    digest, digests = _digests(folder, pictures)
    return Made(
        folder=folder,
        stimuli=stimuli,
        practice=practice,
        classes=classes,
        pictures=pictures,
        digests=digests,
        groups=[kinds.index(each) for each in types],
        digest=digest,
    )


def _digests(folder: Path, pictures: list[str]) -> tuple[str, list[str]]:
    """That of the experiment, which results that began before have, and that of each picture.

    All are read at the start, 10,000 of 150 kB in a second: what is exchanged later is then told,
    whether it was shown before or not.
    """
    found, of_each = sha256(), list[str]()
    for name in (TABLE, PRACTICE_TABLE):
        path = folder / name
        found.update(path.read_bytes() if path.is_file() else b"")
    inside = folder.resolve()
    for name in pictures:
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such picture; {REMADE}")
        if not path.resolve().is_relative_to(inside):
            raise ValueError(f"{path}: beyond {folder}; {REMADE}")
        data = path.read_bytes()
        found.update(f"\n{name} {len(data)}".encode())
        of_each.append(sha256(data).hexdigest())
    return found.hexdigest(), of_each
