import os
from pathlib import Path

import pytest

from attnlabels.images.tree import ImageFiles, list_tree


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def test_images_of_any_depth_are_listed_by_path_with_their_sizes_and_without_classes(tmp_path):
    fill(tmp_path, "b.PNG", "a/z/deep.jpg", "a/c.JPEG")
    listed, strangers = list_tree(tmp_path, classes=False)
    assert listed.paths.tolist() == ["a/c.JPEG", "a/z/deep.jpg", "b.PNG"]
    assert listed.sizes.tolist() == [8, 12, 5]
    assert listed.labels.tolist() == [-1, -1, -1] and listed.classes == [] == strangers


def test_folders_are_classes_where_that_is_said(tmp_path):
    fill(tmp_path, "dog/2.jpg", "cat/more/1.jpg", "dog/1.png", "empty/notes.txt")
    listed, strangers = list_tree(tmp_path, classes=True)
    assert listed.classes == ["cat", "dog"]
    assert dict(zip(listed.paths.tolist(), listed.labels.tolist())) == {
        "cat/more/1.jpg": 0,
        "dog/1.png": 1,
        "dog/2.jpg": 1,
    }
    assert strangers == ["empty/notes.txt"]


def test_an_image_in_no_class_is_refused(tmp_path):
    fill(tmp_path, "dog/1.jpg", "lost.jpg")
    with pytest.raises(ValueError, match="lost.jpg is in no class folder; sort the images into"):
        list_tree(tmp_path, classes=True)


def test_what_is_hidden_or_a_link_to_a_folder_is_passed_over(tmp_path):
    fill(tmp_path, "in/a.jpg", "in/.b.jpg", "in/.git/c.jpg", "out/d.jpg", "in/Thumbs.db")
    (tmp_path / "in/round").symlink_to(tmp_path / "in")
    (tmp_path / "in/e.jpg").symlink_to(tmp_path / "out/d.jpg")
    listed, strangers = list_tree(tmp_path / "in", classes=False)
    assert listed.paths.tolist() == ["a.jpg", "e.jpg"] and strangers == ["Thumbs.db"]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no images below it \(.jpeg, .jpg, .png\)$"):
        list_tree(tmp_path, classes=False)
    fill(tmp_path, "notes.txt", "a.gif")
    with pytest.raises(ValueError, match="; 2 other files, a.gif the first"):
        list_tree(tmp_path, classes=False)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        list_tree(tmp_path / "nowhere", classes=False)


def test_a_file_is_read_named_and_known_again(tmp_path):
    listed, _ = list_tree(fill(tmp_path, "a/b.c.jpg", "d.png"), classes=False)
    files = ImageFiles(tmp_path, listed)
    assert files.read(0) == b"a/b.c.jpg" and files.stem(0) == "a/b.c"
    before = files.stamp(0), files.stamp(1)
    (tmp_path / "a/b.c.jpg").write_bytes(b"longer than before")
    assert files.stamp(0) != before[0] and files.stamp(1) == before[1]
    (tmp_path / "d.png").unlink()
    assert files.stamp(1) == ()


def test_a_name_that_is_no_text_is_no_image(tmp_path):
    fill(tmp_path, "a.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"1")
    listed, strangers = list_tree(tmp_path, classes=False)
    assert listed.paths.tolist() == ["a.jpg"] and strangers == [r"caf\xe9.jpg"]
