"""List the code of every stage; a stage watches its own script's file, and no module.

    python src/list_code.py CODE

CODE gets a `<script>.json` for each script beside this one, and for what fills a slot of a network
and is imported by name, as a block, a `blocks/<block>.json`: a digest of every file that it is made
of (see `attnlabels.pipeline.code`). A comment changes none of them, a function those that reach it.
"""

from pathlib import Path

from attnlabels.pipeline.code import SLOTS, code_of
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_json


def main(code: Path) -> None:
    this = Path(__file__)
    scripts = [path for path in this.parent.glob("*.py") if path.name != this.name]
    for path in scripts:
        write_json(code / f"{path.stem}.json", code_of(path))
    for room in SLOTS.values():
        with replacing_folder(code / room.name) as aside:
            for path in room.glob("[!_]*.py"):
                write_json(aside / f"{path.stem}.json", code_of(path))


if __name__ == "__main__":
    run(main)
