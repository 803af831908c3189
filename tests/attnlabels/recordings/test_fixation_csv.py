from os import pardir
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.recordings.fixation_csv import read_csv

GOOD = "image,x,y\na.png,0,0\na.png,63.9,47.9\nsub/b.png,10.5,20.2\na.png,5,6\n"


@pytest.fixture(autouse=True)
def photographs(tmp_path, monkeypatch):
    """Two photographs, 64 wide and 48 high, and 32 wide and 32 high."""
    monkeypatch.chdir(tmp_path)
    Path("images/sub").mkdir(parents=True)
    for name, shape in (("a.png", (48, 64, 3)), ("sub/b.png", (32, 32, 3))):
        assert cv2.imwrite(f"images/{name}", np.zeros(shape, np.uint8))


def read(text: str | bytes, *, origin=0, broken="stop"):
    Path("p.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_csv(Path("p.csv"), Path("images"), origin=origin, broken=broken)


def test_points_are_row_and_column_of_the_pixel_they_lie_in():
    (a, b), skipped = read(GOOD)
    assert skipped == []
    assert (a.name, a.height, a.width) == ("a.png", 48, 64)
    assert a.points.tolist() == [[0, 0], [47, 63], [6, 5]]
    assert (b.name, b.height, b.width) == ("sub/b.png", 32, 32)
    assert b.points.tolist() == [[20, 10]]
    assert a.observers.tolist() == [0, 0, 0]


def test_counted_from_1_the_first_pixels_centre_is_1():
    (a,), _ = read("image,x,y\na.png,1,1\na.png,64,48\na.png,63.6,2.4\n", origin=1)
    assert a.points.tolist() == [[0, 0], [47, 63], [1, 63]]


def test_columns_may_come_in_any_order_with_observers_of_any_name():
    rows = "ann,200,3,a.png,4,0", "7,100,1,a.png,2,-5", "ann,0,1,a.png,1,9"
    (a,), _ = read("\n".join(["observer,duration,y,image,x,t", *rows]))
    assert a.points.tolist() == [[3, 4], [1, 2], [1, 1]] and a.observers.tolist() == [0, 1, 0]


def test_what_spreadsheets_write_is_read():
    plain = read("image,x,y\na.png,1,2\n")
    for text in (
        b"\xef\xbb\xbfimage,x,y\r\na.png,1,2\r\n",  # Excel's mark, Windows' lines
        b'"image", x ,y\n"a.png",1, 2\n\n',
    ):
        (a,), _ = read(text)
        assert a.points.tolist() == plain[0][0].points.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x\na.png,1\n", r"line 1: the header 'image,x' has no column 'y'; expected image,"),
        ("image;x;y\na.png;1;2\n", r"line 1: .*has no column 'image'.*separate by commas"),
        ("image,x,y,subject\n", r"line 1: .*has the column 'subject'.*rename or remove"),
        ("image,x,y,x\n", "line 1: the header names 'x' twice"),
        ("", "line 1: the header '' has no column 'image'"),
        ("image,x,y\n", "has a header and no points"),
        ("image,x,y\na.png,1,1\na.png,1\n", "line 3: 2 cells, the header names 3"),
        ('image,x,y\na.png,1,1\na.png,"1,5",1\n', "line 3: `x` is '1,5', expected a number"),
        ("image,x,y\na.png,1,\n", "line 2: `y` is '', expected a number"),
        ("image,x,y\n\na.png,nan,2\n", "line 3: `x` is nan; remove lines in which nothing"),
        ("image,x,y\na.png,1,1e999\n", "line 2: `y` is 1e999; remove"),
        ("image,x,y,t\na.png,1,1,soon\n", "line 2: `t` is 'soon', expected a number"),
        ("image,x,y,duration\na.png,1,1,-1\n", "line 2: `duration` is -1, expected 0 or more"),
        ("image,x,y,observer\na.png,1,1, \n", "line 2: `observer` is empty; fill it"),
        ("image,x,y\n,1,1\n", "line 2: `image` is empty"),
        ('image,x,y\n"a.png,1,1\n', "not a CSV file in UTF-8"),
        (b"image,x,y\n\xff\xfe,1,1\n", "not a CSV file in UTF-8"),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_its_line(text, message):
    with pytest.raises(ValueError, match=rf"p\.csv: {message}"):
        read(text)


@pytest.mark.parametrize("point", ["-0.1,3", "64,3", "3,48", "3,-1"])
def test_a_point_outside_is_named_with_its_line_and_image(point):
    with pytest.raises(
        ValueError,
        match=(
            r"line 4: the point \(x .*outside of a\.png, 64 wide and 48 high, counted from 0; "
            r"remove .*\(1 of 3 points are outside\)"
        ),
    ):
        read(f"image,x,y\na.png,50,0.5\nsub/b.png,3,3\na.png,{point}\n")


def test_exchanged_coordinates_are_told_by_points_that_fit_only_so():
    with pytest.raises(ValueError, match=r"line 3: .*x 20, y 60.*with x and y exchanged all"):
        read("image,x,y\na.png,1,40\na.png,20,60\nsub/b.png,3,3\n")
    with pytest.raises(ValueError, match="remove the point, or mend it"):
        read("image,x,y\na.png,63,3\na.png,20,60\n")  # the first does not fit exchanged


def test_whole_numbers_counted_from_the_other_origin_are_told():
    with pytest.raises(ValueError, match=r"counted from 1 all points .* say origin 1"):
        read("image,x,y\na.png,64,48\na.png,1,1\n")
    with pytest.raises(ValueError, match=r"counted from 0 all points .* say origin 0"):
        read("image,x,y\na.png,0,0\na.png,63,47\n", origin=1)


def test_shares_of_the_image_are_told_from_pixels():
    with pytest.raises(ValueError, match=r"all x and y lie between 0\.1 and 1: shares .*multiply"):
        read("image,x,y\na.png,0.5,0.1\nsub/b.png,1,0.25\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [("c.png", "no image images/c.png; put it there"), ("text.png", "not a readable image")],
)
def test_an_image_that_is_missing_or_broken_stops_or_is_skipped_with_its_rows(name, message):
    Path("images/text.png").write_text("no picture")
    text = f"image,x,y\na.png,1,1\n{name},99,99\na.png,2,2\n"
    with pytest.raises((ValueError, FileNotFoundError), match=rf"p\.csv: line 3: .*{message}"):
        read(text)
    (a,), skipped = read(text, broken="skip")
    assert skipped == [name] and len(a.points) == 2
    with pytest.raises(ValueError, match="none of its 1 images is in images"):
        read(f"image,x,y\n{name},1,1\n", broken="skip")


@pytest.mark.parametrize(
    "name", [f"{pardir}/outside.png", f"sub/{pardir}/{pardir}/outside.png", "/etc/outside.png"]
)
def test_no_file_outside_of_the_folder_is_read(name):
    assert cv2.imwrite("outside.png", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"line 2: image .* is outside of images"):
        read(f"image,x,y\n{name},1,1\n")


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such file"):
        read_csv(Path("none.csv"), Path("images"), origin=0, broken="stop")
