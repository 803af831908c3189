from pathlib import Path

import numpy as np
import pytest

from attnlabels.recordings.osie import read_eye, read_mouse

SUBJECT = {"fix_x": np.array([[1.2, 799.6]]), "fix_y": np.array([[1.4, 599.7]])}


def test_eye_fixations_are_rounded_into_the_image(save, tmp_path):
    other = {"fix_x": np.array([[400.4, 800.7]]), "fix_y": np.array([[0.2, 3.0]])}
    none = {"fix_x": np.zeros((0, 0)), "fix_y": np.zeros((0, 0))}
    last = {"fix_x": np.array([[2.0]]), "fix_y": np.array([[5.0]])}
    save(
        tmp_path / "fixations.mat",
        {
            "fixations": (
                {"img": "1001.jpg", "subjects": (SUBJECT, none, other)},
                {"img": "1002.jpg", "subjects": (last,)},
            )
        },
    )
    first, second = read_eye(tmp_path / "fixations.mat")
    assert (first.name, first.height, first.width) == ("1001.jpg", 600, 800)
    assert first.points.tolist() == [[0, 0], [599, 799], [0, 399], [2, 799]]
    assert first.observers.tolist() == [0, 0, 2, 2] and first.n_clipped == 2
    assert second.points.tolist() == [[4, 1]]
    with pytest.raises(
        ValueError, match=r"fixations\.mat: image 1001\.jpg, subject 2: fixation \(row 0"
    ):
        read_eye(tmp_path / "fixations.mat", outside="refuse")
    with pytest.raises(FileNotFoundError, match=r"no\.mat: no MAT file here; put the published"):
        read_eye(tmp_path / "no.mat")


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ({"fix_y": np.array([[1.0]])}, r"2 `fix_x` and 1 `fix_y` of 1001\.jpg, subject 0"),
        ({"fix_x": "text"}, r"`fix_x` of 1001\.jpg, subject 0 is no array of numbers"),
        (
            {"fix_y": np.array([[1.0, np.nan]])},
            r"subject 0: fixation \(row nan, col 800\) is outside",
        ),
        (
            {"fix_x": np.array([[1.0, 1e10]])},
            r"subject 0: fixation \(row 600, col 1e\+10\) is outs",
        ),
    ],
)
def test_eye_fixations_that_do_not_fit_are_refused(subject, message, save_v5, tmp_path):
    image = {"img": "1001.jpg", "subjects": (SUBJECT | subject,)}
    save_v5(tmp_path / "a.mat", {"fixations": (image,)})
    with pytest.raises(ValueError, match=rf"a\.mat: .*{message}"):
        read_eye(tmp_path / "a.mat")


COORD, SUBJ = np.array([[1, 1], [600, 800], [7, 9.0]]), np.array([[321], [321], [7.0]])


def test_mouse_samples_are_rows_and_columns_from_one(save, tmp_path):
    save(tmp_path / "1002.mat", {"fixations": {"coord": COORD[:1], "subj": SUBJ[:1]}})
    save(tmp_path / "1001.mat", {"fixations": {"subj": SUBJ, "coord": COORD, "order": SUBJ}})
    first, second = read_mouse(tmp_path)
    assert (first.name, first.height, first.width) == ("1001.jpg", 600, 800)
    assert first.points.tolist() == [[0, 0], [599, 799], [6, 8]]
    assert first.observers.tolist() == [321, 321, 7]
    assert (second.name, second.points.tolist()) == ("1002.jpg", [[0, 0]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"coord": COORD[:, ::-1]}, "row 800, col 600.* with row and col exchanged all would fit"),
        ({"coord": np.c_[COORD, SUBJ]}, "`coord` is 3 x 3; expected a row of two numbers for each"),
        ({"subj": SUBJ[:2]}, "2 numbers in `subj` for 3 points"),
        ({"subj": SUBJ + 0.5}, "expected a whole one for each"),
        ({"subj": "abc"}, "`subj` is no array of numbers"),
    ],
)
def test_mouse_samples_that_do_not_fit_are_refused(fields, message, save_v5, tmp_path):
    save_v5(tmp_path / "1001.mat", {"fixations": {"coord": COORD, "subj": SUBJ} | fields})
    with pytest.raises(ValueError, match=rf"1001\.mat: .*{message}"):
        read_mouse(tmp_path)


def test_files_of_another_kind_are_refused(save_v5, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no: no such folder; put OSIE's data/mouse_amt"):
        read_mouse(tmp_path / "no")
    with pytest.raises(ValueError, match=r"no \.mat file in it; expected one an image"):
        read_mouse(tmp_path)
    for content in (np.ones((2, 2)), (), {"coord": COORD}, "text"):
        save_v5(tmp_path / "1001.mat", {"fixations": content})
        with pytest.raises(ValueError, match=r"1001\.mat: expected a struct with coord and subj"):
            read_mouse(tmp_path)
    save_v5(tmp_path / "1001.mat", {"other": COORD})
    with pytest.raises(ValueError, match=r"1001\.mat: has no `fixations`; expected OSIE's publ"):
        read_mouse(tmp_path)


@pytest.mark.real_data
def test_the_published_repository_has_its_published_counts():
    data = Path(__file__).parents[3] / "data" / "real" / "osie" / "data"
    if not data.is_dir():
        pytest.skip(f"no OSIE at {data}")
    sets = {
        98_321: read_eye(data / "eye" / "fixations.mat"),
        8_626_960: read_mouse(data / "mouse_amt"),
        984_458: read_mouse(data / "mouse_lab"),
    }
    for n_points, recordings in sets.items():
        assert [each.name for each in recordings] == [f"{k}.jpg" for k in range(1001, 1701)]
        assert sum(len(each.points) for each in recordings) == n_points
        assert sum(each.n_clipped for each in recordings) == 0
