"""Labels as plain files, by `attnlabels label --as files` and the function that it calls."""

import csv
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from attnlabels import Drawing, Work, label, label_as_files
from attnlabels.cli import main
from attnlabels.images.decoding import resize_map
from attnlabels.labelling import files
from attnlabels.labelling.files import require_file_names
from attnlabels.shards.shards import Shards

SIZES = {"a/0.jpg": (30, 40), "a/deep/1.png": (48, 24), "b/2.jpg": (20, 90), "3.png": (31, 31)}
OPTIONS: dict[str, Any] = {
    "drawing": Drawing(map_size=12),
    "work": Work(batch_size=2, workers=0, shard_size=2),
}


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four photographs of different shapes, in folders; the current folder is the one above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNLABELS_SCRATCH", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for seed, (name, size) in enumerate(SIZES.items()):
        draw(tmp_path / "photos" / name, seed, size)
    return tmp_path / "photos"


def draw(path: Path, seed: int, size: tuple[int, int] = (30, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    assert cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2))


@pytest.fixture
def labelled(teacher: Path) -> Callable[..., dict[str, Any]]:
    def call(images: Path, out: str = "maps", **changed: Any) -> dict[str, Any]:
        index = label_as_files(images, teacher=teacher, out=out, **OPTIONS | changed)
        assert index is not None
        return index

    return call


def names(folder: str) -> list[str]:
    """What is in the folder, but its mark."""
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found if path.name != ".attnlabels")


def stop(*about: Any) -> None:
    raise KeyboardInterrupt


def left_over() -> list[str]:
    return sorted(path.name for path in Path().iterdir() if path.name.startswith("."))


def test_maps_and_points_are_those_of_the_shards_at_each_images_size(photos, teacher, labelled):
    index = labelled(photos)
    shards = label(photos, teacher=teacher, out="shards", **OPTIONS)
    assert shards is not None
    stems = [str(Path(name).with_suffix("")) for name in SIZES]
    assert names("maps") == sorted(
        [f"{stem}{end}" for stem in stems for end in (".png", ".csv")] + ["index.json"]
    )
    for sample in shards:
        stem = Path("maps", sample["name"]).with_suffix("")
        grey = cv2.imread(f"{stem}.png", cv2.IMREAD_UNCHANGED)
        h, w = SIZES[sample["name"]]
        assert grey.dtype == np.uint16 and grey.shape == (h, w) and grey.max() == 65535
        expected = resize_map(sample["map"], h, w)
        np.testing.assert_allclose(grey / 65535, expected / expected.max(), atol=1e-4)
        with open(f"{stem}.csv", newline="") as file:
            rows = [(float(row["y"]), float(row["x"])) for row in csv.DictReader(file)]
        assert len(rows) == len(sample["points"]) > 0
        cells = np.floor(np.array(rows) / (h / 12, w / 12)).astype(int)
        assert cells.tolist() == sample["points"].tolist()
    assert index["samples"] == 4 and index["skipped"] == []
    assert index["maps_by"]["sha256"] == shards.index["maps_by"]["sha256"]
    assert left_over() == []


def test_a_point_is_in_the_middle_of_its_cell(tmp_path):
    sample: Any = {
        "name": "x.jpg",
        "image_size": (120, 60),
        "map": np.eye(12, dtype=np.float32),
        "points": np.array([[0, 0], [11, 5]]),
        "grid": (12, 12),
    }
    files._write_sample(tmp_path, sample)
    assert (tmp_path / "x.csv").read_text() == "x,y\n2.5,5.0\n27.5,115.0\n"


def test_what_was_killed_goes_on_and_leaves_the_same_files(photos, labelled, monkeypatch):
    labelled(photos, "whole")
    written: list[str] = []
    write = files._write_sample

    def stopping(folder: Path, sample: Any) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(sample["name"])
        write(folder, sample)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "_write_sample", stopping)
        labelled(photos)
    assert not Path("maps").exists()
    again: list[str] = []

    def noting(folder: Path, sample: Any) -> None:
        again.append(sample["name"])
        write(folder, sample)

    monkeypatch.setattr(files, "_write_sample", noting)
    labelled(photos)
    assert len(again) == 2 and not {*again} & {*written[:2]}  # the first shard's were all there
    assert names("maps") == names("whole")
    for name in names("maps"):
        assert Path("maps", name).read_bytes() == Path("whole", name).read_bytes()
    assert left_over() == []


def test_an_image_that_is_mended_after_a_kill_gets_its_files(photos, labelled, monkeypatch):
    whole = (photos / "a/0.jpg").read_bytes()
    (photos / "a/0.jpg").write_bytes(whole[: len(whole) // 2])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "_link_tree", stop)
        labelled(photos, broken="skip")
    (photos / "a/0.jpg").write_bytes(whole)
    assert labelled(photos, broken="skip")["samples"] == 4
    assert Path("maps/a/0.png").is_file()


def test_broken_files_are_left_out_and_counted(photos, labelled, caplog):
    (photos / "b/2.jpg").write_bytes(b"no photograph")
    with pytest.raises(ValueError, match="b/2.jpg"):
        labelled(photos)
    assert not Path("maps").exists()
    with caplog.at_level(logging.INFO, "attnlabels"):
        index = labelled(photos, broken="skip")
    assert index["skipped"] == ["b/2.jpg"] and index["samples"] == 3
    assert json.loads(Path("maps/index.json").read_text()) == index
    assert "b/2.jpg" in caplog.text and not Path("maps/b").exists()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("a/0.png", "files of one name would be those of a/0.jpg and a/0.png; rename one"),
        ("A/0.png", "files of one name would be those of A/0.png and a/0.jpg; rename one"),
        ("a/what?.jpg", r"names that other systems refuse: a/what\?.jpg; rename them"),
        ("con.jpg", "names that other systems refuse: con.jpg"),
        ("end./1.jpg", "names that other systems refuse: end./1.jpg"),
    ],
)
def test_names_that_files_cannot_have_are_refused_before_the_work(
    photos, labelled, other, message, monkeypatch
):
    draw(photos / other, 9)
    monkeypatch.setattr("attnlabels.labelling.labels.label_parts", None)
    with pytest.raises(ValueError, match=message):
        labelled(photos)
    assert left_over() == [] and not Path("maps").exists()


@pytest.mark.parametrize("folder", ["3.png", "3.CSV"])
def test_a_folder_of_the_name_of_a_file_is_refused_before_the_work(
    photos, labelled, folder, monkeypatch
):
    (photos / "3.png").rename(photos / "3.jpg")
    draw(photos / folder / "x.jpg", 9)
    monkeypatch.setattr("attnlabels.labelling.labels.label_parts", None)
    with pytest.raises(ValueError, match=r"called as a file of 3\.jpg would be .*; rename one"):
        labelled(photos)
    assert left_over() == [] and not Path("maps").exists()


def test_names_like_those_of_devices_are_names():
    require_file_names(["console.jpg", "aux1/lpt.png", "a.b/c.d.jpg", "com10.jpg", "ü/é.jpg"])


@pytest.mark.parametrize(("folder", "overlays"), [("overlay", 1), ("Index.JSON", 0)])
def test_a_folder_of_the_name_of_what_lies_beside_the_files_is_refused_before_the_work(
    photos, labelled, folder, overlays, monkeypatch
):
    require_file_names(["overlay/b.jpg", "overlay.jpg", "a/overlay/b.jpg", "index.json.jpg"])
    draw(photos / folder / "b.jpg", 9)
    monkeypatch.setattr("attnlabels.labelling.labels.label_parts", None)
    with pytest.raises(ValueError, match=f"of their own, where those of {folder}/b.jpg would lie"):
        labelled(photos, n_overlays=overlays)
    assert left_over() == [] and not Path("maps").exists()


def test_overlays_lie_beside_the_files(photos, labelled):
    labelled(photos, n_overlays=2)
    assert len(list(Path("maps/overlay").glob("*.jpg"))) == 2


def test_nothing_is_written_over(photos, labelled, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/a.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="maps is there already; name another"):
        labelled(photos)
    assert names("maps") == ["a.png"]


def test_the_command_says_how_many(photos, teacher, capsys, monkeypatch):
    words = ["label", "photos", "--teacher", str(teacher), "--out", "maps", "--as", "files"]
    monkeypatch.setattr("sys.argv", ["attnlabels", *words, "--map-size", "12", "--workers", "0"])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code and capsys.readouterr().out == "maps: 4 images labelled\n"
    shutil.rmtree("maps")
    monkeypatch.setattr("sys.argv", ["attnlabels", *words, "--classes"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2 and "lie in the images' folders anyway" in capsys.readouterr().err


def test_shards_are_read_as_ever(photos, teacher):
    shards = label(photos, teacher=teacher, out="shards", **OPTIONS)
    assert isinstance(shards, Shards) and len(shards) == 4
