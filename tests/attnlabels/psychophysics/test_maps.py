from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.psychophysics.maps import NoMap, named_maps, open_maps
from painted import SIDE, write_painted


def write_map(path: Path, map: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), map)
    return path


def test_a_map_is_the_picture_of_the_images_name_at_the_images_size(tmp_path):
    grey = np.zeros((4, 6), np.uint16)
    grey[1, 2] = 60000
    write_map(tmp_path / "a/one.png", grey)
    maps = open_maps(tmp_path)
    assert (maps.read("a/one.JPEG", (4, 6)) == grey).all()
    large = maps.read("a/one.JPEG", (8, 12))
    assert large.shape == (8, 12) and large.dtype == np.float64
    assert np.unravel_index(large.argmax(), large.shape) in {(2, 4), (2, 5), (3, 4), (3, 5)}


def test_a_mask_of_eight_bits_and_a_picture_in_colours_are_maps_too(tmp_path):
    write_map(tmp_path / "mask.png", np.eye(4, dtype=np.uint8) * 255)
    write_map(tmp_path / "colour.png", np.full((4, 4, 3), 7, np.uint8))
    maps = open_maps(tmp_path)
    assert (maps.read("mask.jpg", (4, 4)) == np.eye(4) * 255).all()
    assert (maps.read("colour.jpg", (4, 4)) == 7).all()


def test_shards_have_maps_by_their_samples_names(tmp_path):
    people = write_painted(tmp_path) / "people"
    maps = open_maps(people)
    found = maps.read("a/image0.png", (SIDE, SIDE))
    assert found.shape == (SIDE, SIDE) and (found == 1).all()
    assert maps.read("a/image0.JPEG", (8, 9)).shape == (8, 9)
    with pytest.raises(NoMap, match="people: nobody painted on c/image11.png; leave the image out"):
        maps.read("c/image11.png", (SIDE, SIDE))
    with pytest.raises(NoMap, match="people: no sample of the image a/none.png; label these"):
        maps.read("a/none.png", (SIDE, SIDE))


def test_what_is_missing_or_no_map_is_named(tmp_path):
    maps = open_maps(tmp_path)
    with pytest.raises(NoMap, match="a/one.png: no map there of the image a/one.jpg; put it there"):
        maps.read("a/one.jpg", (4, 4))
    write_map(tmp_path / "black.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="black.png: a map from 0 to 0; .* leave the image out"):
        maps.read("black.jpg", (4, 4))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="text.png: not a readable PNG; fetch it again"):
        maps.read("text.jpg", (4, 4))
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; name one of maps"):
        open_maps(tmp_path / "nowhere")


def test_folders_of_maps_are_called_by_a_name_or_by_their_own():
    assert named_maps(["players=some/where", "data/bottom-up"]) == {
        "players": Path("some/where"),
        "bottom-up": Path("data/bottom-up"),
    }


@pytest.mark.parametrize("word", ["=folder", "a b=folder", "name=", "a/b=folder"])
def test_a_word_that_names_no_folder_is_refused(word):
    with pytest.raises(ValueError, match=f"{word}.*: expected NAME=FOLDER"):
        named_maps([word])


def test_a_name_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="maps is there twice; name them NAME=FOLDER"):
        named_maps(["one/maps", "two/maps"])
