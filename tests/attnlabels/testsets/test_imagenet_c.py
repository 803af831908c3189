import json
import logging
import shutil

import numpy as np
import pytest

from attnlabels.testsets import corruptions
from attnlabels.testsets.imagenet_c import GROUPS, SEVERITIES, open_corrupted

STANDARD = corruptions.CORRUPTIONS
EXTRA = corruptions.EXTRA
LABELS = [3, 1, 2]


def write_arrays(root, names, *, labels=LABELS):
    """Images whose every value is ten times the severity plus the row."""
    root.mkdir(exist_ok=True)
    values = np.array([10 * s + row for s in SEVERITIES for row in range(len(labels))], np.uint8)
    for name in names:
        np.save(root / f"{name}.npy", np.broadcast_to(values[:, None, None, None], (15, 4, 4, 3)))
    np.save(root / "labels.npy", np.tile(np.uint8(labels), 5))
    return root


def write_folder(root, names, *, groups):
    """Two classes, of two images and one."""
    group_of = {name: group for group, members in GROUPS.items() for name in members}
    for name in names:
        for severity in SEVERITIES:
            parent = root / group_of[name] if groups else root
            folder = parent / name / str(severity)
            for path in ("n02000002/b.JPEG", "n01000001/c.JPEG", "n02000002/a.JPEG"):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).touch()
    return root


@pytest.fixture
def arrays(tmp_path):
    return write_arrays(tmp_path / "arrays", (*STANDARD, *EXTRA))


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "folder", STANDARD, groups=True)


def test_the_groups_hold_the_same_corruptions_as_are_generated():
    named = [name for group in GROUPS.values() for name in group]
    assert tuple(named) == (*STANDARD, *EXTRA)


def test_an_array_is_cut_into_its_severities(arrays):
    opened = open_corrupted(arrays, layout="arrays")
    assert opened.corruptions == (*STANDARD, *EXTRA)
    assert opened.labels.tolist() == LABELS and opened.labels.dtype == np.int64
    images = opened.images("frost", 4)
    assert isinstance(images, np.memmap) and images.shape == (3, 4, 4, 3)
    assert images[:, 0, 0, 0].tolist() == [40, 41, 42]


def test_the_extra_corruptions_may_be_absent(tmp_path):
    opened = open_corrupted(write_arrays(tmp_path / "few", STANDARD), layout="arrays")
    assert opened.corruptions == STANDARD
    with pytest.raises(ValueError, match="corruption 'spatter' is not among those here"):
        opened.images("spatter", 1)


def test_only_what_says_so_is_generated(arrays):
    assert open_corrupted(arrays, layout="arrays").generated is False
    (arrays / "generated.json").write_text(json.dumps({"generated": 1, "seed": 0}))
    assert open_corrupted(arrays, layout="arrays").generated is True


@pytest.mark.parametrize("groups", [False, True])
def test_folders_are_read_grouped_or_not(tmp_path, groups):
    opened = open_corrupted(write_folder(tmp_path, STANDARD, groups=groups), layout="imagenet_c")
    assert opened.corruptions == STANDARD and not opened.generated
    assert opened.classes == ("n01000001", "n02000002")
    assert opened.labels.tolist() == [0, 1, 1]
    assert opened.names == ("n01000001/c.JPEG", "n02000002/a.JPEG", "n02000002/b.JPEG")
    files = opened.images("zoom_blur", 5)
    parent = tmp_path / "blur" if groups else tmp_path
    assert files == [parent / "zoom_blur" / "5" / name for name in opened.names]
    assert all(file.is_file() for file in files)


@pytest.mark.parametrize("severity", [0, 6])
def test_a_severity_out_of_range_is_refused(arrays, folder, severity):
    for root, layout in ((arrays, "arrays"), (folder, "imagenet_c")):
        with pytest.raises(ValueError, match=f"fog: severity is {severity}, expected 1 to 5"):
            open_corrupted(root, layout=layout).images("fog", severity)


def test_missing_corruptions_are_named(arrays, folder):
    (arrays / "snow.npy").unlink()
    shutil.rmtree(folder / "blur")
    with pytest.raises(FileNotFoundError, match="1 of the 15 .* missing: snow; fetch or generate"):
        open_corrupted(arrays, layout="arrays")
    with pytest.raises(FileNotFoundError, match="4 of the 15 .* defocus_blur, glass_blur, motion"):
        open_corrupted(folder, layout="imagenet_c")


def test_a_missing_folder_or_labels_are_named(arrays, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        open_corrupted(tmp_path / "nowhere", layout="arrays")
    (arrays / "labels.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels\.npy is missing"):
        open_corrupted(arrays, layout="arrays")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((15, 4, 4, 3), np.float32), r"fog\.npy: float32 .*expected uint8"),
        (np.zeros((15, 3, 4, 4), np.uint8), r"fog\.npy: uint8 \(15, 3, 4, 4\), expected"),
        (np.zeros((14, 4, 4, 3), np.uint8), r"fog\.npy: 14 images but 15 labels"),
        (np.zeros((15, 8, 8, 3), np.uint8), "images of several sizes"),
    ],
)
def test_arrays_of_another_kind_or_count_are_refused(arrays, array, message):
    np.save(arrays / "fog.npy", array)
    with pytest.raises(ValueError, match=message):
        open_corrupted(arrays, layout="arrays")


def test_an_array_cut_short_is_refused(arrays):
    whole = (arrays / "fog.npy").read_bytes()
    for left in (len(whole) - 1, 60, 0):
        (arrays / "fog.npy").write_bytes(whole[:left])
        with pytest.raises(ValueError, match=r"fog\.npy: cut short or no array"):
            open_corrupted(arrays, layout="arrays")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(14), "14 labels, expected those of n images five times"),
        (np.arange(15), "labels of the five severities differ"),
        (np.zeros((5, 3), int), r"\(5, 3\), expected whole numbers"),
        (np.zeros(15), r"float64 \(15,\), expected whole numbers"),
    ],
)
def test_labels_that_are_not_five_copies_are_refused(arrays, labels, message):
    np.save(arrays / "labels.npy", labels)
    with pytest.raises(ValueError, match=message):
        open_corrupted(arrays, layout="arrays")


def test_a_missing_severity_is_named(folder):
    shutil.rmtree(folder / "weather" / "fog" / "3")
    with pytest.raises(FileNotFoundError, match="fog/3 is missing; unpack all five"):
        open_corrupted(folder, layout="imagenet_c")


def test_a_missing_image_is_named(folder):
    (folder / "weather" / "fog" / "3" / "n02000002" / "a.JPEG").unlink()
    with pytest.raises(ValueError, match=r"fog/3 holds 2 images and .*/1 3; .* n02000002/a\.JPEG"):
        open_corrupted(folder, layout="imagenet_c")


def test_another_image_in_place_of_one_is_named(folder):
    images = folder / "digital" / "pixelate" / "2" / "n01000001"
    (images / "c.JPEG").rename(images / "d.JPEG")
    with pytest.raises(ValueError, match=r"pixelate/2 .*the first of 2 .* n01000001/c\.JPEG"):
        open_corrupted(folder, layout="imagenet_c")


def test_what_systems_leave_is_passed_over_and_counted(folder, caplog):
    expected = open_corrupted(folder, layout="imagenet_c").names
    severity = folder / "noise" / "gaussian_noise" / "1"
    for name in (".ipynb_checkpoints", "@eaDir", "n01000001/@eaDir"):
        (severity / name).mkdir()
        (severity / name / "c.JPEG").touch()
    for name in ("Thumbs.db", ".DS_Store", "n01000001/._c.JPEG", "n01000001/Thumbs.db"):
        (folder / "weather" / "fog" / "3" / name).touch()
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        assert open_corrupted(folder, layout="imagenet_c").names == expected
    assert caplog.messages == [f"{folder}: passed over 7 hidden, .ipynb_checkpoints the first"]


def test_what_is_no_image_and_what_is_empty_are_refused(folder):
    severity = folder / "noise" / "gaussian_noise" / "1"
    (severity / "n01000001" / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"notes\.txt: expected images only"):
        open_corrupted(folder, layout="imagenet_c")
    (severity / "list.csv").touch()
    with pytest.raises(ValueError, match=r"list\.csv: expected folders of classes alone"):
        open_corrupted(folder, layout="imagenet_c")
    (severity / "list.csv").unlink()
    shutil.rmtree(severity / "n01000001")
    (severity / "n01000001").mkdir()
    with pytest.raises(ValueError, match="n01000001 is empty"):
        open_corrupted(folder, layout="imagenet_c")
    shutil.rmtree(severity)
    severity.mkdir()
    with pytest.raises(ValueError, match="gaussian_noise/1 is empty"):
        open_corrupted(folder, layout="imagenet_c")


def test_a_corruption_that_is_there_twice_is_refused(folder):
    write_folder(folder, ["snow"], groups=False)
    with pytest.raises(ValueError, match="snow is there twice"):
        open_corrupted(folder, layout="imagenet_c")


def test_clean_images_are_known_by_class_and_name_whatever_they_lie_in(folder):
    names = [f"photos/val/{each}.png" for each in ("n02000002/b", "n01000001/c", "n02000002/a")]
    opened = open_corrupted(folder, layout="imagenet_c").made_of(names, np.arange(3), of="val")
    assert [str(each.relative_to(folder)) for each in opened.images("fog", 2)] == [
        f"weather/fog/2/{each}.JPEG" for each in ("n02000002/b", "n01000001/c", "n02000002/a")
    ]


@pytest.mark.parametrize("twin", ["n02000002/a.png", "more/n02000002/a.jpg"])
def test_two_clean_images_that_would_share_a_corrupted_one_are_named(folder, twin):
    names = ["n01000001/c.jpg", "n02000002/a.jpg", "n02000002/b.jpg", twin]
    with pytest.raises(ValueError, match="n02000002/a is of two images of val, which differ"):
        open_corrupted(folder, layout="imagenet_c").made_of(names, np.arange(4), of="val")
