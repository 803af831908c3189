from pathlib import Path

import pytest

import make_tasks
import prepare_cub
from attnlabels.shards.shards import Shards
from tiny_tasks import tiny, write_params


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cub")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(tiny())
        make_tasks.main(folder / "scenes")
    return folder / "scenes"


def prepare(scenes: Path, folder: Path, name: str) -> Shards:
    gaze = scenes / f"parts/gaze_{name.partition('_')[2]}.txt"
    prepare_cub.main(name, scenes / "parts", gaze, folder / name)
    return Shards(folder / name)


def test_the_embedded_data_are_read_as_cub_is(scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(tiny())
    train, test = (prepare(scenes, tmp_path, f"{split}_always") for split in ("train", "test"))
    assert (len(train), len(test)) == (24, 12) and len(train.classes) == 4
    assert sorted({*train.labels.tolist()}) == [0, 1, 2, 3]
    assert train.classes[0].startswith("001.")
    maps_by = train.index["maps_by"]
    assert maps_by["kind"] == "human" and maps_by["annotations"] == "gaze_always.txt"
    first = train[0]
    assert first["map"].shape == (24, 24) and first["observers"] is not None


def test_bad_gaze_leaves_nothing(scenes, tmp_path, monkeypatch, fail):
    monkeypatch.chdir(tmp_path)
    write_params(tiny())
    gaze = tmp_path / "gaze.txt"
    gaze.write_text("99,24,24,1,1,50\n")
    words = ("train_always", scenes / "parts", gaze, tmp_path / "out")
    assert "gaze.txt:1: gaze for image '99'" in fail(prepare_cub, *words)
    assert not (tmp_path / "out").exists()
