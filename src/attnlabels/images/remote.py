"""Tars that are elsewhere or compressed: copied as plain tars, with webdataset's own openers.

A tar is named as for webdataset: `pipe:COMMAND`, `https://...` and what else its `gopen` opens, or
a file that ends in `.tar.gz`, `.tgz`, `.tar.bz2` or `.tar.xz`. Images are then read from their
places in the copies, in any order and by any process.
"""

import bz2
import gzip
import lzma
import os
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm
from webdataset import gopen

from attnlabels.images.names import is_hidden
from attnlabels.images.tars import expand, find_tars, matching

SCHEME = re.compile(r"pipe:|[a-z][a-z0-9+.-]*://")
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
STEM = re.compile(r"([\w.-]+?)\.(?:tar|tgz)\b")  # of a tar, wherever in a command it is named
BEGINS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
# What an opener, a command that fails and a compressed file that is cut short raise; ImportError:
# an opener's library is not installed.
UNREADABLE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, ImportError)


def find_remote(pattern: str) -> list[str]:
    """The tars of a folder or a pattern, if any of them is elsewhere or compressed; else none.

    Raises FileNotFoundError for a part of such a pattern that names no file.
    """
    if Path(pattern).is_dir():
        files = (path for path in Path(pattern).iterdir() if not is_hidden(path.name))
        packed = sorted(
            str(path) for path in files if path.name.endswith(PACKED) and not path.is_dir()
        )
        return packed + [str(path) for path in find_tars(pattern)] if packed else []
    parts = expand(pattern)
    if not any(SCHEME.match(each) or each.endswith(PACKED) for each in parts):
        return []
    urls: list[str] = []
    for each in parts:
        urls += [each] if SCHEME.match(each) else [str(path) for path in matching(each)]
    return urls


def fetch(urls: Sequence[str], folder: Path) -> None:
    """Copy tars as plain ones into `folder`, each named as its URL names it; none that is there.

    Raises ValueError for one that cannot be read to its end; it is then not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for url, name in tqdm([*zip(urls, _names(urls))], desc="fetching tars", disable=None):
        if (folder / name).is_file():
            continue
        part = folder / f"{name}.part"
        try:
            _copy(url, part)
            os.replace(part, folder / name)
        finally:
            part.unlink(missing_ok=True)


def _names(urls: Sequence[str]) -> list[str]:
    stems = [["", *STEM.findall(url)][-1].lstrip(".-") for url in urls]
    if "" in stems or len(set(stems)) < len(stems):
        stems = [f"{number:06d}" for number in range(len(stems))]
    return [f"{stem}.tar" for stem in stems]


def _copy(url: str, path: Path) -> None:
    stream: Any = None
    try:
        with gopen(url) as stream, path.open("wb") as file:
            peeked = _Peeked(stream)
            plain: Any = peeked
            for begin, decompress in BEGINS.items():
                if peeked.begin.startswith(begin):
                    plain = decompress(peeked)
            shutil.copyfileobj(plain, file)
    except UNREADABLE as error:
        status = getattr(stream, "status", None)  # of a command, whose own message came before
        why = f"its command ended with status {status}" if status else str(error)
        raise ValueError(f"{url}: cannot be fetched ({why}); fetch it by hand") from error


class _Peeked:
    """A stream whose first bytes have been looked at."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.begin = self.first = stream.read(6)

    def read(self, size: int) -> bytes:
        if not self.first:
            return self.stream.read(size)
        first, self.first = self.first[:size], self.first[size:]
        return first
