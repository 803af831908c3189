"""Images as files of a folder of any depth: whoever's they are, and in whatever order they lie."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnlabels.images.folder import STRINGS, Manifest, fault_of, note_hidden, scan
from attnlabels.images.names import SUFFIXES, as_text, some_of

Identity = tuple[int, int]  # of a folder, by whatever name: device and inode


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


def list_tree(root: Path, *, classes: bool) -> tuple[Manifest, dict[str, str]]:
    """The images below `root` by their path, and of files that are none the names and why.

    With `classes`, the folders in `root` are the labels (ImageFolder's layout, whose classes may
    have folders in turn); without, no image has one (-1). Links to folders are followed, as
    ImageFolder follows them, but for one that leads back to a folder it is in, which is named.
    What is hidden (`names.is_hidden`) is passed over and counted in the log. Only names and sizes
    are read.

    Raises ValueError if there is no image, if one lies in no class, or if a class has none.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; name one of images")
    paths: list[str] = []
    sizes: list[int] = []
    left_out: dict[str, str] = {}
    hidden: list[str] = []
    for path, entry in _walk(root, "", [_identity(root.stat())], hidden):
        why = "is a link back to a folder it is in" if entry.is_dir() else fault_of(entry, path)
        if why:
            left_out[as_text(path)] = why
        else:
            paths.append(path)
            sizes.append(entry.stat().st_size)
    note_hidden(root, hidden)
    if not paths:
        first = "".join(f"; {name} {why}" for name, why in [*left_out.items()][:1])
        raise ValueError(f"{root}: no images below it ({', '.join(SUFFIXES)}){first}")
    names, labels = _classes(paths, root) if classes else ([], np.full(len(paths), -1, np.int64))
    manifest = Manifest(
        paths=np.array(paths, STRINGS),
        labels=labels,
        sizes=np.array(sizes, np.int64),
        classes=names,
    )
    return manifest, left_out


def _walk(
    folder: Path | str, above: str, inside: list[Identity], hidden: list[str]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files below `folder`, and links to the folders that it is `inside` of, by their path."""
    folders, files, more = scan(folder)
    hidden += [f"{above}{name}" for name in more]
    for entry in sorted([*folders, *files], key=lambda entry: entry.name):
        path = f"{above}{entry.name}"
        if not entry.is_dir() or (here := _identity(entry.stat())) in inside:
            yield path, entry
        else:
            yield from _walk(entry.path, f"{path}/", [*inside, here], hidden)


def _identity(about: os.stat_result) -> Identity:
    return about.st_dev, about.st_ino


def _classes(paths: list[str], root: Path) -> tuple[list[str], np.ndarray]:
    for path in paths:
        if "/" not in path:
            raise ValueError(
                f"{root}: {path} is in no class folder; sort the images into one folder a class, "
                "or label them without classes"
            )
    names, labels = np.unique([path.partition("/")[0] for path in paths], return_inverse=True)
    if empty := [each.name for each in scan(root)[0] if each.name not in names]:
        # as ImageFolder does: the classes after it would have other numbers once it is filled
        raise ValueError(
            f"{root}: class folders without images: {some_of(map(as_text, empty))}; fill or remove "
            "them"
        )
    return names.tolist(), labels.astype(np.int64)
