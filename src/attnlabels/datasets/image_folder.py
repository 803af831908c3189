"""List the images of a folder of class folders, ImageNet's layout, and keep the list as CSV.

The list stands for the folder in the pipeline, which need not then hash a million files.
"""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

SUFFIXES = (".jpeg", ".jpg", ".png")
COLUMNS = ["path", "label", "bytes"]
N_NAMED = 5  # of many bad files, so many are named


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The images of a data set, by class and then by name; a label is its class's place."""

    paths: list[str]  # relative to the root, posix
    labels: Int64[np.ndarray, "n"]
    sizes: Int64[np.ndarray, "n"]  # bytes
    classes: list[str]  # the folders' names, sorted


def list_images(root: Path, *, classes: int) -> Manifest:
    """The images in the `classes` class folders of `root`; only names and sizes are read.

    A link to a class folder or an image is followed. What lies beside the class folders is
    left alone, unless it is images.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; put the class folders there")
    folders, files = _scan(root)
    images = [file.name for file in files if _is_image(file.name)]
    if images:
        raise ValueError(
            f"{root}: {_some(images)} in no class folder; sort the images into one folder a class"
        )
    if not folders:
        raise ValueError(f"{root}: no class folders in it; expected {classes}, one a class")
    if len(folders) != classes:
        raise ValueError(
            f"{root}: {len(folders)} class folders found, {classes} declared; complete the "
            "folder, or mend `classes` of its row of `list_images` in params.yaml"
        )
    paths: list[str] = []
    labels: list[int] = []
    sizes: list[int] = []
    for label, folder in enumerate(folders):
        files = _class_files(folder)
        paths += [f"{folder.name}/{file.name}" for file in files]
        labels += [label] * len(files)
        sizes += [file.stat().st_size for file in files]
    empty = [path for path, size in zip(paths, sizes) if size == 0]
    if empty:
        raise ValueError(f"{root}: {_some(empty)} of 0 bytes; fetch the images again")
    return Manifest(
        paths=paths,
        labels=np.array(labels, np.int64),
        sizes=np.array(sizes, np.int64),
        classes=[folder.name for folder in folders],
    )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the list as CSV with the columns path, label, bytes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(
            zip(manifest.paths, manifest.labels.tolist(), manifest.sizes.tolist())
        )


def read_manifest(path: Path) -> Manifest:
    """What `write_manifest` wrote; the classes are the folders, in the order of their labels."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no list of images here; run the stage list_images")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        if next(reader, None) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {','.join(COLUMNS)}; list it again")
        rows = list(reader)
    if not rows or any(len(row) != 3 or not (row[1] + row[2]).isdecimal() for row in rows):
        raise ValueError(
            f"{path}: empty, or a row is not a path and two whole numbers; list the images again"
        )
    paths = [row[0] for row in rows]
    labels = np.array([row[1] for row in rows]).astype(np.int64)
    folders = {(label, name.split("/", 1)[0]) for label, name in zip(labels.tolist(), paths)}
    classes = [name for _, name in sorted(folders)]
    if [label for label, _ in sorted(folders)] != list(range(len(set(classes)))):
        raise ValueError(
            f"{path}: {len(folders)} pairs of label and class folder for {len(set(classes))} "
            "folders; expected label 0, 1, ... for one folder each: list the images again"
        )
    sizes = np.array([row[2] for row in rows]).astype(np.int64)
    return Manifest(paths=paths, labels=labels, sizes=sizes, classes=classes)


def _scan(folder: Path | str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        everything = sorted(entries, key=lambda entry: entry.name)
    return (
        [entry for entry in everything if entry.is_dir()],
        [entry for entry in everything if not entry.is_dir()],
    )


def _class_files(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    folders, files = _scan(folder.path)
    strangers = [entry.name for entry in [*folders, *files] if not _is_image(entry.name)]
    if strangers:
        raise ValueError(
            f"{folder.path}: {_some(strangers)} not an image ({', '.join(SUFFIXES)}); take away "
            "or convert what is none"
        )
    if not files:
        raise ValueError(f"{folder.path}: a class folder without images; fill or remove it")
    return files


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return ", ".join(names[:N_NAMED]) + more
