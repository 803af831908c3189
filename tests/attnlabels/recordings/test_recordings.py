import cv2
import numpy as np
import pytest

from attnlabels.recordings.recordings import count_recorded, read_recordings
from attnlabels.shards.shards import Sample, write_shards


def picture(h=30, w=40, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def write(folder, *points, kind="human"):
    """A set of one image for each array of points, which lie on a grid of 30 x 40."""
    samples = []
    for i, each in enumerate(points):
        pixels = cv2.cvtColor(picture(seed=i), cv2.COLOR_RGB2BGR)
        density = np.random.default_rng(i).random((6, 8), np.float32)
        samples.append(
            Sample(
                key=f"image_{i}",
                image=cv2.imencode(".png", pixels)[1].tobytes(),
                map=density / density.max(),
                points=np.array(each, np.int16).reshape(-1, 2),
                observers=None,
                label=0,
                grid=(30, 40),
                image_size=(30, 40),
                source="made by the test",
                name=f"image {i}.jpg",
            )
        )
    write_shards(folder, samples, maximum_count=9, maps_by={"kind": kind}, classes=["a"])
    return folder


def test_recordings_come_in_order_with_image_and_density(tmp_path):
    folder = write(tmp_path / "set", [(0, 0)], [(29, 39)])
    one, other = read_recordings(folder, crop=1.0)
    assert (one.name, other.name) == ("image 0.jpg", "image 1.jpg")
    for i, each in enumerate((one, other)):
        assert np.array_equal(each.image, picture(seed=i))
        density = np.random.default_rng(i).random((6, 8), np.float32)
        np.testing.assert_allclose(each.density, density / density.max(), atol=1e-4)


def quartered(*points):
    """Each four times: a point at the corner of four pixels is one on each."""
    return [point for point in points for _ in range(4)]


def test_points_are_brought_to_the_density_and_keep_their_number(tmp_path):
    # 5 grid pixels are one of the density
    folder = write(tmp_path / "set", [(0, 4), (29, 39), (12, 5), (11, 9), (29, 38)])
    (recording,) = read_recordings(folder, crop=1.0)
    assert recording.points.tolist() == quartered([0, 0], [2, 1], [2, 1], [5, 7], [5, 7])


def test_a_crop_takes_density_and_points_of_the_central_square(tmp_path):
    # the central square of 15: rows 7.5 to 22.5, columns 12.5 to 27.5
    points = [(7, 20), (8, 13), (22, 27), (15, 20), (15, 11), (15, 28)]
    (recording,) = read_recordings(write(tmp_path / "set", points), crop=0.5)
    assert recording.image.shape == (30, 40, 3) and recording.density.shape == (6, 8)
    # the centres of rows 7 and 22 and of column 27 are on the border, and half inside;
    # (8.5 - 7.5) / 15 * 6 = 0.4 and (13.5 - 12.5) / 15 * 8 = 0.53
    inside = [*4 * [[0, 0]], *2 * [[0, 4]], *4 * [[3, 4]], [5, 7]]
    assert recording.points.tolist() == inside


def test_an_image_without_a_point_inside_is_named(tmp_path):
    folder = write(tmp_path / "set", [(15, 20)], [(0, 0)])
    recordings = read_recordings(folder, crop=0.5)
    next(recordings)
    with pytest.raises(ValueError, match="set: image 1.jpg has no point inside; leave it out"):
        next(recordings)


def test_a_teachers_maps_are_no_recordings(tmp_path):
    folder = write(tmp_path / "set", [(0, 0)], kind="teacher")
    with pytest.raises(ValueError, match="set: its maps are by a teacher; expected recordings"):
        next(read_recordings(folder, crop=1.0))


@pytest.mark.parametrize("crop", [1.0, 0.5])
def test_all_points_together_are_those_of_the_recordings(tmp_path, crop):
    folder = write(tmp_path / "set", [(8, 13), (29, 39), (15, 20)], [(15, 20), (16, 20), (8, 13)])
    total = np.zeros((6, 8), int)
    for recording in read_recordings(folder, crop=crop):
        np.add.at(total, tuple(recording.points.T), 1)
    assert count_recorded(folder, crop=crop).tolist() == total.tolist()


def test_points_of_a_teachers_set_are_not_counted(tmp_path):
    with pytest.raises(ValueError, match="its maps are by a teacher"):
        count_recorded(write(tmp_path / "set", [(0, 0)], kind="teacher"), crop=1.0)
