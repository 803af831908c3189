"""A study that is played once for all tests, and a copy of it to change."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gathered_study import Made, make_study

MANNERS = ("painter",) * 6 + ("lazy", "bot")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Of eight players and twelve images; nobody changes it."""
    return make_study(tmp_path_factory.mktemp("played"), MANNERS, n_catch=1)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """The same, to change."""
    for folder in (made.study, made.images):
        shutil.copytree(folder, tmp_path / folder.name)
    return replace(made, study=tmp_path / made.study.name, images=tmp_path / made.images.name)
