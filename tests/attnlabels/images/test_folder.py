import errno
import logging
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from attnlabels.images.folder import list_images, read_manifest, write_manifest


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("n02/b.JPEG", "n02/a.jpg", "n01/z.png", "n10/k,1.jpeg"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1" * len(name))
    return tmp_path / "train"


def test_labels_are_the_places_of_the_sorted_class_folders(root):
    manifest = list_images(root, classes=3)
    assert manifest.classes == ["n01", "n02", "n10"]
    assert manifest.paths.tolist() == ["n01/z.png", "n02/a.jpg", "n02/b.JPEG", "n10/k,1.jpeg"]
    assert manifest.labels.tolist() == [0, 1, 1, 2]
    assert manifest.sizes.tolist() == [9, 9, 10, 12]


@pytest.mark.parametrize("forbidden", ["scandir", "stat"])
def test_a_folder_that_may_not_be_read_is_named(root, monkeypatch, forbidden):
    use = getattr(os, forbidden)

    def refused(path, *words, **options):
        if "n02" in os.fspath(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return use(path, *words, **options)

    monkeypatch.setattr(os, forbidden, refused)
    with pytest.raises(PermissionError) as error:
        list_images(root, classes=3)
    assert str(error.value) == (
        f"{root}/n02: the folder may not be read; make it readable (chmod +rx)"
    )


def test_list_is_read_as_it_was_written(root, tmp_path):
    manifest = list_images(root, classes=3)
    write_manifest(tmp_path / "a.csv", manifest)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[:2] == ["path,label,bytes", "n01/z.png,0,9"]
    read = read_manifest(tmp_path / "a.csv")
    assert np.array_equal(read.paths, manifest.paths) and read.classes == manifest.classes
    assert np.array_equal(read.labels, manifest.labels)
    assert np.array_equal(read.sizes, manifest.sizes)


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5])
def test_the_blocks_in_which_a_list_is_read_change_nothing(root, tmp_path, monkeypatch, n_rows):
    manifest = list_images(root, classes=3)
    write_manifest(tmp_path / "a.csv", manifest)
    monkeypatch.setattr("attnlabels.images.folder.BLOCK", n_rows)
    read = read_manifest(tmp_path / "a.csv")
    assert np.array_equal(read.paths, manifest.paths) and read.classes == manifest.classes
    assert np.array_equal(read.labels, manifest.labels)
    assert np.array_equal(read.sizes, manifest.sizes)


def test_a_manifest_may_be_sent_to_another_process(root):
    manifest = list_images(root, classes=3)
    assert pickle.loads(pickle.dumps(manifest)).paths.tolist() == manifest.paths.tolist()


def test_a_script_beside_the_class_folders_is_left_alone(root):
    (root / "valprep.sh").write_text("mkdir n01")
    assert len(list_images(root, classes=3).paths) == 4


def test_missing_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"val: no such folder; put the class folders"):
        list_images(tmp_path / "val", classes=3)


def test_root_without_class_folders_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no class folders in it; expected 3, one a class"):
        list_images(tmp_path, classes=3)


def test_images_in_no_class_folder_are_refused(tmp_path):
    for k in range(7):
        (tmp_path / f"val_{k}.JPEG").write_bytes(b"1")
    with pytest.raises(ValueError, match=r"in no class folder: .*val_4\.JPEG and 2 more; sort"):
        list_images(tmp_path, classes=3)


def test_other_number_of_classes_names_both_and_the_parameter(root):
    message = r"train: 3 class folders found, 1000 declared; .*`classes` .*`list_images` in params"
    with pytest.raises(ValueError, match=message):
        list_images(root, classes=1000)


def test_empty_class_folder_is_named(root):
    (root / "n03").mkdir()
    with pytest.raises(ValueError, match=r"n03: a class folder without images; fill or remove"):
        list_images(root, classes=4)


@pytest.mark.parametrize("name", ["a.csv", "readme"])
def test_what_is_no_image_is_named(root, name):
    (root / "n02" / name).write_text("x")
    with pytest.raises(ValueError, match=rf"n02: {name} is no image \(\.jpeg, .*mend, convert or"):
        list_images(root, classes=3)


def test_folder_in_a_class_folder_is_named(root):
    (root / "n02" / "images").mkdir()
    with pytest.raises(ValueError, match="n02: images is no file; mend"):
        list_images(root, classes=3)


def test_what_systems_leave_is_no_class_and_no_image_and_is_counted(root, caplog):
    for name in (".ipynb_checkpoints/a.jpg", "@eaDir/b.jpg", "n01/@eaDir/c.jpg", "n01/._z.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"1")
    (root / "n02/Thumbs.db").write_bytes(b"1")
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        manifest = list_images(root, classes=None)
    assert manifest.classes == ["n01", "n02", "n10"] and len(manifest.paths) == 4
    assert caplog.messages == [f"{root}: passed over 5 hidden, .ipynb_checkpoints the first"]


def test_linked_classes_and_images_are_followed(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/c.webp").write_bytes(b"1")
    (root / "n03").symlink_to(tmp_path / "elsewhere")
    (root / "n01/c.webp").symlink_to(tmp_path / "elsewhere/c.webp")
    manifest = list_images(root, classes=4)
    assert manifest.paths.tolist()[:2] == ["n01/c.webp", "n01/z.png"]
    assert manifest.classes[2:] == ["n03", "n10"] and "n03/c.webp" in manifest.paths


@pytest.mark.parametrize("name", ["n03", "n01/a.jpg"])
def test_a_link_to_nothing_is_named(root, name):
    (root / name).symlink_to(root / "nowhere")
    with pytest.raises(ValueError, match="links? to nothing.*mend") as refused:
        list_images(root, classes=None)
    assert Path(name).name in str(refused.value)


@pytest.mark.parametrize("name", [b"n\xe9/a.jpg", b"n01/\xe9.jpg"])
def test_a_name_that_is_no_text_is_named(root, name):
    path = root / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"1")
    with pytest.raises(ValueError, match=r"no .*UTF-8.*; mend") as refused:
        list_images(root, classes=None)
    assert r"\xe9" in str(refused.value)


def test_empty_image_is_named(root):
    (root / "n02" / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"train: images of 0 bytes: n02/a\.jpg; fetch them"):
        list_images(root, classes=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n", "expected the columns path,label,bytes; list it again"),
        ("", "expected the columns"),
        ("path,label,bytes\n", "empty; list the images again"),
        ("path,label,bytes\nn/a.jpg,0\n", "a row is not a path and two whole numbers; list"),
        ("path,label,bytes\nn/a.jpg,x,1\n", "a row is not a path and two whole numbers; list"),
        ("path,label,bytes\nn/a.jpg,1,1\n", "1 pairs of label and class folder for 1 folders"),
        ("path,label,bytes\nn/a.jpg,0,1\nn/b.jpg,1,1\n", "2 pairs .*; expected label 0, 1"),
    ],
)
def test_list_that_does_not_fit_is_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv: {message}"):
        read_manifest(tmp_path / "a.csv")


def test_missing_list_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.csv: no list .*run the stage list_images"):
        read_manifest(tmp_path / "a.csv")


@pytest.mark.real_data
def test_imagenette_has_its_published_counts(real_data):
    folder = real_data("imagenette160")
    train, val = (list_images(folder / split, classes=10) for split in ("train", "val"))
    assert np.bincount(train.labels).tolist() == [500] * 10
    assert np.bincount(val.labels).tolist() == [120] * 10
    assert train.classes[:2] == val.classes[:2] == ["n01440764", "n02102040"]
