import logging
from os import pardir
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlabels.recordings.csv_table import parse_columns
from attnlabels.recordings.fixation_csv import Reading, read_csv

GOOD = "image,x,y\na.png,0,0\na.png,63.9,47.9\nsub/b.png,10.5,20.2\na.png,5,6\n"


@pytest.fixture(autouse=True)
def photographs(tmp_path, monkeypatch):
    """Two photographs, 64 wide and 48 high, and 32 wide and 32 high."""
    monkeypatch.chdir(tmp_path)
    Path("images/sub").mkdir(parents=True)
    for name, shape in (("a.png", (48, 64, 3)), ("sub/b.png", (32, 32, 3))):
        assert cv2.imwrite(f"images/{name}", np.zeros(shape, np.uint8))


def read(text: str | bytes, **reading):
    Path("p.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    recordings, skipped, _ = read_csv(Path("p.csv"), Path("images"), Reading(**reading))
    return recordings, skipped


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
        ("image x y\na.png 1 2\n", r"line 1: .*has no column 'image'.*separated by commas, semi"),
        ("image,x,y,subject\n", r"line 1: .*has the column 'subject'.*rename or remove"),
        ("image,x,y,x\n", "line 1: the header 'image,x,y,x' names 'x' twice"),
        ("", "line 1: the header '' has no column 'image'"),
        ("image,x,y\n", "has a header and no points"),
        ("image,x,y\na.png,1,1\na.png,1\n", "line 3: 2 cells, the header names 3"),
        ('image,x,y\na.png,1,1\na.png,"1,5",1\n', "line 3: `x` is '1,5', expected a number"),
        ("image,x,y\na.png,1,\n", "line 2: `y` is '', so nothing was measured or shown; remove"),
        ("image,x,y\n\na.png,nan,2\n", "line 3: `x` is 'nan', so nothing .*or pass --lost drop"),
        ("image,x,y\na.png,1,1e999\n", "line 2: `y` is 1e999; mend or remove"),
        ("image,x,y\na.png,1_0,1\n", "line 2: `x` is '1_0', expected a number"),
        ("image,x,y\na.png,0x1,1\n", "line 2: `x` is '0x1', expected a number"),
        ("image,x,y,t\na.png,1,1,soon\n", "line 2: `t` is 'soon', expected a number"),
        ("image,x,y,duration\na.png,1,1,-1\n", "line 2: `duration` is -1, expected 0 or more"),
        ("image,x,y,observer\na.png,1,1, \n", "line 2: `observer` is empty; fill it"),
        ("image,x,y\n,1,1\n", "line 2: `image` is '', so nothing was measured or shown"),
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
            r"mend or remove it, or pass --outside drop, or clip for what is near \(1 of 3 points"
        ),
    ):
        read(f"image,x,y\na.png,50,0.5\nsub/b.png,3,3\na.png,{point}\n")


def test_exchanged_coordinates_are_told_by_points_that_fit_only_so():
    with pytest.raises(ValueError, match=r"line 3: .*x 20, y 60.*with x and y exchanged all"):
        read("image,x,y\na.png,1,40\na.png,20,60\nsub/b.png,3,3\n")
    with pytest.raises(ValueError, match="mend or remove it, or pass --outside"):
        read("image,x,y\na.png,63,3\na.png,20,60\n")  # the first does not fit exchanged


def test_whole_numbers_counted_from_the_other_origin_are_told():
    with pytest.raises(ValueError, match="counted from 1 all points .* pass --origin 1"):
        read("image,x,y\na.png,64,48\na.png,1,1\n")
    with pytest.raises(ValueError, match="counted from 0 all points .* pass --origin 0"):
        read("image,x,y\na.png,0,0\na.png,63,47\n", origin=1)


def test_shares_of_the_image_are_told_from_pixels():
    with pytest.raises(ValueError, match="nine tenths of x and y .*pass --units shares, or say"):
        read("image,x,y\na.png,0.5,0.1\nsub/b.png,1,0.25\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c.png", "no image images/c.png; put it there"),
        ("text.png", "text.png is not an image of"),
    ],
)
def test_an_image_that_is_missing_or_broken_stops_or_is_skipped_with_its_rows(
    name, message, caplog
):
    Path("images/text.png").write_text("no picture")
    text = f"image,x,y\na.png,1,1\n{name},99,99\na.png,2,2\n"
    with pytest.raises((ValueError, FileNotFoundError), match=rf"p\.csv: line 3: .*{message}"):
        read(text)
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        (a,), skipped = read(text, broken="skip")
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("left out: ")
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
        read_csv(Path("none.csv"), Path("images"))


@pytest.mark.parametrize(
    "text",
    [
        "image;x;y\na.png;0;0\na.png;63,9;47,9\na.png;30,25;20,5\n",  # as Excel writes in Europe
        "image;x;y\na.png;0;0\na.png;63.9;47.9\na.png;30.25;20.5\n",
        "image\tx\ty\na.png\t0\t0\na.png\t63,9\t47,9\na.png\t30,25\t20,5\n",
        "y;image;x\n0;a.png;,0\n47,9;a.png;63,9\n20,5;a.png;3,025e1\n;;\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_separators_decimal_commas_and_encodings_are_told(text, encoding):
    (a,), _ = read(text.encode(encoding))
    assert a.points.tolist() == [[0, 0], [47, 63], [20, 30]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "a.png;1,5;2\na.png;2.5;3",
            "line 2 has a number with a comma and line 3 one with a point",
        ),
        ("a.png;1,024;2\na.png;7;3", "line 2: a number with a comma and three digits after it"),
        ("a.png;1,024.5;2", "line 2: `x` is '1,024.5', expected a number"),
    ],
)
def test_a_comma_that_may_be_of_thousands_is_refused(rows, message):
    with pytest.raises(ValueError, match=rf"p\.csv: {message}"):
        read(f"image;x;y\n{rows}\n")
    (a,), _ = read("image;x;y\na.png;1,125;2,250\n")  # of millimetres that are all so long
    assert a.points.tolist() == [[2, 1]]


EXPORTS = {
    "Tobii Pro Lab": (
        "Recording timestamp [ms]\tParticipant name\tPresented Stimulus name\tEye movement type\t"
        "Fixation point X [MCS px]\tFixation point Y [MCS px]\n"
        "1\tann\t\tSaccade\t\t\n"
        "2\tann\ta.png\tFixation\t5\t6\n"
        "3\tann\ta.png\tSaccade\t\t\n"
        "4\tbob\ta.png\tFixation\t7,5\t8,25\n",
        None,
        {"lost": "drop"},
    ),
    "Data Viewer": (
        "RECORDING_SESSION_LABEL\tCURRENT_FIX_X\tCURRENT_FIX_Y\tCURRENT_FIX_PUPIL\tpicture\n"
        "ann\t5.1\t6.0\t.\ta.png\nbob\t7.5\t8.25\t900\ta.png\n",
        "picture",
        {},
    ),
    "Pupil Player": (
        "fixation_id,norm_pos_x,norm_pos_y,x_scaled,y_scaled,on_surf,who,what\n"
        "0,0.08,0.865,1,1,True,ann,a.png\n1,0.12,0.82,1,1,True,bob,a.png\n",
        "what",
        {"units": "shares", "zero": "bottom-left"},
    ),
}


@pytest.mark.parametrize("kind", EXPORTS)
def test_exports_of_trackers_are_read_as_the_message_says(kind):
    text, image, options = EXPORTS[kind]
    with pytest.raises(ValueError, match="line 1: the header .*pass --columns '") as caught:
        read(text)
    said = str(caught.value)
    columns = parse_columns(said.partition("--columns '")[2].partition("'")[0])
    assert (columns["image"] == "...") == (image is not None)
    for name, value in options.items():
        assert f"--{name} {value}" in said
    if image is not None:
        columns |= {"image": image} | ({"observer": "who"} if kind == "Pupil Player" else {})
    (a,), _ = read(text, columns=columns, **options)
    assert a.points.tolist() == [[6, 5], [8, 7]] and a.observers.tolist() == [0, 1]


def test_columns_are_parsed_though_names_hold_commas():
    named = parse_columns("x=Gaze X [px, DACS],y=Gaze Y,image=a=b")
    assert named == {"x": "Gaze X [px, DACS]", "y": "Gaze Y", "image": "a=b"}
    for text in ("", "x", "x=", "z=1", "x=a,x=b", "x=a,y="):
        with pytest.raises(ValueError, match=r"expected KEY=NAME,KEY=NAME|is none of image, x"):
            read("image,x,y\na.png,1,1\n", columns=parse_columns(text))


def test_a_column_that_is_named_and_not_there_is_refused():
    with pytest.raises(ValueError, match=r"line 1: .*has no column 'who'"):
        read(GOOD, columns={"observer": "who"})


def test_lost_rows_stop_or_are_left_out_and_counted():
    text = "image,x,y\na.png,.,.\na.png,1,2\n,5,5\na.png,NA,3\na.png,0,0\nsub/b.png,nan,3\n"
    with pytest.raises(ValueError, match=r"line 2: `x` is '\.', so nothing .*pass --lost drop"):
        read(text)
    Path("p.csv").write_text(text)
    (a,), skipped, n_lost = read_csv(Path("p.csv"), Path("images"), Reading(lost="drop"))
    assert a.points.tolist() == [[2, 1]] and not skipped and n_lost == 5
    with pytest.raises(ValueError, match=r"has a header and no points \(1 rows are left out"):
        read("image,x,y\na.png,,\n", lost="drop")
    with pytest.raises(ValueError, match=r"all 1 points are at \(0, 0\)"):
        read("image,x,y\na.png,0,0\n", lost="drop")


def many(change=lambda x, y: (x, y), n: int = 300) -> str:
    """A table of points that people may have made, each changed."""
    points = np.random.default_rng(0).normal((32, 24), (12, 9), (n, 2)).clip(0.5, (63, 47))
    changed = [change(x, y) for x, y in points]
    return "image,x,y\n" + "\n".join(f"a.png,{x:.4f},{y:.4f}" for x, y in changed) + "\n"


def test_a_third_of_the_rows_at_zero_is_a_lost_eye():
    plain = read(many())[0][0].points.tolist()
    zeros = many() + "a.png,0,0\n" * 150
    with pytest.raises(ValueError, match=r"line 302 and 149 more of 450 are at \(0, 0\): was the"):
        read(zeros)
    assert read(zeros, lost="drop")[0][0].points.tolist() == plain
    assert len(read(zeros, trust_coordinates=True)[0][0].points) == 450
    assert len(read(many() + "a.png,0,0\n")[0][0].points) == 301  # one may be a fixation


@pytest.mark.parametrize(
    ("change", "option", "reading"),
    [
        (lambda x, y: (x / 64, y / 48), "--units shares", {"units": "shares"}),
        (lambda x, y: (x / 2, y / 2), "--units WIDTHxHEIGHT", {"units": "32x24"}),
        (lambda x, y: (x * 3, y * 3), "--units WIDTHxHEIGHT", {"units": "192x144"}),
        (lambda x, y: (x - 32, 24 - y), "--zero centre", {"zero": "centre"}),
    ],
)
def test_points_that_count_something_else_stop_and_the_cure_gives_the_right_ones(
    change, option, reading
):
    with pytest.raises(ValueError, match=rf"p\.csv: .*pass {option}.* trust the coordinates"):
        read(many(change))
    found, plain = (read(each)[0][0].points for each in (many(), many()))
    found = read(many(change), **reading)[0][0].points
    assert abs(found - plain).max() <= 1 and (found == plain).mean() > 0.95


def test_one_share_above_1_is_still_shares():
    text = many(lambda x, y: (x / 64, y / 48)) + "a.png,1.2,0.5\n"
    with pytest.raises(ValueError, match="pass --units shares"):
        read(text)
    with pytest.raises(ValueError, match=r"line 302: the point \(x 1.2, y 0.5\) is outside of a"):
        read(text, units="shares")
    (a,), _ = read(text, units="shares", outside="drop")
    assert len(a.points) == 300 and a.n_dropped == 1
    (a,), _ = read(text, units="shares", outside="clip")
    assert a.points[-1].tolist() == [24, 63] and a.n_clipped == 1


def test_no_policy_makes_points_right_that_are_mostly_outside():
    with pytest.raises(ValueError, match=r"\d\d% of the points are outside of their images; do x"):
        read(many(lambda x, y: (x * 3, y * 3)), outside="drop")


def test_an_image_in_two_spellings_is_one():
    (a, b), _ = read(
        "image,x,y\n./a.png,1,2\nsub\\b.png,3,4\na.png,5,6\nsub//b.png,7,8\nsub/./b.png,9,9\n"
    )
    assert (a.name, a.n_names, a.points.tolist()) == ("a.png", 2, [[2, 1], [6, 5]])
    assert (b.name, b.n_names, len(b.points)) == ("sub/b.png", 3, 3)


def test_a_pointer_of_git_lfs_is_told():
    with pytest.raises(ValueError, match=r"p\.csv: a pointer of git-lfs, .*run `git lfs pull`"):
        read("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


RIGHT = "image,observer,x,y\na.png,ann,5,6\nsub/b.png,bob,7,8\na.png,bob,60.5,40\n"
ODD = ("", "nan", "-1", "1e400", "\x00", "\ud800", '"', "a\nb", "٣", "..", "/", "x" * 5000, "1,2")


@settings(max_examples=60)
@given(
    place=st.integers(0, len(RIGHT) - 1),
    odd=st.sampled_from(ODD) | st.text(max_size=4),
    length=st.integers(0, 6),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "latin-1"]),
    reading=st.fixed_dictionaries(
        {
            "lost": st.sampled_from(["stop", "drop"]),
            "outside": st.sampled_from(["refuse", "drop", "clip"]),
            "broken": st.sampled_from(["stop", "skip"]),
        }
    ),
)
def test_right_tables_with_one_thing_wrong_are_read_or_refused(
    place, odd, length, encoding, reading
):
    text = RIGHT[:place] + odd + RIGHT[place + length :]
    try:
        recordings, _ = read(text.encode(encoding, errors="surrogatepass"), **reading)
    except UnicodeEncodeError:  # latin-1 has no such letter
        return
    except (ValueError, FileNotFoundError) as error:
        assert str(error).startswith("p.csv: ") and "\n" not in str(error)
        return
    for each in recordings:
        assert ((each.points >= 0) & (each.points < (each.height, each.width))).all()
