"""Where results go: seen to be free before the work begins, with links followed.

A file takes a file's place and never a folder's. A folder takes the place of one that is empty, or
of one that this program wrote and that nobody has added to or changed since: the file MARK in it
tells, as it lists what was written and how long each file is. What a command writes at a place of
its user's choice takes that of its own kind alone, and there the mark knows short files by their
contents too: see `require_ours`, and `of` of folders.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = ".attnlabels"
SHORT = 1 << 20  # bytes of a file that somebody may have written in
LARGEST = 1 << 28  # bytes of a file that may be one of ours
ELSEWHERE = "name another place"


def settle(*files: Path) -> None:
    """Raise OSError unless each file can be written, as `place_of_file` has it."""
    for each in files:
        place_of_file(each)


def place_of_file(path: Path) -> Path:
    """The file that `path` leads to, whether it is there or not.

    Raises OSError that says what is in the way: a folder, a file for a folder, or permissions.
    """
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it, or {ELSEWHERE}")
    if path.is_symlink() and place.is_file() and not place.stat().st_mode & 0o222:
        # DVC's cache: what is written there would be taken for what was there
        raise PermissionError(f"{path} links to a file that is read only; remove the link")
    _require_room(path, place)
    return place


def require_ours(path: Path, is_ours: Callable[[bytes], bool], *, cure: str = ELSEWHERE) -> None:
    """Raise FileExistsError, with the `cure`, for a file at `path` that `is_ours` does not hold of.

    For what a command writes wherever its user says: no stage's output, that DVC looks after.
    """
    there = path.is_file()
    if there and (path.stat().st_size > LARGEST or not is_ours(path.read_bytes())):
        raise FileExistsError(f"{path} is there already, and not what is written there now; {cure}")


def place_of_folder(path: Path, *, replace: bool = True, of: str | None = None) -> Path:
    """The folder that `path` leads to, whether it is there or not.

    Raises OSError that says what is in the way: a file, permissions, a folder that may not be
    replaced, one without the file that all `of` the kind have, or, unless `replace` is set, one
    that is not empty.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not replace and (not place.is_dir() or any(place.iterdir())):
        raise FileExistsError(f"{path} is there already; {ELSEWHERE}")
    if place.exists() and not place.is_dir():
        raise FileExistsError(f"{path} is a file; name a folder to write")
    if place.is_dir():
        _require_replaceable(path, place)
        if of is not None and any(place.iterdir()) and not (place / of).is_file():
            raise FileExistsError(f"{path} holds something else than is written now; {ELSEWHERE}")
    _require_room(path, place)
    return place


def mark(folder: Path, *, by_content: bool = False) -> None:
    """Say in `folder` that this program wrote all that is there now, and may replace it.

    `by_content`, it may no more if a short file is changed, though to one as long.
    """
    sizes = dict(sorted(_sizes(folder)))
    written = {"written_by": "attnlabels", "files": sizes}
    if by_content:
        short = [name for name, size in sizes.items() if 0 <= size <= SHORT]
        written["sha256"] = {name: _sha256(folder / name) for name in short}
    (folder / MARK).write_text(json.dumps(written, indent=1) + "\n")


def _require_replaceable(path: Path, place: Path) -> None:
    try:
        said = json.loads((place / MARK).read_bytes())
        written, contents = said["files"].items(), said.get("sha256", {}).items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no mark of ours
        written, contents = (), ()
    strange = sorted(name for name, _ in {*_sizes(place)} - {*written})
    strange = strange or [name for name, digest in contents if _sha256(place / name) != digest]
    if strange:
        raise FileExistsError(
            f"{path} holds {strange[0]}, which attnlabels did not write there or somebody has "
            "changed since; name a new folder, as this one would be replaced as a whole"
        )
    if place == Path.cwd() or place.is_mount():  # no other folder can take their place
        raise FileExistsError(
            f"{path} is the current folder or a mounted one, which cannot be replaced; name a "
            f"folder in it, such as {path / 'out'}"
        )


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Names below `folder`, but its mark's, with sizes in bytes; -1 for an empty folder."""
    for above, folders, files in os.walk(folder):
        for name in files:
            path = Path(above, name)
            if path != folder / MARK:
                yield str(path.relative_to(folder)), path.lstat().st_size
        for name in folders:  # links to folders among them
            path = Path(above, name)
            if path.is_symlink() or not any(path.iterdir()):
                yield str(path.relative_to(folder)), -1


def _sha256(path: Path) -> str:
    """Of what a file holds; an empty string if there is none to read, as where a link leads off."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _require_room(path: Path, place: Path) -> None:
    """Raise OSError unless `place` can be made in the folder above it, or in one made for it."""
    above = next(each for each in place.parents if each.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"{path}: {above} is a file and no folder; {ELSEWHERE}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{path}: nothing can be written in {above}; {ELSEWHERE}")
