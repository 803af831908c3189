"""Git-lfs leaves small text files in the place of large ones that were not fetched."""

from pathlib import Path

POINTER = b"version https://git-lfs"


def refuse_pointer(path: Path) -> None:
    """Raises ValueError if the file is a pointer of git-lfs; `path` is a file."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise ValueError(
                f"{path}: a pointer of git-lfs, not the file itself; run `git lfs pull` where it "
                "was cloned"
            )
