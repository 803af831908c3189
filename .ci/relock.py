"""Bring all locks in step with the code, where no output of it moved: no data is needed.

    dvc repro list_code && python .ci/relock.py

In the project's root. Each `data/code/...` that a stage depends on gets the digest that `list_code`
has in the root's dvc.lock. That its outputs did not move is for whoever calls this to show.
"""

import os
import re
from pathlib import Path

ENTRY = re.compile(
    r"- path: (?P<path>\S+)\n(?P<indent>\s+)hash: md5\n\s+md5: \S+\n\s+size: \d+"
    r"(?:\n\s+nfiles: \d+)?"
)
LISTED = re.compile(r"\n  list_code:\n.*?\n    outs:\n(.*?)(?=\n  \S|\Z)", re.DOTALL)


def main() -> None:
    found = LISTED.search(Path("dvc.lock").read_text())
    if not found:
        raise SystemExit("dvc.lock has no list_code: `dvc repro list_code`")
    entries = {each["path"]: each[0] for each in ENTRY.finditer(found[1])}
    for lock in (Path("dvc.lock"), *sorted(Path("stages").glob("*/dvc.lock"))):
        lock.write_text(relocked(lock.read_text(), entries, folder=lock.parent))
    print(f"{len(entries)} files of code; look at `git diff --stat`, then `python .ci/stale.py`")


def relocked(text: str, entries: dict[str, str], *, folder: Path) -> str:
    """A lock's text with the entries of the root's lock; paths are of `folder`, or of the root."""

    def renew(old: re.Match[str]) -> str:
        places = (os.path.normpath(folder / old["path"]), old["path"])
        place = next((each for each in places if each in entries), None)
        if place is None:
            return old[0]
        first, *lines = entries[place].splitlines()
        body = [f"{old['indent']}{line.strip()}" for line in lines]
        return "\n".join([first.replace(place, old["path"]), *body])

    return ENTRY.sub(renew, text)


if __name__ == "__main__":
    main()
