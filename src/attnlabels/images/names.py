"""Which files of a folder or a tar are images by their names, and which are a system's own.

An image is one whatever its name says (see `decoding`); the name decides whether it is opened.
"""

import zlib
from collections.abc import Iterable
from pathlib import PurePosixPath

SUFFIXES = (
    ".jpeg",
    ".jpg",
    ".png",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".gif",
    ".avif",
    ".heic",
    ".heif",
)
# What systems leave in folders beside what begins with a dot: thumbnails and bins of network
# drives, of macOS and of Windows.
OF_SYSTEMS = {
    "$recycle.bin",
    "#recycle",
    "#snapshot",
    "@eadir",
    "@recycle",
    "__macosx",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
N_NAMED = 5  # of many bad files, so many are named


def is_image(name: str) -> bool:
    """Whether a file of that name is opened as an image."""
    return name.lower().endswith(SUFFIXES)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is a system's own, and no part of a data set."""
    return name.startswith(".") or name.lower() in OF_SYSTEMS


def some_of(names: Iterable[str]) -> str:
    """The first of many names, and how many more there are, for a message."""
    names = list(names)
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return ", ".join(names[:N_NAMED]) + more


def as_text(name: str) -> str:
    """A name on a disk or in a tar, where it may be any bytes; those that are no UTF-8 as \\x.."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def fold_of(name: str, folds: int) -> int:
    """In which of so many folds an image belongs, by its file name alone: on any machine the same.

    So it is in the same fold of every recording and edition of its set.
    """
    return zlib.crc32(PurePosixPath(name).name.encode()) % folds
