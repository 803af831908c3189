"""Images as files of a folder of any depth: whoever's they are, and in whatever order they lie."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnlabels.images.folder import STRINGS, SUFFIXES, Manifest


@dataclass(frozen=True)
class ImageFiles:
    """The images of a list, as files below `root`."""

    root: Path
    listed: Manifest

    def read(self, i: int) -> bytes:
        """The encoded image."""
        return (self.root / str(self.listed.paths[i])).read_bytes()

    def stem(self, i: int) -> str:
        """What the image is called without its suffix, posix."""
        return str(self.listed.paths[i]).rpartition(".")[0]

    def stamp(self, i: int) -> tuple[int, ...]:
        """Changes with the file: its bytes and its time of change in ns; empty without a file."""
        try:
            about = (self.root / str(self.listed.paths[i])).stat()
        except FileNotFoundError:
            return ()
        return about.st_size, about.st_mtime_ns


def list_tree(root: Path, *, classes: bool) -> tuple[Manifest, list[str]]:
    """The images below `root` by their path, and the names of files that are none by their name.

    With `classes`, the folders in `root` are the labels (ImageFolder's layout, whose classes may
    have folders in turn); without, no image has one (-1). Files and folders that begin with a dot
    are passed over, links to folders are not followed. Only names and sizes are read.

    Raises ValueError if there is no image, or if one lies in no class.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    paths, sizes, strangers = [], [], []
    for path, size in _walk(root, ""):
        name = as_text(path)
        if name == path and path.lower().endswith(SUFFIXES):
            paths.append(path)
            sizes.append(size)
        else:
            strangers.append(name)
    if not paths:
        others = f"; {len(strangers)} other files, {strangers[0]} the first" if strangers else ""
        raise ValueError(f"{root}: no images below it ({', '.join(SUFFIXES)}){others}")
    names, labels = _classes(paths, root) if classes else ([], np.full(len(paths), -1, np.int64))
    manifest = Manifest(
        paths=np.array(paths, STRINGS),
        labels=labels,
        sizes=np.array(sizes, np.int64),
        classes=names,
    )
    return manifest, strangers


def as_text(name: str) -> str:
    """A name on a disk or in a tar, where it may be any bytes; those that are no UTF-8 as \\x.."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _walk(folder: Path | str, above: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        everything = sorted(entries, key=lambda entry: entry.name)
    for entry in everything:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{above}{entry.name}/")
        elif entry.is_file():
            yield f"{above}{entry.name}", entry.stat().st_size


def _classes(paths: list[str], root: Path) -> tuple[list[str], np.ndarray]:
    for path in paths:
        if "/" not in path:
            raise ValueError(
                f"{root}: {path} is in no class folder; sort the images into one folder a class, "
                "or label them without classes"
            )
    names, labels = np.unique([path.partition("/")[0] for path in paths], return_inverse=True)
    return names.tolist(), labels.astype(np.int64)
