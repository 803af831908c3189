"""List the images of a folder of class folders, ImageNet's layout, and keep the list as CSV.

The list stands for the folder in the pipeline, which need not then hash a million files. In memory
it is three arrays: a million `str` would take 100 MB, and once more in each forked worker, which
copies the page of every object whose references it counts.
"""

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.dtypes import StringDType

from attnlabels.images.names import SUFFIXES, as_text, is_hidden, is_image, some_of

log = logging.getLogger(__name__)
COLUMNS = ["path", "label", "bytes"]
NOT_A_ROW = "a row is not a path and two whole numbers; list the images again"
STRINGS = StringDType()
BLOCK = 8192  # rows that are held as Python's objects at a time; changes no result


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The images of a data set, by class and then by name; a label is its class's place."""

    paths: np.ndarray  # [n] of StringDType, an element is a str; relative to the root, posix
    labels: Int64[np.ndarray, "n"]
    sizes: Int64[np.ndarray, "n"]  # bytes
    classes: list[str]  # the folders' names, sorted


def list_images(root: Path, *, classes: int | None) -> Manifest:
    """The images in the `classes` class folders of `root`, None: any number of them.

    Only names and sizes are read. A link to a class folder or an image is followed. What is hidden
    (`names.is_hidden`) is passed over, which the log counts; what lies beside the class folders is
    left alone, unless it is images. Raises ValueError or OSError that names what does not fit.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; put the class folders there")
    folders, files, hidden = scan(root)
    images = [file.name for file in files if is_image(file.name)]
    if images:
        raise ValueError(
            f"{root}: images in no class folder: {some_of(images)}; sort them into folders, "
            "one a class"
        )
    odd = [as_text(each.name) for each in folders if as_text(each.name) != each.name]
    if lost := odd + [as_text(each.name) for each in files if not each.is_file()]:
        raise ValueError(
            f"{root}: links to nothing, or names that are no UTF-8: {some_of(lost)}; mend or "
            "remove them"
        )
    if not folders:
        number = "some" if classes is None else classes
        raise ValueError(f"{root}: no class folders in it; expected {number}, one a class")
    if classes not in (None, len(folders)):
        raise ValueError(
            f"{root}: {len(folders)} class folders found, {classes} declared; complete the "
            "folder, or mend `classes` of its row of `list_images` in params.yaml"
        )
    paths, sizes = [], []
    for folder in folders:
        files = _class_files(folder, hidden)
        names = [f"{folder.name}/{file.name}" for file in files]
        paths.append(np.array(names, STRINGS))
        sizes.append(np.array([file.stat().st_size for file in files], np.int64))
    note_hidden(root, hidden)
    manifest = Manifest(
        paths=np.concatenate(paths),
        labels=np.repeat(np.arange(len(folders), dtype=np.int64), [len(each) for each in sizes]),
        sizes=np.concatenate(sizes),
        classes=[folder.name for folder in folders],
    )
    empty = manifest.paths[manifest.sizes == 0].tolist()
    if empty:
        raise ValueError(f"{root}: images of 0 bytes: {some_of(empty)}; fetch them again")
    return manifest


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the list as CSV with the columns path, label, bytes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(manifest.paths, manifest.labels, manifest.sizes))


def read_manifest(path: Path) -> Manifest:
    """What `write_manifest` wrote; the classes are the folders, in the order of their labels."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no list of images here; run the stage list_images")
    columns: list[tuple[np.ndarray, ...]] = []
    folders: set[tuple[int, str]] = set()
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        if next(reader, None) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {','.join(COLUMNS)}; list it again")
        while rows := list(islice(reader, BLOCK)):
            if set(map(len, rows)) != {3}:
                raise ValueError(f"{path}: {NOT_A_ROW}")
            names, places, lengths = zip(*rows)
            if not all(map(str.isdecimal, places + lengths)):
                raise ValueError(f"{path}: {NOT_A_ROW}")
            columns.append(
                (
                    np.array(names, STRINGS),
                    np.fromiter(map(int, places), np.int64),
                    np.fromiter(map(int, lengths), np.int64),
                )
            )
            folders.update(zip(map(int, places), (name.split("/", 1)[0] for name in names)))
    if not columns:
        raise ValueError(f"{path}: empty; list the images again")
    paths, labels, sizes = (np.concatenate(column) for column in zip(*columns))
    classes = [name for _, name in sorted(folders)]
    if [label for label, _ in sorted(folders)] != list(range(len(set(classes)))):
        raise ValueError(
            f"{path}: {len(folders)} pairs of label and class folder for {len(set(classes))} "
            "folders; expected label 0, 1, ... for one folder each: list the images again"
        )
    return Manifest(paths=paths, labels=labels, sizes=sizes, classes=classes)


def scan(
    folder: Path | str,
) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]], list[str]]:
    """The folders, or links to some, and the other files in `folder`, and what in it is hidden.

    Raises PermissionError that names the folder if it may not be read.
    """
    try:
        with os.scandir(folder) as entries:
            everything = sorted(entries, key=lambda entry: entry.name)
        os.stat(os.path.join(folder, "."))  # which may be forbidden where its names can be read
    except PermissionError as error:
        raise PermissionError(
            f"{folder}: the folder may not be read; make it readable (chmod +rx)"
        ) from error
    seen = [entry for entry in everything if not is_hidden(entry.name)]
    return (
        [entry for entry in seen if entry.is_dir()],
        [entry for entry in seen if not entry.is_dir()],
        [entry.name for entry in everything if is_hidden(entry.name)],
    )


def note_hidden(root: Path, hidden: Sequence[str]) -> None:
    """Say in the log how many hidden files and folders in `root` were passed over, if any were."""
    if hidden:
        first = as_text(hidden[0])
        log.info("%s: passed over %d hidden, %s the first", root, len(hidden), first)


def fault_of(entry: os.DirEntry[str], path: str) -> str:
    """Why an entry of a folder, at `path`, is no image that can be listed, or an empty string."""
    if as_text(path) != path:
        return "has a name that is no UTF-8"
    if entry.is_symlink() and not entry.is_file() and not entry.is_dir():
        return "is a link to nothing"
    if not entry.is_file():
        return "is no file"
    return "" if is_image(entry.name) else f"is no image ({', '.join(SUFFIXES)})"


def _class_files(folder: os.DirEntry[str], hidden: list[str]) -> list[os.DirEntry[str]]:
    """The images in a class folder; what in it is hidden is appended to `hidden`."""
    folders, files, more = scan(folder.path)
    hidden += [f"{folder.name}/{name}" for name in more]
    faults: dict[str, list[str]] = {}
    for entry in [*folders, *files]:
        if why := fault_of(entry, entry.name):
            faults.setdefault(why, []).append(as_text(entry.name))
    for why, names in faults.items():
        raise ValueError(f"{folder.path}: {some_of(names)} {why}; mend, convert or remove it")
    if not files:
        raise ValueError(f"{folder.path}: a class folder without images; fill or remove it")
    return files
