import os
from dataclasses import replace

import pytest

from attnlabels.collecting.folder import (
    changes,
    list_of,
    make_folder,
    open_study,
    read_images,
    write_images,
)
from collected import CLASSES, make_images, settle


@pytest.fixture
def images(tmp_path):
    return make_images(tmp_path / "images", each=2)


def test_a_new_folder_has_settings_texts_and_consent(tmp_path):
    make_folder(tmp_path / "study", task="peek")
    assert {path.name for path in (tmp_path / "study").iterdir()} == {
        "study.yaml",
        "texts.yaml",
        "consent.md",
    }
    assert "no ethics approval" in (tmp_path / "study" / "consent.md").read_text()
    make_folder(tmp_path / "study", task=None)
    make_folder(tmp_path / "study", task="peek")
    with pytest.raises(ValueError, match="task is peek, not look; name another study"):
        make_folder(tmp_path / "study", task="look")


def test_what_the_user_edited_stays(tmp_path):
    make_folder(tmp_path / "study", task=None)
    (tmp_path / "study" / "consent.md").write_text("mine")
    make_folder(tmp_path / "study", task=None)
    assert (tmp_path / "study" / "consent.md").read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(FileExistsError, match="is there and no study; name a new folder"):
        make_folder(tmp_path, task=None)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_the_images_are_listed_by_path_with_class_size_and_digest(images):
    found, _ = list_of(images, ["eel/*"], {})
    assert [each.path for each in found] == [f"{name}/{i}.png" for name in CLASSES for i in (0, 1)]
    assert [each.number for each in found] == [*range(6)]
    assert {(each.height, each.width) for each in found} == {(60, 80)}
    assert [each.catch for each in found] == [False] * 4 + [True] * 2
    assert len({each.sha256 for each in found}) == 6


def test_images_in_no_folders_have_no_class(images):
    found, _ = list_of(images / "cat", [], {})
    assert [(each.path, each.label) for each in found] == [("0.png", ""), ("1.png", "")]


def test_what_is_known_with_its_stamp_is_not_read_again(images, monkeypatch):
    found, stamps = list_of(images, [], {})
    (images / "cat" / "0.png").write_bytes((images / "dog" / "0.png").read_bytes())
    os.utime(images / "cat" / "0.png", ns=(1, 1))
    read = []
    from attnlabels.images.tree import ImageFiles

    kept = ImageFiles.read
    monkeypatch.setattr(
        ImageFiles, "read", lambda self, i: read.append(i) or kept(self, i), raising=True
    )
    again, _ = list_of(images, [], stamps)
    assert read == [0]
    assert again[0].sha256 == found[2].sha256 and again[1:] == found[1:]


def test_a_damaged_image_is_told_at_the_start(images):
    data = (images / "cat" / "1.png").read_bytes()
    (images / "cat" / "1.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cat/1.png"):
        list_of(images, [], {})


def test_what_is_no_image_is_told(images):
    (images / "cat" / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"cat/notes.txt is no image"):
        list_of(images, [], {})


def test_the_list_is_read_as_it_was_written(images, tmp_path):
    found, _ = list_of(images, ["cat/*"], {})
    odd = replace(found[0], path='a, "b"\nc/ü.png', label='a, "b"\nc')
    write_images(tmp_path / "images.csv", [odd, *found[1:]])
    assert read_images(tmp_path / "images.csv") == [odd, *found[1:]]
    (tmp_path / "images.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="images.csv: not the list that was written"):
        read_images(tmp_path / "images.csv")


def test_what_changed_among_the_images_is_named(images):
    found, _ = list_of(images, [], {})
    assert changes(found, found) == ""
    assert changes(found, found[1:]) == "gone: cat/0.png"
    assert changes(found[1:], found) == "new: cat/0.png"
    assert changes(found, [replace(found[0], sha256=""), *found[1:]]) == "changed: cat/0.png"


def test_what_cannot_be_played_is_refused(images, tmp_path):
    found, _ = list_of(images / "cat", [], {})
    settle(tmp_path / "study")
    with pytest.raises(ValueError, match="sort them into one folder a class"):
        open_study(tmp_path / "study", images / "cat", found)
    with pytest.raises(ValueError, match="1 images to play, expected 2 or more"):
        open_study(tmp_path / "study", images / "cat", found[:1])
    settle(tmp_path / "study", catch=["nothing/*"], catch_share=0.1)
    with pytest.raises(ValueError, match="study.yaml: catch: no image is called so"):
        open_study(tmp_path / "study", images, list_of(images, [], {})[0])


def test_without_classes_one_can_peek(images, tmp_path):
    settle(tmp_path / "study", task="peek")
    study = open_study(tmp_path / "study", images / "cat", list_of(images / "cat", [], {})[0])
    assert study.classes == []
