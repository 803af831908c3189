import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels import show
from attnlabels.cli import main
from attnlabels.images.overlays import POINT
from attnlabels.shards.contact_sheet import GAP, LINE, SIDE, WIDTH
from attnlabels.shards.shards import Sample, write_shards


def a_sample(i: int, *, size: tuple[int, int] = (30, 40)) -> Sample:
    """A green image, looked at in its upper left corner."""
    image = np.full((*size, 3), (0, 200, 0), np.uint8)
    map = np.zeros((3, 4), np.float32)
    map[0, 0] = 1
    return Sample(
        key=f"image_{i}" + "x" * (70 * (i == 1)),
        image=cv2.imencode(".png", image)[1].tobytes(),
        map=map,
        points=np.array([[0, 0]]),
        observers=None,
        label=i - 1,
        grid=(3, 4),
        image_size=size,
        source="made by the test",
        name=f"{i}.png",
    )


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    samples = [a_sample(i, size=(30, 40) if i < 4 else (40, 30)) for i in range(5)]
    write_shards(
        tmp_path / "shards",
        samples,
        maximum_count=2,
        maps_by={"kind": "teacher"},
        classes=["a", "b", "c", "d"],
    )
    return tmp_path / "shards"


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_each_sample_is_its_image_its_map_and_both_with_its_points(shards, tmp_path):
    show(shards, out=tmp_path / "sheet.png", count=4, columns=2)
    sheet = read(tmp_path / "sheet.png")
    assert sheet.shape == (LINE + 2 * (120 + LINE + GAP), 2 * WIDTH, 3)
    lefts = [GAP + i * (SIDE + GAP) for i in range(3)]
    image, map, both = (sheet[LINE : LINE + 120, left : left + SIDE] for left in lefts)
    assert (image == (0, 200, 0)).all()
    assert (map[:39, :39] == (252, 255, 164)).all() and (map[41:] == (0, 0, 4)).all()
    assert (both[20, 20] == POINT).all()
    assert (both[100:, 100:] == (0, 200, 0)).all()
    below = sheet[LINE + 120 : LINE + 120 + LINE]
    assert (
        below.min() < 200 and (below[:, WIDTH - 5 : WIDTH + GAP] == 255).all()
    )  # no text runs over


def test_samples_are_from_all_over_the_set_and_of_any_shape(shards, tmp_path):
    show(shards, out=tmp_path / "sheet.png", count=99, columns=3)
    assert read(tmp_path / "sheet.png").shape == (
        LINE + (120 + LINE + GAP) + (160 + LINE + GAP),
        3 * WIDTH,
        3,
    )


def test_a_second_sheet_is_the_same_to_the_byte(shards, tmp_path):
    for name in ("a.png", "b.png"):
        show(shards, out=tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_full_disk_leaves_nothing(shards, tmp_path, full_disk):
    with full_disk(200), pytest.raises(OSError, match="sheet.png"):
        show(shards, out=tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


def test_a_folder_in_the_way_stays(shards, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("years")
    before = {path.name for path in shards.iterdir()}
    for folder in (theirs, shards):
        with pytest.raises(IsADirectoryError, match=f"{folder.name} is a folder; name a file in"):
            show(shards, out=folder)
    assert (theirs / "thesis.tex").read_text() == "years"
    assert {path.name for path in shards.iterdir()} == before


def test_the_commands_show_and_check(shards, tmp_path, monkeypatch, capsys):
    def run(*words: Path | str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["attnlabels", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    sheet = tmp_path / "sheet.png"
    assert run("show", shards, "--out", sheet) == (0, f"{sheet}\n", "") and sheet.is_file()
    assert run("check", shards) == (0, f"{shards}: no fault found\n", "")
    (shards / "shard-000001.tar").unlink()
    assert run("check", shards) == (
        1,
        "shard-000001.tar: missing\n",
        f"attnlabels: error: {shards}: faults found: 1\n",
    )
    status, _, error = run("show", shards, "--out", tmp_path / "other.png")
    assert status == 1 and "shard-000001.tar: in the index but not on the disk" in error
    assert run("check", tmp_path / "nowhere")[0] == 1
    assert run("show", shards)[0] == 2 and run("show", shards, "--count", "0")[0] == 2


def test_a_sheet_replaces_a_sheet_and_no_picture_or_shard_of_the_users(shards, tmp_path):
    show(shards, out=tmp_path / "sheet.png")
    show(shards, out=tmp_path / "sheet.png", count=2)
    picture = tmp_path / "mine.png"
    cv2.imwrite(str(picture), np.zeros((4, 4), np.uint8))
    for file in (picture, next(shards.glob("*.tar"))):
        before = file.read_bytes()
        with pytest.raises(FileExistsError, match=f"{file.name} is there already, and not what"):
            show(shards, out=file)
        assert file.read_bytes() == before
