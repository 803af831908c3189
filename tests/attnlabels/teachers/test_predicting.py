import re

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from attnlabels import load_teacher
from attnlabels.images.decoding import resize, resize_map
from attnlabels.labelling.labeller import Drawing, read_labeller
from attnlabels.teachers.trained import read_trained


@pytest.fixture(scope="module")
def predict(teacher):
    return load_teacher(teacher, device="cpu")


def noise(h: int, w: int, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)


def test_a_map_is_the_networks_at_the_images_size(predict, teacher):
    trained = read_trained(teacher)
    h, w = trained.image_size
    photo = noise(5 * h, 5 * w)
    shown = torch.from_numpy(resize(photo, h, w)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        expected = trained.teacher(shown)[0].numpy()
    found = predict(photo)
    assert found.dtype == np.float32 and found.shape == (5 * h, 5 * w)
    assert found == pytest.approx(resize_map(expected, 5 * h, 5 * w), abs=1e-4)
    assert 0 <= found.min() < found.max() <= 1


def test_it_agrees_with_what_labels_are_made_of(predict, teacher):
    h, w = read_trained(teacher).image_size
    for photo in (noise(3 * h, 3 * w), noise(8 * h, 2 * w)):
        (label,), _ = read_labeller(teacher, Drawing()).label_images([photo])
        own = resize_map(predict(photo), *label.shape)
        assert np.corrcoef(own.ravel(), label.ravel())[0, 1] > 0.99


def test_all_kinds_of_images_give_one_map(predict, tmp_path):
    photo = noise(40, 70)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), photo[..., ::-1])
    expected = predict(photo)
    same = [path, str(path), Image.fromarray(photo), photo.astype(np.float64) / 255]
    for each in same:
        assert predict(each) == pytest.approx(expected, abs=1e-5)
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    for each in (tensor, tensor.float() / 255):
        map = predict(each)
        assert isinstance(map, torch.Tensor) and map.dtype == torch.float32
        assert map.numpy() == pytest.approx(expected, abs=1e-5)


def test_sixteen_bits_of_pillow_are_those_of_the_file(predict, tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(noise(40, 70)[..., 0].astype(np.uint16) * 257).save(path)
    opened = Image.open(path)
    assert opened.mode.startswith("I;16")
    assert predict(opened) == pytest.approx(predict(path), abs=1e-6)
    for mode in ("I", "F"):
        with pytest.raises(ValueError, match=f"image 0: a PIL image of mode {mode}, .*; give"):
            predict(opened.convert(mode))


def test_many_at_once_are_each_as_alone(predict):
    photos = [noise(40, 70), noise(70, 40, 1), noise(200, 30, 2), noise(40, 70, 3)]
    maps = predict(photos)
    assert [each.shape for each in maps] == [(40, 70), (70, 40), (200, 30), (40, 70)]
    for map, photo in zip(maps, photos):
        assert map == pytest.approx(predict(photo), abs=1e-5)
    batch = np.stack([photos[0], photos[3]])
    assert predict(batch) == pytest.approx(np.stack([maps[0], maps[3]]), abs=1e-5)
    tensors = torch.from_numpy(batch).permute(0, 3, 1, 2)
    assert predict(tensors).numpy() == pytest.approx(predict(batch), abs=1e-5)
    assert predict(tuple(photos[:1]))[0] == pytest.approx(maps[0])


def test_bytes_and_floats_of_one_size_may_be_asked_together(predict):
    photo, other = noise(40, 70), noise(40, 70, 1)
    maps = predict([photo, other.astype(np.float32) / 255])
    assert maps[0] == pytest.approx(predict(photo), abs=1e-5)
    assert maps[1] == pytest.approx(predict(other), abs=1e-5)


def test_of_nothing_there_is_nothing(predict):
    assert predict([]) == []
    assert predict(np.zeros((0, 4, 5, 3), np.uint8)).shape == (0, 4, 5)
    assert predict(torch.zeros(0, 3, 4, 5)).shape == (0, 4, 5)


def test_a_mirrored_map_is_the_mean_of_both(teacher, predict):
    photo = noise(64, 96)
    mirrored = load_teacher(teacher, device="cpu", mirror=True)
    expected = (predict(photo) + predict(photo[:, ::-1])[:, ::-1]) / 2
    assert mirrored(photo) == pytest.approx(expected, abs=1e-4)
    assert mirrored(photo[:, ::-1])[:, ::-1] == pytest.approx(mirrored(photo), abs=1e-4)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, TypeError, "image 0: NoneType; expected a path"),
        (np.zeros((4, 5), np.uint8), ValueError, "an array of shape [4, 5]; expected [h, w, 3]"),
        (np.zeros((3, 4, 5), np.uint8), ValueError, "expected [h, w, 3]"),
        (np.zeros((0, 5, 3), np.uint8), ValueError, "an array of shape [0, 5, 3]"),
        (torch.zeros(4, 5, 3), ValueError, "a tensor of shape [4, 5, 3]; expected [3, h, w]"),
        (np.full((4, 5, 3), 255.0), ValueError, "pixels from 255 to 255; expected [0, 1]"),
        (torch.full((3, 4, 5), float("nan")), ValueError, "pixels from nan to nan"),
        (np.zeros((4, 5, 3), np.int64), ValueError, "pixels of int64; expected uint8"),
        ([np.zeros((4, 5, 3), np.uint8), 7], TypeError, "image 1: int"),
    ],
)
def test_what_is_no_image_is_refused(predict, image, error, message):
    with pytest.raises(error, match=re.escape(message)):
        predict(image)


def test_a_file_that_cannot_be_read_is_named(predict, tmp_path):
    (tmp_path / "a.jpg").write_text("nothing")
    with pytest.raises(ValueError, match=r"a\.jpg: truncated or not an image"):
        predict(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="a folder; name its photographs, or use attnlabels.label"):
        predict(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"b\.jpg"):
        predict([tmp_path / "b.jpg"])
