import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from attnlabels.sessions.made import read_made
from taking_part import CLASSES, write_experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return write_experiment(tmp_path / "experiment")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_experiment_is_read_with_its_classes_groups_and_pictures(experiment):
    made = read_made(experiment)
    assert made.classes == [*CLASSES] and made.groups == [0, 0, 0, 1, 1, 1]
    assert len(made.pictures) == 2 * 3 * 6 + 2 and len(made.practice) == 2
    assert all((experiment / path).is_file() for path in made.pictures)


def test_without_images_set_aside_there_is_nothing_to_practise_with(tmp_path):
    assert not len(read_made(write_experiment(tmp_path / "plain", practice=0)).practice)


def test_each_picture_has_its_digest_and_results_of_before_know_the_experiment(experiment):
    made = read_made(experiment)
    for path, digest in zip(made.pictures, made.digests, strict=True):
        assert sha256((experiment / path).read_bytes()).hexdigest() == digest
    tables = b"".join((experiment / name).read_bytes() for name in ("stimuli.csv", "practice.csv"))
    sizes = "".join(f"\n{path} {(experiment / path).stat().st_size}" for path in made.pictures)
    assert made.digest == sha256(tables + sizes.encode()).hexdigest()


@pytest.mark.parametrize("changed", ["stimuli.csv", "practice.csv", "players/0.1/animal/0.png"])
def test_a_change_of_tables_or_pictures_is_another_experiment(experiment, changed):
    before = read_made(experiment).digest
    with open(experiment / changed, "ab") as file:
        file.write(b"\n")
    assert read_made(experiment).digest != before


def test_what_is_missing_or_strange_is_named(experiment, tmp_path):
    with pytest.raises(FileNotFoundError, match="none/stimuli.csv: no such table; make the stim"):
        read_made(tmp_path / "none")
    (experiment / "players/1.0/object/2.png").unlink()
    with pytest.raises(
        FileNotFoundError, match="object/2.png: no such picture; make the stimuli again"
    ):
        read_made(experiment)


def test_a_class_of_practice_alone_is_refused(experiment):
    edit(experiment / "practice.csv", "object/p0.png,object", "object/p0.png,vehicle")
    with pytest.raises(ValueError, match="practice.csv: the class 'vehicle' is none of stimuli"):
        read_made(experiment)


def test_pictures_beyond_the_folder_are_refused(experiment, tmp_path):
    shutil.copy(experiment / "practice/animal/p0.png", tmp_path / "secret.png")
    edit(experiment / "practice.csv", "practice/animal/p0.png", f"{Path(os.pardir, 'secret.png')}")
    with pytest.raises(ValueError, match="secret.png: beyond .*experiment; make the stimuli again"):
        read_made(experiment)


def test_sets_that_are_not_numbered_from_0_are_refused(experiment):
    text = (experiment / "stimuli.csv").read_text().splitlines()
    kept = [line for line in text if not line.startswith("0,")]
    (experiment / "stimuli.csv").write_text("\n".join(kept) + "\n")
    with pytest.raises(ValueError, match="sets are not numbered from 0"):
        read_made(experiment)
