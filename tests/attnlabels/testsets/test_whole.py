import json

import cv2
import numpy as np
import pytest

from attnlabels.images.decoding import decode, fault_of
from attnlabels.images.folder import list_images
from attnlabels.testsets import whole
from attnlabels.testsets.image_sets import generated_images, listed_images
from attnlabels.testsets.whole import describe, find_faults, lies_in_files


@pytest.fixture
def images(tmp_path):
    """Eight photographs in two classes, of which rows 1 and 6 are cut short."""
    rng = np.random.default_rng(0)
    for row in range(8):
        path = tmp_path / "images" / f"n{row // 4}" / f"{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded = cv2.imencode(".jpg", rng.integers(0, 256, (40, 50, 3), np.uint8))[1].tobytes()
        path.write_bytes(encoded[: len(encoded) // 2] if row in (1, 6) else encoded)
    folder = tmp_path / "images"
    return listed_images("val", folder, list_images(folder, classes=2))


@pytest.mark.parametrize("workers", [0, 2])
def test_all_broken_images_are_found_at_once(images, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(whole, "BLOCK", 3)
    found = find_faults(images, tmp_path / "kept.json", workers=workers)
    assert [*found] == [1, 6]
    assert "n0/1.jpg: truncated or damaged" in found[1] and "n1/6.jpg: trunc" in found[6]
    said = describe(images, found)
    assert (
        said.startswith("val: 2 of 8 images are broken: n0/1.jpg, n1/6.jpg (") and said[-1] == ")"
    )
    assert "fetch" not in said


def test_what_was_found_is_kept(images, tmp_path, monkeypatch):
    found = find_faults(images, tmp_path / "kept.json", workers=0)
    whole_ones = [f"{row}.jpg" for row in range(8) if row not in found]
    look = whole.fault_of

    def look_again(path):
        assert path.name not in whole_ones
        return look(path)

    monkeypatch.setattr(whole, "fault_of", look_again)
    assert find_faults(images, tmp_path / "kept.json", workers=0) == found
    assert json.loads((tmp_path / "kept.json").read_text()).keys() == {"1", "6"}


def test_what_can_be_read_meanwhile_is_no_fault_any_more(images, tmp_path, monkeypatch):
    find_faults(images, tmp_path / "kept.json", workers=0)
    look = whole.fault_of  # as after what an image is read with was installed
    monkeypatch.setattr(whole, "fault_of", lambda path: "" if path.name == "6.jpg" else look(path))
    assert [*find_faults(images, tmp_path / "kept.json", workers=0)] == [1]
    assert json.loads((tmp_path / "kept.json").read_text()).keys() == {"1"}


def test_generated_images_and_arrays_are_no_files(images):
    made = generated_images("c", images, table="cifar", size=24, crop=0.875, seed=0)
    array = images._replace(images=lambda part, rows: np.zeros((8, 4, 4, 3), np.uint8)[rows])
    assert lies_in_files(images) and not lies_in_files(made) and not lies_in_files(array)


def test_a_file_is_refused_for_what_decoding_it_in_full_is_refused_for(tmp_path):
    rng = np.random.default_rng(1)
    pixels = cv2.resize(rng.integers(0, 256, (12, 17, 3), np.uint8), (170, 120))
    path = tmp_path / "a"
    for kind in (".jpg", ".png", ".webp"):
        whole = cv2.imencode(kind, pixels)[1].tobytes()
        path.write_bytes(whole)
        assert fault_of(path) == ""
        for at in rng.integers(4, len(whole), 40).tolist():
            for data in (whole[:at], whole[:at] + bytes(60) + whole[at + 60 :], whole[:at] + whole):
                path.write_bytes(data)
                try:
                    decode(data, name=str(path))
                except ValueError:
                    assert fault_of(path).startswith(str(path))
                else:
                    assert fault_of(path) == ""
    path.unlink()
    assert fault_of(path) == f"{path}: no longer there; put it back"
