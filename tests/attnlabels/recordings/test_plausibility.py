from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.recordings.plausibility import contrast_at, require_plausible
from attnlabels.recordings.points import Recording
from attnlabels.recordings.salicon import read_json

SIDE = 96


def scenes(folder: Path, n: int) -> list[Recording]:
    """Square photographs with one textured spot each, and points on and about it."""
    folder.mkdir()
    recordings = []
    for k in range(n):
        rng = np.random.default_rng(k)
        row, col = rng.integers(16, SIDE - 16, 2)
        image = np.full((SIDE, SIDE, 3), 128, np.uint8)
        image[row - 8 : row + 8, col - 8 : col + 8] = rng.integers(0, 256, (16, 16, 3))
        assert cv2.imwrite(str(folder / f"{k}.png"), image)
        points = rng.normal((row, col), 6, (12, 2)).round().astype(int).clip(0, SIDE - 1)
        recordings.append(
            Recording(
                name=f"{k}.png", height=SIDE, width=SIDE, points=points, observers=np.zeros(12, int)
            )
        )
    return recordings


def turned(recordings: list[Recording], mistake: str) -> list[Recording]:
    """The same files read wrongly."""
    return [replace(each, points=READ[mistake](each.points, each)) for each in recordings]


READ = {
    "x and y exchanged": lambda points, each: points[:, ::-1],
    "y counted from the bottom": lambda points, each: abs((each.height - 1, 0) - points),
    "x counted from the right": lambda points, each: abs((0, each.width - 1) - points),
    "x and y counted from the bottom right": lambda points, each: (
        (each.height - 1, each.width - 1) - points
    ),
}


@pytest.mark.parametrize("mistake", READ)
def test_points_that_were_read_wrongly_are_refused_and_right_ones_pass(mistake, tmp_path):
    recordings = scenes(tmp_path / "images", 30)
    require_plausible(recordings, tmp_path / "images")
    wrong = turned(recordings, mistake)
    with pytest.raises(ValueError, match=f"seem to be read with {mistake}: over 30 images, con"):
        require_plausible(wrong, tmp_path / "images")
    require_plausible(turned(wrong, mistake), tmp_path / "images")


@pytest.mark.parametrize(
    ("zero", "cure"),
    [
        ("top-left", "pass --zero bottom-left for a CSV file, or turn y round"),
        ("bottom-left", "leave out --zero bottom-left, or turn y round"),
        ("centre", "turn y round"),
    ],
)
def test_the_cure_of_points_upside_down_is_not_what_was_done(zero, cure, tmp_path):
    wrong = turned(scenes(tmp_path / "images", 30), "y counted from the bottom")
    with pytest.raises(ValueError, match=rf"\(t = [-.\d]+\); {cure}, or say that you trust"):
        require_plausible(wrong, tmp_path / "images", zero=zero)


def test_points_of_a_lost_eye_are_told(tmp_path):
    recordings = scenes(tmp_path / "images", 3)
    lost = replace(recordings[1], points=recordings[1].points * (np.arange(12) > 3)[:, None])
    message = r"images: 4 of 36 points are on the first pixel of their image: was the eye lost"
    with pytest.raises(ValueError, match=message):
        require_plausible([recordings[0], lost, recordings[2]], tmp_path / "images")


def test_recordings_without_points_say_nothing(tmp_path):
    recordings = scenes(tmp_path / "images", 12)
    empty = [
        replace(each, points=each.points[:0], observers=each.observers[:0]) for each in recordings
    ]
    require_plausible(empty, tmp_path / "images")


def test_of_fewer_than_ten_images_nothing_is_said(tmp_path):
    recordings = scenes(tmp_path / "images", 9)
    require_plausible(turned(recordings, "x and y exchanged"), tmp_path / "images")


def test_points_that_ignore_the_pictures_pass_either_way(tmp_path):
    recordings = scenes(tmp_path / "images", 30)
    shuffled = [
        Recording(
            name=each.name,
            height=SIDE,
            width=SIDE,
            points=other.points,
            observers=other.observers,
        )
        for each, other in zip(recordings, recordings[1:] + recordings[:1])
    ]
    require_plausible(shuffled, tmp_path / "images")
    for mistake in READ:
        require_plausible(turned(shuffled, mistake), tmp_path / "images")


def test_contrast_at_the_points_is_that_of_the_spot_they_are_on():
    rng = np.random.default_rng(0)
    image = np.full((SIDE, 2 * SIDE, 3), 128, np.uint8)
    image[20:40, 140:170] = rng.integers(0, 256, (20, 30, 3))
    on = Recording(
        name="a",
        height=SIDE,
        width=2 * SIDE,
        points=np.array([[30, 155]]),
        observers=np.zeros(1, int),
    )
    as_read, *otherwise = contrast_at(on, image)
    assert as_read > 3 and len(otherwise) == 4 and max(otherwise) < 0
    assert contrast_at(on, np.full_like(image, 7)) == pytest.approx((0.0,) * 5, abs=1e-3)


@pytest.mark.real_data
def test_eye_tracking_on_square_cuts_of_real_photographs_is_told_from_wrong_readings(
    real_data, tmp_path
):
    folder = real_data("osie")
    cut = []
    for each in read_json(folder / "eye.json")[::8]:
        image = cv2.imread(str(folder / "images" / each.name))[:, 50:350]
        points = each.points - (0, 50)
        inside = ((points >= 0) & (points < 300)).all(axis=1)
        assert cv2.imwrite(str(tmp_path / each.name), image)
        cut.append(
            Recording(
                name=each.name,
                height=300,
                width=300,
                points=points[inside],
                observers=each.observers[inside],
            )
        )
    require_plausible(cut, tmp_path)
    for mistake in READ:
        with pytest.raises(ValueError, match=f"{mistake}: over 70 images"):
            require_plausible(turned(cut, mistake), tmp_path)
