import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.images.decoding import fault_of
from attnlabels.images.remote import find_remote
from attnlabels.images.tree import ImageFiles, list_tree
from attnlabels.labelling.photographs import (
    Photographs,
    collate,
    find_images,
    mark_of,
    require_distinct_keys,
    shared_keys,
)


@pytest.fixture
def source(tmp_path):
    """Three images, of which two would have one key, and one that is broken."""
    for seed, name in enumerate(("a/x.png", "a-x.png", "b.png", "c.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), pixels)
    (tmp_path / "c.png").write_bytes(b"no photograph")
    listed, _ = list_tree(tmp_path, classes=False)
    return ImageFiles(tmp_path, listed)


def test_images_of_one_key_are_found_and_told_apart(source):
    assert shared_keys(source) == {"a-x": ["a/x.png", "a-x.png"]}
    with pytest.raises(ValueError, match="a/x.png and a-x.png have one key, 'a-x'; rename or rem"):
        require_distinct_keys(source)
    photographs = Photographs(source, (4, 4), shape="teacher", apart=shared_keys(source))
    assert len({photographs.key(i) for i in range(len(photographs))}) == 4


def test_a_batch_has_the_pixels_of_those_that_are_whole(source):
    photographs = Photographs(source, (4, 6), shape="teacher")
    batch = collate([photographs[i] for i in range(len(photographs))])
    assert [bool(each.error) for each in batch.photographs] == [False, False, False, True]
    (group,) = batch.groups
    assert group.rows == [0, 1, 2] and group.pixels.shape == (3, 4, 6, 3)
    assert (batch.photographs[0].height, batch.photographs[0].width) == (8, 10)


def test_an_image_that_may_not_be_read_says_so_as_evaluate_does(source, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    photograph, _ = Photographs(source, (4, 6), shape="teacher")[0]
    assert photograph.error == fault_of(source.root / photograph.name) != ""


def test_photographs_in_their_own_shape_are_grouped_by_it(tmp_path):
    sizes = {"a": (60, 80), "b": (80, 60), "c": (30, 40), "d": (20, 100)}
    for name, (h, w) in sizes.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((h, w, 3), 7, np.uint8))
    (tmp_path / "e.png").write_bytes(b"nothing")
    source, _ = find_images(tmp_path, classes=False)
    photographs = Photographs(source, (96, 128), shape="own")
    batch = collate([photographs[i] for i in range(5)])
    groups = {tuple(each.rows): each.size for each in batch.groups}
    assert groups == {(0, 2): (96, 128), (1,): (128, 96), (3,): (64, 256)}
    assert all(each.pixels.shape[0] == len(each.rows) for each in batch.groups)


def test_a_mark_changes_with_the_image_and_with_its_key(source, tmp_path):
    photographs = Photographs(source, (4, 4), shape="teacher")
    before = [mark_of(photographs, rows) for rows in (range(2), range(2, 4))]
    apart = Photographs(source, (4, 4), shape="teacher", apart=["b"])
    assert mark_of(apart, range(2)) == before[0] and mark_of(apart, range(2, 4)) != before[1]
    (tmp_path / "c.png").write_bytes(b"another file")
    after = [mark_of(photographs, rows) for rows in (range(2), range(2, 4))]
    assert after[0] == before[0] and after[1] != before[1]


def test_a_folder_and_tars_are_sources(source, tmp_path):
    found, left_out = find_images(tmp_path, classes=False)
    assert found.listed.paths.tolist() == source.listed.paths.tolist() and not left_out
    (tmp_path / "d.tar").touch()
    with pytest.raises(ValueError, match="beside tars; name a folder of one kind"):
        find_images(tmp_path, classes=False)


def test_a_folder_that_is_called_as_a_tar_is_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("scans.tar", "old.tar.gz"):
        (tmp_path / "a" / name).mkdir()
        assert cv2.imwrite(str(tmp_path / "a" / name / "1.png"), np.full((8, 8, 3), 90, np.uint8))
    found, left_out = find_images(tmp_path / "a", classes=False)
    assert found.listed.paths.tolist() == ["old.tar.gz/1.png", "scans.tar/1.png"] and not left_out
    assert find_remote(str(tmp_path / "a")) == []


def test_folders_beside_tars_are_not_passed_over_in_silence(tmp_path):
    (tmp_path / "backup.tar").touch()
    (tmp_path / "cats").mkdir()
    with pytest.raises(ValueError, match="cats beside tars; name a folder of one kind"):
        find_images(tmp_path, classes=False)
