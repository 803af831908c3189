"""Images as members of tar files that follow webdataset's conventions, whoever wrote them.

A sample is the members of a tar whose names agree up to the first dot of the file name; they need
not lie side by side, as they must for webdataset. Its image is the one whose suffix is an image's
(`names.SUFFIXES`), its class what `.cls` holds, or `label` in `.json`: a number that counts from 0,
or in all of the tars a name. Nothing is ever unpacked, and a tar that would write outside its
folder if it were is refused.
"""

import json
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from braceexpand import braceexpand
from jaxtyping import Int64

from attnlabels.images.folder import STRINGS, Manifest, note_hidden
from attnlabels.images.names import SUFFIXES, as_text, is_hidden

IMAGES = {suffix[1:] for suffix in SUFFIXES}
BLOCK = 512  # bytes of a tar's header
LARGEST_TEXT = 1 << 20  # bytes of a .cls or .json that is read
LONGEST_NAME = 200  # characters of a class
MOST_CLASSES = 100_000  # a number above is an id; each number up to it gets a name in the index
WHOLE = re.compile(rb"\s*[+-]?\d{1,18}\s*")
# What tarfile raises for headers that are none; RecursionError: a long name of a long name ...
NO_TAR = (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError)


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
        tars = (tar for tar in Path(pattern).glob("*.tar") if not is_hidden(tar.name))
        return sorted(tar for tar in tars if not tar.is_dir())
    found: list[Path] = []
    for each in expand(pattern):
        found += matching(each)
    for path in found:
        if path.suffix != ".tar" or not path.is_file():
            raise ValueError(f"{path}: expected a folder or .tar files; name those alone")
    return sorted(set(found))


def expand(pattern: str) -> list[str]:
    """What the braces of a pattern stand for; of a file with braces in its name, that."""
    if Path(pattern).is_file():
        return [pattern]
    try:
        return list(braceexpand(pattern))
    except ValueError as error:
        raise ValueError(f"{pattern}: a brace without its other one; {error}") from error


def matching(name: str) -> list[Path]:
    """The file of that name, or those that it is a pattern of, with `*` as in a shell."""
    paths = [Path(name)] if Path(name).is_file() else [Path(path) for path in sorted(glob(name))]
    if not paths:
        raise FileNotFoundError(f"{name}: no such folder or tar")
    return paths


def list_tars(tars: Sequence[Path]) -> tuple[ImageTars, dict[str, str]]:
    """The images of `tars`, in their order, and of samples that cannot be taken the names and why.

    Those are the samples that have no image or several, a suffix twice, or a class that is none.
    Members that are hidden (`names.is_hidden`), such as macOS's `._a.jpg`, are passed over and
    counted in the log. Reads the headers alone, and the classes. Raises ValueError for a tar that
    is cut short or is none; for a member with an absolute path, with `..`, or that is a link or a
    device; for classes of which some are numbers and some names; and if there is no image.
    """
    if len({tar.is_absolute() for tar in tars}) > 1:
        tars = [tar.absolute() for tar in tars]
    root = Path(os.path.commonpath([tar.parent for tar in tars]))
    names = [tar.relative_to(root).as_posix() for tar in tars]
    rows: list[tuple[str, int, int, int]] = []  # path, bytes, tar, offset
    classes: list[int | str] = []
    left_out: dict[str, str] = {}
    for number, (name, tar) in enumerate(zip(names, tars)):
        for key, sample in read_samples(tar).items():
            try:
                image = _image(sample)
                classes.append(_class(tar, sample))
            except Odd as odd:
                left_out[as_text(f"{name}/{key}")] = as_text(str(odd))
            else:
                path = as_text(f"{name}/{image.name}")
                rows.append((path, image.size, number, image.offset_data))
    if not rows:
        first = "".join(f"; {name} {why}" for name, why in [*left_out.items()][:1])
        raise ValueError(f"{tars[0]}: no images ({', '.join(SUFFIXES)}) in {len(tars)} tars{first}")
    paths, sizes, *places = zip(*rows)
    labels, called = _number(classes, tars[0])
    listed = Manifest(
        paths=np.array(paths, STRINGS),
        labels=np.array(labels, np.int64),
        sizes=np.array(sizes, np.int64),
        classes=called,
    )
    return ImageTars(root, tuple(names), listed, np.array(places, np.int64).T), left_out


def read_samples(tar: Path) -> dict[str, list[tarfile.TarInfo]]:
    """The members of a tar by the key that they share, in the order of the keys' first members."""
    samples: dict[str, list[tarfile.TarInfo]] = {}
    hidden: list[str] = []
    for member in read_members(tar):
        if any(map(is_hidden, PurePosixPath(member.name).parts)):
            hidden.append(member.name)
        else:
            samples.setdefault(_split(member.name)[0], []).append(member)
    note_hidden(tar, hidden)
    return samples


def read_members(tar: Path) -> Iterator[tarfile.TarInfo]:
    """The files in a tar, one after the other; folders are passed over.

    Raises ValueError for a tar that is cut short or none, and for a member that is no plain file
    below the folder it would be unpacked in.
    """
    try:
        with tarfile.open(tar, "r:") as file:
            members = [*forward(file)]
            end = file.offset  # of the last member; a whole tar has blocks of zeros there
    except NO_TAR as error:
        raise ValueError(f"{tar}: cut short, or no tar ({error}); fetch it again") from error
    with tar.open("rb", buffering=0) as raw:
        raw.seek(end)
        if raw.read(BLOCK) != bytes(BLOCK):
            raise ValueError(f"{tar}: cut short after {end} bytes; fetch it again")
    for member in members:
        if member.isdir():
            continue
        if why := fault_of(member):
            name = as_text(member.name)
            raise ValueError(f"{tar}: {name!r} {why}; do not trust this tar")
        yield member


def fault_of(member: tarfile.TarInfo) -> str:
    """Why nobody should unpack this member, or an empty string."""
    if not member.isreg() or member.issparse():
        return "is a link or a device, no plain file"
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "leads out of the folder"
    return ""


class Odd(ValueError):
    """A sample that cannot be taken; what it says follows the sample's name."""


def forward(file: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of a tar that may be a stranger's; raises one of NO_TAR where it is none."""
    for member in file:
        if member.size < 0:  # Python before 3.11.14 would come here again and again
            raise tarfile.ReadError(f"a member of {member.size} bytes")
        yield member


def _split(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    key, _, suffix = file.partition(".")
    return f"{folder}{slash}{key}", suffix.lower()


def _image(sample: list[tarfile.TarInfo]) -> tarfile.TarInfo:
    """The sample's image, if it is one that webdataset could tell from the rest of it."""
    by_suffix: dict[str, list[tarfile.TarInfo]] = {}
    for member in sample:
        by_suffix.setdefault(_split(member.name)[1], []).append(member)
    for several in by_suffix.values():
        if len(several) > 1:
            names = " and ".join(each.name for each in several[:2])
            raise Odd(f"is there twice ({names}); rename one")
    images = [member for suffix, (member,) in by_suffix.items() if suffix in IMAGES]
    if len(images) > 1:
        names = " and ".join(each.name for each in images)
        raise Odd(f"has {len(images)} images, {names}; expected one a sample")
    if not images:
        raise Odd("has no image")
    return images[0]


def _class(tar: Path, sample: list[tarfile.TarInfo]) -> int | str:
    """The class that a sample says it has, -1 if it says nothing."""
    members = {_split(each.name)[1]: each for each in sample}
    for member in [members[suffix] for suffix in ("cls", "json") if suffix in members]:
        if member.size > LARGEST_TEXT:
            raise Odd(f"has {member.name} of {member.size} bytes; expected a class")
        with tar.open("rb") as file:
            file.seek(member.offset_data)
            text = file.read(member.size)
        value = _value(text, is_json=member is members.get("json"))
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None:
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            if -1 <= value < MOST_CLASSES:
                return value
        elif isinstance(value, str) and value.isprintable() and 0 < len(value) <= LONGEST_NAME:
            return value
        raise Odd(
            f"has the class {str(value)[:20]!r} in {member.name}; expected a number from 0 to "
            f"{MOST_CLASSES - 1:,}, or a name"
        )
    return -1


def _value(text: bytes, *, is_json: bool) -> Any:
    """What a file says of its sample's class, None for nothing."""
    if WHOLE.fullmatch(text):
        return int(text)
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        if is_json:
            raise Odd(f"has a .json that is none ({error})") from error
        return text.decode(errors="surrogateescape").strip()  # bytes that are no text do not print
    if isinstance(tree, dict):
        return tree.get("label")
    return tree if not (is_json and isinstance(tree, list)) else None  # a list of other things


def _number(classes: Sequence[int | str], tar: Path) -> tuple[list[int], list[str]]:
    """The classes as numbers, and the numbers' names: in order of the alphabet where they have any.

    Numbers stay what they are, and are their own names.
    """
    named = sorted({each for each in classes if isinstance(each, str)})
    numbers = [each for each in classes if isinstance(each, int)]
    if named and max(numbers, default=-1) >= 0:
        raise ValueError(
            f"{tar}: classes are numbers ({max(numbers)}) and names ({named[0]!r}) in the tars; "
            "write them as one kind"
        )
    if not named:
        return numbers, [str(number) for number in range(max(numbers) + 1)]
    place = {name: number for number, name in enumerate(named)}
    return [place.get(each, -1) if isinstance(each, str) else -1 for each in classes], named
