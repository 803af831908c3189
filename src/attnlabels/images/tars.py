"""Images as members of tar files that follow webdataset's conventions, whoever wrote them.

A sample is a run of members whose names agree up to the first dot of the file name. Its image is
the member `.jpg`, `.jpeg` or `.png`, its class the number in `.cls`, or `label` in `.json`. Nothing
is ever unpacked, and a tar that would write outside its folder if it were is refused.
"""

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np
from braceexpand import braceexpand
from jaxtyping import Int64

from attnlabels.images.folder import STRINGS, Manifest
from attnlabels.images.names import as_text, is_hidden

IMAGES = ("jpg", "jpeg", "png")
BLOCK = 512  # bytes of a tar's header
LARGEST_TEXT = 1 << 20  # bytes of a .cls or .json that is read
MOST_CLASSES = 1_000_000  # so that no number in a file fills the memory


@dataclass(frozen=True)
class ImageTars:
    """The images of a list, as members of tars that are opened for each read."""

    root: Path
    tars: tuple[str, ...]  # below `root`, posix
    listed: Manifest  # its paths are those of members, each below its tar's
    places: Int64[np.ndarray, "n 2"]  # of `tars`, and the byte where the image begins

    def read(self, i: int) -> bytes:
        """The encoded image."""
        tar, offset = self.places[i].tolist()
        with (self.root / self.tars[tar]).open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(int(self.listed.sizes[i]))

    def stem(self, i: int) -> str:
        """What webdataset calls the sample."""
        tar, _ = self.places[i].tolist()
        return _split(str(self.listed.paths[i]).removeprefix(f"{self.tars[tar]}/"))[0]

    def stamp(self, i: int) -> tuple[int, ...]:
        """Changes with the tar: its bytes and time of change in ns, and the place in it."""
        tar, offset = self.places[i].tolist()
        about = (self.root / self.tars[tar]).stat()
        return about.st_size, about.st_mtime_ns, offset


def find_tars(pattern: str) -> list[Path]:
    """The tars of a folder, or those that a pattern names: `{0000..0099}` and `*` as in a shell.

    In the order of their names; a folder without tars gives none. Raises FileNotFoundError for a
    pattern of which a part names no file, and ValueError for what is no `.tar`.
    """
    if Path(pattern).is_dir():
        return sorted(tar for tar in Path(pattern).glob("*.tar") if not is_hidden(tar.name))
    found: list[Path] = []
    for each in braceexpand(pattern):
        paths = [Path(each)] if Path(each).is_file() else [Path(path) for path in glob(each)]
        if not paths:
            raise FileNotFoundError(f"{each}: no such folder or tar")
        found += paths
    for path in found:
        if path.suffix != ".tar":
            raise ValueError(f"{path}: expected a folder or .tar files; unpack what is compressed")
    return sorted(set(found))


def list_tars(tars: Sequence[Path]) -> tuple[ImageTars, list[str]]:
    """The images of `tars`, in their order, and the names of samples that have none.

    Reads the headers alone, and the classes. Raises ValueError for a tar that is cut short or is
    none; for a member with an absolute path, with `..`, or that is a link or a device; for a sample
    with two images; and if there is no image.
    """
    root = Path(os.path.commonpath([tar.parent for tar in tars]))
    names = [tar.relative_to(root).as_posix() for tar in tars]
    rows: list[tuple[str, int, int, int, int]] = []  # path, label, bytes, tar, offset
    strangers: list[str] = []
    for number, (name, tar) in enumerate(zip(names, tars)):
        for key, members in groupby(read_members(tar), key=lambda each: _split(each.name)[0]):
            sample = {_split(each.name)[1].lower(): each for each in members}
            images = [sample[suffix] for suffix in IMAGES if suffix in sample]
            if len(images) > 1:
                raise ValueError(f"{tar}: {key} has {len(images)} images; expected one a sample")
            if not images:
                strangers.append(as_text(f"{name}/{key}"))
                continue
            (image,) = images
            label = _label(tar, sample)
            path = as_text(f"{name}/{image.name}")
            rows.append((path, label, image.size, number, image.offset_data))
    if not rows:
        raise ValueError(f"{tars[0]}: no images ({', '.join(IMAGES)}) in {len(tars)} tars")
    paths, labels, sizes, *places = zip(*rows)
    listed = Manifest(
        paths=np.array(paths, STRINGS),
        labels=np.array(labels, np.int64),
        sizes=np.array(sizes, np.int64),
        classes=[str(label) for label in range(max(labels) + 1)],  # what they mean is not said
    )
    return ImageTars(root, tuple(names), listed, np.array(places, np.int64).T), strangers


def read_members(tar: Path) -> Iterator[tarfile.TarInfo]:
    """The files in a tar, one after the other; folders are passed over.

    Raises ValueError for a tar that is cut short or none, and for a member that is no plain file
    below the folder it would be unpacked in.
    """
    try:
        with tarfile.open(tar, "r:") as file:
            for member in file:
                if member.isdir():
                    continue
                if why := fault_of(member):
                    raise ValueError(f"{tar}: {member.name!r} {why}; do not trust this tar")
                yield member
            end = file.offset  # of the last member; a whole tar has blocks of zeros there
        with tar.open("rb", buffering=0) as raw:
            raw.seek(end)
            if raw.read(BLOCK) != bytes(BLOCK):
                raise ValueError(f"{tar}: cut short after {end} bytes; fetch it again")
    except tarfile.TarError as error:
        raise ValueError(f"{tar}: cut short, or no tar ({error}); fetch it again") from error


def fault_of(member: tarfile.TarInfo) -> str:
    """Why nobody should unpack this member, or an empty string."""
    if not member.isreg() or member.issparse():
        return "is a link or a device, no plain file"
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "leads out of the folder"
    return ""


def _split(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    key, _, suffix = file.partition(".")
    return f"{folder}{slash}{key}", suffix


def _label(tar: Path, sample: dict[str, tarfile.TarInfo]) -> int:
    for suffix in ("cls", "json"):
        if suffix not in sample:
            continue
        member = sample[suffix]
        if member.size > LARGEST_TEXT:
            raise ValueError(f"{tar}: {member.name} has {member.size} bytes; expected a class")
        with tar.open("rb") as file:
            file.seek(member.offset_data)
            text = file.read(member.size)
        try:
            tree = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{tar}: {member.name} holds no class ({error})") from error
        label = tree.get("label") if isinstance(tree, dict) else tree
        if isinstance(label, int) and -1 <= label < MOST_CLASSES:
            return label
        if suffix == "cls":
            raise ValueError(f"{tar}: {member.name} holds {text[:20]!r}; expected a class number")
    return -1
