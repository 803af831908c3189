from dataclasses import replace

import numpy as np
import pytest

from attnlabels.recordings.coordinates import Frame, doubt, in_pixels, slip

SIZE = np.array([[80, 60]])  # width, height


def cells(x: float, y: float, **frame) -> list[float]:
    return in_pixels(np.array([[float(x), y]]), SIZE, Frame(**frame)).cells[0].tolist()


@pytest.mark.parametrize(
    ("point", "frame"),
    [
        ((30.5, 20.2), {}),
        ((31, 21), {"origin": 1}),
        ((31.4, 20.6), {"origin": 1}),
        ((30.5 / 80, 20.2 / 60), {"units": "shares"}),
        ((3050 / 80, 2020 / 60), {"units": "percent"}),
        ((15.25, 10.1), {"units": "40x30"}),
        ((100 + 15.25, 50 + 10.1), {"units": "40x30+100+50"}),
        ((30.5, 39.8), {"zero": "bottom-left"}),
        ((30, 39), {"zero": "bottom-left"}),  # whole numbers, the lowest row is 0
        ((31, 40), {"zero": "bottom-left", "origin": 1}),
        ((-9.5, 9.8), {"zero": "centre"}),
        ((-0.11875, 0.1633), {"zero": "centre", "units": "shares"}),
    ],
)
def test_a_point_lies_in_the_same_pixel_whatever_it_is_counted_in(point, frame):
    assert cells(*point, **frame) == [20, 30]


def test_both_ends_of_shares_are_of_the_image_and_rounding_moves_nothing():
    assert cells(0, 0, units="shares") == [0, 0] and cells(1, 1, units="shares") == [59, 79]
    assert cells(100, 0, units="percent") == [0, 79]
    assert cells(0, 0, units="shares", zero="bottom-left") == [59, 0]
    wide = np.array([[100, 100]])
    assert (0.29 * 100) < 29
    found = in_pixels(np.array([[0.29, 0.57]]), wide, Frame(units="shares"))
    assert found.cells.tolist() == [[57, 29]]


def test_points_outside_are_told():
    points = np.array([[0.0, 0], [79.9, 59.9], [80, 0], [0, 60], [-0.1, 0], [0, -1]])
    sizes = np.repeat(SIZE, len(points), axis=0)
    inside = [True, True, False, False, False, False]
    assert in_pixels(points, sizes, Frame()).inside.tolist() == inside
    shares = points / (80, 60)
    found = in_pixels(shares, sizes, Frame(units="shares")).inside.tolist()
    assert found == [True, True, True, True, False, False]


@pytest.mark.parametrize("units", ["pixel", "", "80x", "0x60", "80x60+1", "-80x60", "80 x 60"])
def test_units_that_are_none_are_refused(units):
    with pytest.raises(ValueError, match=r"units '.*': expected pixels \(of the image\), shares"):
        Frame(units=units)


def looked_at(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points as people make them, around the middle, and the sizes of their images."""
    rng = np.random.default_rng(0)
    sizes = np.array([[800, 600], [640, 480], [600, 800]])[rng.integers(0, 3, n)]
    shares = rng.normal(0.5, 0.2, (n, 2)).clip(0, 0.999)
    return shares * sizes, sizes


FRAMES = {
    "pixels": lambda points, sizes: points,
    "shares": lambda points, sizes: points / sizes,
    "percent": lambda points, sizes: 100 * points / sizes,
}


@pytest.mark.parametrize("said", FRAMES)
@pytest.mark.parametrize("written", FRAMES)
def test_other_units_are_told_and_the_cure_works(said, written):
    pixels, sizes = looked_at()
    points = FRAMES[written](pixels, sizes)
    frame = Frame(units=said)
    if said == written:
        assert doubt(points, sizes, frame) is None
        return
    assert f"pass --units {written}" in doubt(points, sizes, frame)
    assert doubt(points, sizes, replace(frame, units=written)) is None


def test_one_share_above_1_does_not_hide_the_others():
    pixels, sizes = looked_at()
    points = pixels / sizes
    points[7] = (1.3, 0.5)
    assert "pass --units shares" in doubt(points, sizes, Frame())


def test_a_display_of_half_the_size_is_told_and_the_cure_works():
    pixels, sizes = looked_at()
    sizes[:] = (800, 600)
    points = pixels.clip(0, (799, 599)) / 2
    said = doubt(points, sizes, Frame())
    assert "98 % of the points lie in the first" in said and "--units WIDTHxHEIGHT" in said
    assert doubt(points, sizes, Frame(units="400x300")) is None


def test_a_display_of_twice_the_size_and_points_from_the_middle_are_told():
    pixels, sizes = looked_at()
    said = doubt(pixels * 2, sizes, Frame())
    assert "of the points are outside" in said and "--units WIDTHxHEIGHT" in said
    centred = (pixels - sizes / 2) * (1, -1)
    assert "pass --zero centre" in doubt(centred, sizes, Frame())
    assert doubt(centred, sizes, Frame(zero="centre")) is None


def test_the_cure_says_what_is_to_be_other_than_it_was_said():
    pixels, sizes = looked_at()
    shares, said = pixels / sizes, Frame(units="shares")
    assert "If so, pass --units pixels" in doubt(pixels, sizes, said)
    assert doubt(pixels, sizes, Frame()) is None
    assert "If so, pass --units shares" in doubt(shares, sizes, Frame(origin=1))
    assert Frame(zero="centre").words(Frame(units="percent", origin=1)) == (
        "--units pixels --origin 0 --zero centre"
    )


def test_a_few_points_are_not_judged_but_shares_are_told():
    few = np.array([[3.0, 4.0], [5.0, 6.0]])
    assert doubt(few, np.array([[800, 600]] * 2), Frame()) is None
    assert "pass --units shares" in doubt(few / 6, np.array([[800, 600]] * 2), Frame())


def test_slips_of_all_points_are_told():
    sizes = np.repeat(SIZE, 2, axis=0)
    assert "x and y exchanged" in slip(np.array([[3, 70.0], [1, 2]]), sizes, Frame())
    assert "pass --origin 1" in slip(np.array([[80.0, 60], [1, 1]]), sizes, Frame())
    assert "pass --origin 0" in slip(np.array([[0.0, 0], [79, 59]]), sizes, Frame(origin=1))
    assert slip(np.array([[80.5, 60], [1, 1]]), sizes, Frame()) is None


@pytest.mark.real_data
def test_no_set_of_eight_real_images_is_doubted(real_data):
    from attnlabels.recordings.salicon import read_json

    folder = real_data("osie")
    recordings = read_json(folder / "eye.json")
    rng = np.random.default_rng(0)
    for _ in range(100):
        chosen = [recordings[i] for i in rng.choice(len(recordings), 8, replace=False)]
        points = np.concatenate([each.points[:, ::-1] for each in chosen]).astype(float)
        sizes = np.repeat([[400, 300]], len(points), axis=0)
        assert doubt(points, sizes, Frame()) is None
        assert doubt(points / 2, sizes, Frame()) is not None
