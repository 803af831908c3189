"""List what each run of a study is made of; training watches a run's own file, and no other.

    python src/list_runs.py STUDY RUNS

STUDY is a table of params.yaml, RUNS the folder that gets a `<run>.json` for each of its rows: the
row, a digest of its labels and of the recordings it is co-trained with, and the code of what fills
its slots, as its block.
A change of one of these makes that run stale. DVC alone could not tell: a stage that is made for
each row and seed cannot name what a row names.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnlabels.pipeline.code import SLOTS, code_of
from attnlabels.pipeline.params import PARAMS, read
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder


def main(study: str, runs: Path) -> None:
    table = read().get(study)
    if not isinstance(table, dict):
        raise ValueError(f"{PARAMS}: no table of runs {study!r}")
    with replacing_folder(runs) as aside:
        aside.mkdir()
        for name, row in table.items():
            about = {"run": name, "row": row, "sha256": dict(watched_by(row, name=name))}
            (aside / f"{name}.json").write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")


def watched_by(row: Any, *, name: str) -> Iterator[tuple[str, str]]:
    """What the row names and a digest of it; of shards, that of their index of checksums."""
    if not isinstance(row, dict) or "labels" not in row:
        raise ValueError(f"{PARAMS}: the run {name!r} has no `labels`; add its folder of shards")
    folders = [row["labels"], *([row["cotrain"]["shards"]] if row.get("cotrain") else [])]
    for folder in folders:
        index = Path(folder) / "index.json"
        if not index.is_file():
            raise FileNotFoundError(
                f"{index} is missing: the run {name!r} needs these labels; run the stage that "
                "makes them"
            )
        yield folder, hashlib.sha256(index.read_bytes()).hexdigest()
    for slot, room in SLOTS.items():
        if row.get(slot) is not None:
            yield from code_of(find_module(slot, room, row[slot], name=name)).items()


def find_module(slot: str, room: Path, module: str, *, name: str) -> Path:
    """The module that fills a slot of the run `name`."""
    path = room / f"{module}.py"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in room.glob("[!_]*.py")))
        raise ValueError(
            f"{PARAMS}: the run {name!r} has the {slot} {module!r}; expected one of: {known}"
        )
    return path


if __name__ == "__main__":
    run(main)
