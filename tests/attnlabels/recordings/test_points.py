import os
from pathlib import Path

import numpy as np
import pytest

from attnlabels.recordings.points import Recording, merge_files, place, plain_name

CELLS = np.array([[0, 0], [3, 5], [4, 5], [-1, 2], [2, 60], [np.nan, 1], [1e10, 1]])


def placed(cells: np.ndarray, outside) -> Recording:
    return place(
        cells,
        np.arange(len(cells)),
        name="a",
        size=(4, 6),
        outside=outside,
        refuse=lambda i: ValueError(f"point {i}"),
    )


def test_points_outside_are_refused_dropped_or_moved_and_counted():
    with pytest.raises(ValueError, match="point 2"):
        placed(CELLS, "refuse")
    dropped = placed(CELLS, "drop")
    assert dropped.points.tolist() == [[0, 0], [3, 5]] and dropped.observers.tolist() == [0, 1]
    assert (dropped.n_dropped, dropped.n_clipped) == (5, 0)
    clipped = placed(CELLS[:5], "clip")
    assert clipped.points.tolist() == [[0, 0], [3, 5], [3, 5], [0, 2], [2, 5]]
    assert (clipped.n_dropped, clipped.n_clipped) == (0, 3)


@pytest.mark.parametrize("nowhere", [np.nan, 1e10, -1e10, np.inf, 65535])
def test_what_is_no_place_near_the_image_is_not_moved_to_its_border(nowhere):
    with pytest.raises(ValueError, match="point 1"):
        placed(np.array([[1.0, 1], [2, nowhere]]), "clip")
    assert placed(np.array([[1.0, 1], [2, nowhere]]), "drop").n_dropped == 1


def test_a_name_has_one_spelling():
    for name in ("./a/b.jpg", "a//b.jpg", "a/./b.jpg", "a/b.jpg"):
        assert plain_name(name) == "a/b.jpg"


def recording(name: str, point: int, **changes) -> Recording:
    parts = {"points": np.array([[point, point]]), "observers": np.array([point])}
    return Recording(**({"name": name, "height": 9, "width": 9} | parts | changes))


def test_one_photograph_under_several_names_is_one(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"one")
    (tmp_path / "copy.jpg").write_bytes(b"one")
    (tmp_path / "long.jpg").write_bytes(b"two")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    os.link(tmp_path / "long.jpg", tmp_path / "hard.jpg")
    names = ["a.jpg", "long.jpg", "copy.jpg", "missing.jpg", "link.jpg", "hard.jpg", "a.jpg"]
    merged = merge_files([recording(name, i) for i, name in enumerate(names)], tmp_path)
    assert [each.name for each in merged] == ["a.jpg", "long.jpg", "missing.jpg"]
    assert [each.n_names for each in merged] == [4, 2, 1]
    assert merged[0].points.tolist() == [[0, 0], [2, 2], [4, 4], [6, 6]]
    assert merged[0].observers.tolist() == [0, 2, 4, 6]


def test_one_photograph_of_two_sizes_is_refused(tmp_path):
    parts = [recording("a.jpg", 1), recording("a.jpg", 1, width=8)]
    with pytest.raises(ValueError, match="a.jpg is 9 x 9, and under the name a.jpg 9 x 8; one"):
        merge_files(parts, tmp_path)


def test_no_file_outside_of_the_folder_is_looked_at(tmp_path):
    folder = Path(tmp_path, "images")
    folder.mkdir()
    (tmp_path / "a.jpg").write_bytes(b"one")
    (folder / "a.jpg").write_bytes(b"one")
    parts = [recording("a.jpg", 1), recording(f"{os.pardir}/a.jpg", 1)]
    assert len(merge_files(parts, folder)) == 2
