import errno
import logging
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
    listed, left_out = list_tree(tmp_path, classes=False)
    assert listed.paths.tolist() == ["a/c.JPEG", "a/z/deep.jpg", "b.PNG"]
    assert listed.sizes.tolist() == [8, 12, 5]
    assert listed.labels.tolist() == [-1, -1, -1] and listed.classes == [] and not left_out


def test_folders_are_classes_where_that_is_said(tmp_path):
    fill(tmp_path, "dog/2.jpg", "cat/more/1.jpg", "dog/1.png", "dog/notes.txt")
    listed, left_out = list_tree(tmp_path, classes=True)
    assert listed.classes == ["cat", "dog"]
    assert dict(zip(listed.paths.tolist(), listed.labels.tolist())) == {
        "cat/more/1.jpg": 0,
        "dog/1.png": 1,
        "dog/2.jpg": 1,
    }
    assert list(left_out) == ["dog/notes.txt"]
    fill(tmp_path, "empty/notes.txt")
    with pytest.raises(ValueError, match="class folders without images: empty; fill or remove"):
        list_tree(tmp_path, classes=True)


def test_an_image_in_no_class_is_refused(tmp_path):
    fill(tmp_path, "dog/1.jpg", "lost.jpg")
    with pytest.raises(ValueError, match="lost.jpg is in no class folder; sort the images into"):
        list_tree(tmp_path, classes=True)


def test_what_is_hidden_is_passed_over_and_counted(tmp_path, caplog):
    fill(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "x/@eaDir/d.jpg", "x/Thumbs.db", "x/e.jpg")
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        listed, left_out = list_tree(tmp_path, classes=False)
    assert listed.paths.tolist() == ["a.jpg", "x/e.jpg"] and not left_out
    assert caplog.messages == [f"{tmp_path}: passed over 4 hidden, .b.jpg the first"]


@pytest.mark.parametrize("classes", [True, False])
def test_links_are_followed_and_those_that_lead_nowhere_or_back_are_named(tmp_path, classes):
    fill(tmp_path, "in/cat/a.jpg", "out/d.jpg")
    for link, to in {"dog": "out", "cat/e.jpg": "out/d.jpg", "cat/gone.jpg": "out/nothing"}.items():
        (tmp_path / "in" / link).symlink_to(tmp_path / to)
    (tmp_path / "in/cat/round").symlink_to(tmp_path / "in")
    (tmp_path / "in/wolf").symlink_to(tmp_path / "no folder")
    os.mkfifo(tmp_path / "in/cat/pipe.jpg")
    listed, left_out = list_tree(tmp_path / "in", classes=classes)
    assert listed.paths.tolist() == ["cat/a.jpg", "cat/e.jpg", "dog/d.jpg"]
    assert listed.labels.tolist() == ([0, 0, 1] if classes else [-1] * 3)
    assert left_out == {
        "cat/gone.jpg": "is a link to nothing",
        "cat/pipe.jpg": "is no file",
        "cat/round": "is a link back to a folder it is in",
        "wolf": "is a link to nothing",
    }


def test_classes_may_all_be_links(tmp_path):
    fill(tmp_path, "out/d.jpg", "in/notes.txt")
    (tmp_path / "in/dog").symlink_to(tmp_path / "out")
    assert list_tree(tmp_path / "in", classes=True)[0].classes == ["dog"]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no images below it \(.jpeg, .jpg, .png, .*\)$"):
        list_tree(tmp_path, classes=False)
    fill(tmp_path, "notes.txt", "a.mp4")
    with pytest.raises(ValueError, match="; a.mp4 is no image"):
        list_tree(tmp_path, classes=False)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        list_tree(tmp_path / "nowhere", classes=False)


def test_a_folder_in_it_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    fill(tmp_path, "a.jpg", "b/c/d.jpg")
    scandir = os.scandir

    def refused(folder):
        if os.fspath(folder).endswith("c"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError, match=r"b/c: the folder may not be read; make it readable"):
        list_tree(tmp_path, classes=False)


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
    listed, left_out = list_tree(tmp_path, classes=False)
    assert listed.paths.tolist() == ["a.jpg"]
    assert left_out == {r"caf\xe9.jpg": "has a name that is no UTF-8"}
