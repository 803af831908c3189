import io

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from attnlabels.collecting.folder import list_of, open_study
from attnlabels.collecting.pictures import Kept, Pictures
from attnlabels.images.decoding import decode
from attnlabels.serving.refusals import Refused
from attnlabels.serving.site import Caller
from collected import make_images, settle

SOMEBODY = Caller("me", "other", "")


@pytest.fixture
def images(tmp_path):
    return make_images(tmp_path / "images", each=1)


@pytest.fixture
def pictures(images, tmp_path):
    def make(task="paint", **changes):
        settle(tmp_path / task, task=task, **changes)
        found, _ = list_of(images, [], {})
        return Pictures(open_study(tmp_path / task, images, found))

    return make


def pixels_of(picture):
    return decode(picture.data, name="shown").astype(float)


def test_a_file_is_shown_as_it_is(images, pictures):
    shown = pictures().show(SOMEBODY, "0", {})
    assert shown == ((images / "cat" / "0.png").read_bytes(), "image/png")


def test_nobody_sees_an_image_without_having_agreed(pictures):
    with pytest.raises(Refused, match="nobody has agreed"):
        pictures().show(Caller(None, "", ""), "0", {})


@pytest.mark.parametrize(
    "number", ["3", "-1", "", "0.png", "1e0", "٣", "1" * 40, "0x0", " 0", "." * 2]
)
def test_what_is_no_number_of_an_image_is_refused(pictures, number):
    with pytest.raises(Refused, match="no image") as refused:
        pictures().show(SOMEBODY, number, {})
    assert refused.value.status == 404


@pytest.mark.parametrize("blur", ["", "-1", "4", "x", "1.0"])
def test_what_is_no_level_of_blur_is_refused(pictures, blur):
    with pytest.raises(Refused, match="blur"):
        pictures("peek").show(SOMEBODY, "0", {"blur": blur})


def test_a_photograph_with_an_orientation_is_shown_as_its_pixels_are_stored(images, pictures):
    # A browser would turn it, and every place that comes back would be of another pixel.
    exif = Pillow.Exif()
    exif[0x0112] = 6
    with Pillow.open(images / "cat" / "0.png") as image:
        image.convert("RGB").save(images / "cat" / "1.jpg", exif=exif, quality=95)
    shown = pictures().show(SOMEBODY, "1", {})
    assert shown.type == "image/png"
    stored = decode((images / "cat" / "1.jpg").read_bytes(), name="")
    assert (pixels_of(shown) == stored).all()
    with Pillow.open(io.BytesIO(shown.data)) as opened:
        assert opened.size == (80, 60) and opened.getexif().get(0x0112) is None


@pytest.mark.parametrize("suffix", ["bmp", "tif", "gif"])
def test_what_not_all_browsers_read_is_shown_as_png(images, pictures, suffix):
    with Pillow.open(images / "cat" / "0.png") as image:
        image.save(images / "cat" / f"1.{suffix}")
    shown = pictures().show(SOMEBODY, "1", {})
    stored = decode((images / "cat" / f"1.{suffix}").read_bytes(), name="")
    assert shown.type == "image/png" and (pixels_of(shown) == stored).all()


def test_an_image_that_is_not_what_it_was_is_not_shown(images, pictures):
    shown = pictures()
    (images / "cat" / "0.png").write_bytes((images / "dog" / "0.png").read_bytes())
    with pytest.raises(Refused, match="image 0 is not the one that the study began with"):
        shown.show(SOMEBODY, "0", {})
    (images / "cat" / "0.png").unlink()
    with pytest.raises(Refused, match="image 0 cannot be read any more"):
        shown.show(SOMEBODY, "0", {})


def test_a_peek_is_at_one_blur_and_a_look_at_three_that_double(pictures):
    peek, look = pictures("peek", peek={"blur_px": 3.0}), pictures("look", look={"blur_px": 8.0})
    assert [peek.sigma(level) for level in (0, 1)] == [0, 3.0]
    assert [look.sigma(level) for level in range(4)] == [0, 2.0, 4.0, 8.0]
    assert pictures("paint").sigma(1) == 0


def test_the_blur_is_a_gaussian_of_its_sigma(images, pictures):
    dot = np.zeros((60, 80, 3), np.uint8)
    dot[28:33, 38:43] = 255
    cv2.imwrite(str(images / "cat" / "0.png"), dot)
    shown = pixels_of(pictures("peek", peek={"blur_px": 4.0}).show(SOMEBODY, "0", {"blur": "1"}))
    y, x = np.mgrid[:60, :80]
    mass = shown.mean(axis=-1)
    mass[mass < 2] = 0  # what JPEG adds
    spread = np.sqrt((mass * ((x - 40) ** 2 + (y - 30) ** 2)).sum() / mass.sum() / 2)
    assert spread == pytest.approx(np.hypot(4.0, np.sqrt(2)), rel=0.06)
    assert shown.shape == (60, 80, 3)


def test_what_was_made_is_kept_and_the_oldest_goes():
    kept, made = Kept(2), []

    def make(name):
        return lambda: made.append(name) or name

    for name in "aabca":
        assert kept.get(name, make(name)) == name
    assert made == ["a", "b", "c", "a"]
    assert kept.peek("b") is None and kept.peek("c") == "c"


def test_what_is_dropped_is_kept_no_more():
    made = Kept(2)
    made.put("a", 1)
    made.drop("a")
    made.drop("b")  # is not there
    assert made.peek("a") is None
