"""Take images out of a data set's archive as it is published, or as it was unpacked.

Class folders: imagenette's (github.com/fastai/imagenette) is `imagenette2-160/train/n01440764/...`
and `val` beside it, with what macOS and the authors left between them.
"""

import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from attnlabels.files.damage import NO_ARCHIVE, refusing
from attnlabels.files.pointers import refuse_pointer
from attnlabels.images.names import as_text, is_hidden, is_image


class Member(NamedTuple):
    """A file of an archive."""

    path: PurePosixPath
    read: Callable[[], bytes]  # to be called before the next member is asked for


def members(archive: Path) -> Iterator[Member]:
    """The files of a tar, compressed or not, or of the folder that it was unpacked to.

    Links and what is hidden (`names.is_hidden`) are passed over. Raises FileNotFoundError, or
    ValueError if the archive is none or is cut short.
    """
    if archive.is_dir():
        for path in sorted(archive.rglob("*")):
            name = PurePosixPath(path.relative_to(archive))
            if path.is_file() and not any(map(is_hidden, name.parts)):
                yield Member(name, path.read_bytes)
        return
    if not archive.is_file():
        raise FileNotFoundError(f"{archive}: no such archive; fetch it and put it there")
    refuse_pointer(archive)
    with _reading(archive), tarfile.open(archive, "r|*") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if member.isfile() and not any(map(is_hidden, name.parts)):
                yield Member(name, partial(_read, archive, tar, member))


def unpack_classes(archive: Path, out: Path, take: Mapping[str, int | None]) -> dict[str, int]:
    """Write images of class folders to `out`, as `<split>/<class>/<file>`; how many of each split.

    `take` says how many images of each class a split keeps, None: all. Which, a checksum of class
    and name tells, so the same ones of any copy of the archive.

    Raises ValueError if a split is not in it or a class holds fewer, or what `members` raises.
    """
    chosen = _choose(archive, take)
    counts = dict.fromkeys(take, 0)
    for path, read in tqdm(members(archive), desc=out.name, unit=" files", disable=None):
        split, below = path.parent.parent.name, "/".join(path.parts[-3:])
        if below in chosen:
            to = out / below
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(read())
            counts[split] += 1
    return counts


def _choose(archive: Path, take: Mapping[str, int | None]) -> set[str]:
    """The images that are kept, as `<split>/<class>/<file>`."""
    classes: dict[str, dict[str, set[str]]] = {split: defaultdict(set) for split in take}
    for path, _ in members(archive):
        if len(path.parts) not in (3, 4) or not is_image(path.name):
            continue
        split, name, file = path.parts[-3:]
        if split in classes:
            if as_text(str(path)) != str(path):
                raise ValueError(f"{archive}: holds {as_text(str(path))}; fetch it again")
            if file in classes[split][name]:
                raise ValueError(f"{archive}: holds {path} twice; fetch it again")
            classes[split][name].add(file)
    everywhere = set().union(*classes.values())
    chosen: set[str] = set()
    for split, count in take.items():
        if not classes[split]:
            raise ValueError(f"{archive}: holds no images in {split}/<class>; is it another one?")
        if lacking := sorted(everywhere - classes[split].keys()):
            raise ValueError(
                f"{archive}: has no {split}/{lacking[0]}, a class that is in another split; fetch "
                "it again"
            )
        for name, files in classes[split].items():
            if count is not None and len(files) < count:
                raise ValueError(
                    f"{archive}: {split}/{name} has {len(files)} images, {count} are to be taken; "
                    "fetch it again, or take fewer"
                )
            ranked = sorted(files, key=lambda file: (_checksum(name, file), file))
            chosen |= {f"{split}/{name}/{file}" for file in ranked[:count]}
    return chosen


def _read(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _reading(archive):
        file = tar.extractfile(member)
        data = file.read() if file is not None else b""
        if len(data) != member.size:
            raise EOFError(f"{len(data)} of {member.size} bytes of {as_text(member.name)}")
        return data


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    with refusing(NO_ARCHIVE, archive, what="cut short or no archive", cure="fetch it again"):
        yield


def _checksum(name: str, file: str) -> int:
    return zlib.crc32(f"{name}/{file}".encode())
