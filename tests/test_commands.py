"""The commands of the documents: each sweep changes parameters that are there, to what can be run.

The shell blocks of docs/ run as they stand (`test_docs.py`).
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides

import train_simclr
import train_supervised
import train_teacher
from attnlabels.pipeline.params import load, read

ROOT = Path(__file__).parents[1]
PLACES = (".", "docs", "params", "stages")
PAGES = [page for place in PLACES for page in (ROOT / place).glob("*.md")]
TRAININGS = {
    "train_simclr": train_simclr.TrainSimclr,
    "train_supervised": train_supervised.TrainSupervised,
    "train_teacher": train_teacher.TrainTeacher,
}
CODE = re.compile(r"```.*?\n(.*?)```|`([^`\n]+)`", re.S)


def commands(page: Path) -> list[list[str]]:
    """The words of each command of `dvc exp run` and `dvc repro`, in blocks and in lines."""
    found = []
    for block, line in CODE.findall(page.read_text()):
        for text in (block or line).replace("\\\n", " ").splitlines():
            if re.match(r"\s*dvc (exp run|repro)\b", text):
                found.append(shlex.split(text.partition("&&")[0], comments=True))
    return found


RUN = [
    pytest.param(words, id=f"{page.name}: {' '.join(words)}"[:90])
    for page in PAGES
    for words in commands(page)
]


def overrides(words: list[str]) -> list[str]:
    """The words `KEY=VALUE` of a command."""
    return [word for word in words if re.match(r"[\w.]+=", word)]


def has(tree: Any, path: str) -> bool:
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True


def test_there_are_commands():
    assert len(RUN) > 8 and sum(bool(overrides(each.values[0])) for each in RUN) >= 4


@pytest.mark.parametrize("words", RUN)
@pytest.mark.parametrize("file", ["embedded", "paper"])
def test_a_sweep_changes_parameters_that_are_there_to_what_can_be_trained(words, file, tmp_path):
    shutil.copy(ROOT / f"params/{file}.yaml", tmp_path / "params.yaml")
    changes = overrides(words)
    for change in changes:
        key, _, values = change.partition("=")
        assert has(read(tmp_path / "params.yaml"), key), key
        first = values if "[" in values else values.split(",")[0]  # of a sweep, the first
        apply_overrides(tmp_path / "params.yaml", [f"{key}={first}"])
    for section, record in TRAININGS.items():
        p: Any = load(record, section, path=tmp_path / "params.yaml")
        assert p.warmup_epochs < p.epochs, section


@pytest.mark.parametrize("words", [each for each in RUN if each.values[0][1] == "repro"])
def test_what_is_reproduced_is_there(words):
    stages = read(ROOT / "dvc.yaml")["stages"]
    for word in (each for each in words[2:] if not each.startswith("-")):
        if word.isupper() or "STUDY" in word or "NAME" in word or "VERB" in word:
            continue  # to be filled in
        place, _, stage = word.rpartition(":")
        if word.endswith("dvc.yaml"):
            assert (ROOT / word).is_file(), word
        else:
            there = read(ROOT / place)["stages"] if place else stages
            assert stage.partition("@")[0] in there, word
