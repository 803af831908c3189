import json
import shutil
from pathlib import Path

import pytest

import list_code
from attnlabels.pipeline.code import SLOTS, code_of
from attnlabels.pipeline.places import MARK

SOURCES = Path(list_code.__file__).parent


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("listed") / "code"
    list_code.main(folder)
    return folder


def test_every_script_and_all_that_fills_a_slot_is_listed_and_nothing_else(code):
    scripts = {path.stem for path in SOURCES.glob("*.py")} - {"list_code"}
    assert {path.name for path in code.iterdir()} == {
        *(f"{name}.json" for name in scripts),
        *(room.name for room in SLOTS.values()),
    }
    for room in SLOTS.values():
        modules = {path.stem for path in room.glob("*.py") if path.name[0] != "_"}
        assert {path.name for path in (code / room.name).iterdir()} == {
            *(f"{name}.json" for name in modules),
            MARK,
        }


def test_a_file_names_what_the_script_is_made_of_and_can_be_read(code):
    listed = json.loads((code / "train_simclr.json").read_text())
    assert listed == code_of(SOURCES / "train_simclr.py")
    assert {"train_simclr.py", "attnlabels/losses/nt_xent.py"} <= listed.keys()
    lines = (code / "train_simclr.json").read_text().splitlines()
    assert len(lines) == len(listed) + 2 and max(map(len, lines)) <= 100


def test_a_second_time_leaves_the_same_bytes(code, tmp_path):
    again = Path(shutil.copytree(code, tmp_path / "code"))
    list_code.main(again)
    files = {path.relative_to(code): path.read_bytes() for path in code.rglob("*.json")}
    assert files == {path.relative_to(again): path.read_bytes() for path in again.rglob("*.json")}
