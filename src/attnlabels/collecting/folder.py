"""A study is a folder: settings, texts, the list of its images, the database."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

from attnlabels.collecting.settings import (
    CONSENT,
    SETTINGS,
    TEMPLATES,
    TEXTS,
    Settings,
    Task,
    read_settings,
    template,
)
from attnlabels.images.decoding import require_whole
from attnlabels.images.folder import scan
from attnlabels.images.names import is_image, some_of
from attnlabels.images.tree import ImageFiles, list_tree
from attnlabels.pipeline.writing import write_rows
from attnlabels.serving.texts import read_text, read_texts, write_new

IMAGES, DATABASE = "images.csv", "study.sqlite"
COLUMNS = ("number", "path", "class", "width", "height", "sha256", "catch")
LEAST = 2  # images: with one there is nothing to schedule


@dataclass(frozen=True, kw_only=True)
class Image:
    """A row of images.csv; sizes in pixels."""

    number: int
    path: str  # below the folder of images, posix
    label: str  # the class; empty where images are in no folders
    width: int
    height: int
    sha256: str
    catch: bool  # one whose answer is plain, by which inattention is told


@dataclass(frozen=True, kw_only=True)
class Study:
    """An open study."""

    folder: Path
    root: Path  # of the images
    settings: Settings
    texts: dict[str, Any]
    consent: str
    images: Sequence[Image]

    @property
    def classes(self) -> list[str]:
        """The classes of the images, sorted."""
        return sorted({each.label for each in self.images} - {""})


def make_folder(folder: Path, *, task: Task | None) -> bool:
    """Write the files of a study that is not there yet, and say so; `task` is that of a new one.

    Raises ValueError if the study has another task, OSError if `folder` holds something else.
    """
    settings = folder / SETTINGS
    is_new = not settings.exists()
    if is_new:
        told = template(SETTINGS).replace("task: paint", f"task: {task or 'paint'}", 1)
        files = {name: template(name) for name in (TEXTS, CONSENT)}
        # the settings last: a folder that has them has all
        write_new(folder, files | {SETTINGS: told}, lacks="no study")
    found = read_settings(settings).task
    if task not in (None, found):
        raise ValueError(f"{settings}: task is {found}, not {task}; name another study")
    return is_new


def open_study(folder: Path, root: Path, found: Sequence[Image]) -> Study:
    """The study in `folder`, of the images `found` below `root`.

    Raises ValueError or OSError, naming the file and what to do, for what does not fit.
    """
    settings = read_settings(folder / SETTINGS)
    study = Study(
        folder=folder,
        root=root,
        settings=settings,
        texts=read_texts(folder / TEXTS, template=TEMPLATES / TEXTS),
        consent=read_text(folder / CONSENT),
        images=found,
    )
    _require_playable(study)
    return study


Stamps = dict[str, tuple[tuple[int, ...], Image]]  # path -> stamp of the file, and what it was then


def list_of(root: Path, catch: Sequence[str], known: Stamps) -> tuple[list[Image], Stamps]:
    """The images below `root` and their stamps.

    Each is read in full, and its damage told, unless it is `known` with the stamp that it has.
    The folders in `root` are classes, unless images lie beside them.
    """
    named = not any(is_image(file.name) for file in scan(root)[1]) if root.is_dir() else True
    listed, left_out = list_tree(root, classes=named)
    if left_out:
        name, why = next(iter(left_out.items()))
        raise ValueError(f"{root}: {name} {why}; mend or remove it ({len(left_out)} such)")
    files, found, stamps = ImageFiles(root, listed), list[Image](), Stamps()
    for i, path in enumerate(map(str, listed.paths)):
        stamp, label = files.stamp(i), listed.classes[listed.labels[i]] if named else ""
        before = known.get(path)
        if before is not None and before[0] == stamp:
            height, width, digest = before[1].height, before[1].width, before[1].sha256
        else:
            data = files.read(i)
            height, width = require_whole(data, name=str(root / path))
            digest = sha256(data).hexdigest()
        each = Image(
            number=i,
            path=path,
            label=label,
            width=width,
            height=height,
            sha256=digest,
            catch=any(fnmatchcase(path, pattern) for pattern in catch),
        )
        found.append(each)
        stamps[path] = stamp, each
    return found, stamps


def write_images(path: Path, images: Sequence[Image]) -> None:
    """Write images.csv."""
    rows = (
        {
            "number": each.number,
            "path": each.path,
            "class": each.label,
            "width": each.width,
            "height": each.height,
            "sha256": each.sha256,
            "catch": int(each.catch),
        }
        for each in images
    )
    write_rows(path, rows, columns=COLUMNS)


def read_images(path: Path) -> list[Image]:
    """Read images.csv; raises ValueError for what `write_images` did not write."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    try:
        if tuple(rows[0]) != COLUMNS:
            raise ValueError
        return [
            Image(
                number=int(number),
                path=name,
                label=label,
                width=int(width),
                height=int(height),
                sha256=digest,
                catch=bool(int(catch)),
            )
            for number, name, label, width, height, digest, catch in rows[1:]
        ]
    except (ValueError, IndexError):
        raise ValueError(f"{path}: not the list that was written; restore it") from None


def changes(before: Sequence[Image], now: Sequence[Image]) -> str:
    """What is not as it was among the images, by name; empty if all is."""
    old, new = ({each.path: each for each in images} for images in (before, now))
    faults = {
        "gone": old.keys() - new.keys(),
        "new": new.keys() - old.keys(),
        "changed": {path for path in old.keys() & new.keys() if old[path] != new[path]},
    }
    for what in ("gone", "new", "changed"):
        if names := faults[what]:
            return f"{what}: {some_of(sorted(names))}"
    return ""


def _require_playable(study: Study) -> None:
    plain = [each for each in study.images if not each.catch]
    where = study.folder / SETTINGS
    if len(plain) < LEAST:
        raise ValueError(f"{study.root}: {len(plain)} images to play, expected {LEAST} or more")
    if study.settings.catch and len(plain) == len(study.images):
        raise ValueError(f"{where}: catch: no image is called so; mend the patterns")
    if study.settings.task != "paint":
        return
    stray = [each.path for each in study.images if "/" not in each.path]
    if 0 < len(stray) < len(study.images):
        raise ValueError(
            f"{study.root}: {some_of(stray)} beside the folders that say what the images are of; "
            "move what is in none into one, or take --task peek or look"
        )
    if not study.classes:
        raise ValueError(
            f"{study.root}: the images are in no folders, and what is painted is named by them; "
            "sort them into one folder a class, or take --task peek or look"
        )
