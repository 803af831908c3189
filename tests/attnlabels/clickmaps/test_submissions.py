from pathlib import Path

import numpy as np
import pytest

from attnlabels.clickmaps.submissions import read_csv, read_npz

HEADER = "image_path,clicks,user_id,user_catch_trial,is_mobile\n"


def a_csv(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "clicks.csv"
    path.write_text(header + "".join(f"{each}\n" for each in rows))
    return path


def columns(**changed) -> dict[str, np.ndarray]:
    """Three submissions, of two clicks, none and one."""
    whole = {
        "file_pointer": np.array(["a/1.jpg", "b/2.jpg", "a/1.jpg"]),
        "clickmap_x": np.array([1, 2, 3]),
        "clickmap_y": np.array([4, 5, 6]),
        "n_clicks": np.array([2, 0, 1]),
        "user_id": np.array(["p", "p", "q"]),
        "user_catch_trial": np.array([1.0, 1.0, 0.5]),
        "is_mobile": np.array([False, False, True]),
    }
    return {key: value for key, value in {**whole, **changed}.items() if value is not None}


def an_npz(tmp_path: Path, **changed) -> Path:
    np.savez(tmp_path / "clicks.npz", **columns(**changed))
    return tmp_path / "clicks.npz"


def test_rows_of_a_csv_are_submissions_in_their_order(tmp_path):
    first, second = read_csv(
        a_csv(
            tmp_path,
            'a/1.jpg,"[(1, 4), (2.5, 5)]",p,0.97,False',
            'b/2.jpg,"[[3, 6]]",q,1,TRUE',
        )
    )
    assert (first.image, first.player) == ("a/1.jpg", "p")
    assert first.clicks.tolist() == [[1, 4], [2.5, 5]]
    assert (first.catch_trial, first.is_mobile) == (0.97, False)
    assert second.clicks.tolist() == [[3, 6]] and second.is_mobile is True
    assert second.where.endswith("clicks.csv: line 3")


def test_what_a_csv_does_not_tell_is_none_and_other_columns_are_passed_over(tmp_path):
    header = "user_id,age,clicks,image_path\n"
    (found,) = read_csv(a_csv(tmp_path, "p,33,[],a.jpg", header=header))
    assert found.clicks.shape == (0, 2)
    assert found.catch_trial is None and found.is_mobile is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('a.jpg,"[(1, 2), (3)]",p,1,0', r"line 2: clicks are .*expected a list of pairs"),
        ('a.jpg,"[(1, 2, 3)]",p,1,0', "expected a list of pairs"),
        ("a.jpg,None,p,1,0", "expected a list of pairs"),
        ("a.jpg,__import__('os'),p,1,0", "expected a list of pairs"),
        ('a.jpg,"[(1, NaN)]",p,1,0', "line 2: click 0 is no place"),
        ("a.jpg,[],p,1.2,0", "user_catch_trial is '1.2'; expected a share"),
        ("a.jpg,[],p,1,maybe", "is_mobile is 'maybe'; expected true, false"),
        (",[],p,1,0", "image_path is empty"),
        ("a.jpg,[],,1,0", "user_id is empty"),
        ("a.jpg,[],p,1", "not as many cells as the header names"),
        ("a.jpg,[],p,1,0,5", "not as many cells as the header names"),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_its_line(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        list(read_csv(a_csv(tmp_path, row)))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image,clicks,user_id\n", "line 1: .* has no image_path; expected image_path, clicks"),
        ("image_path,clicks,user_id,clicks\n", "names clicks twice"),
        ("", "has no image_path"),
    ],
)
def test_another_header_is_refused(tmp_path, header, message):
    with pytest.raises(ValueError, match=message):
        list(read_csv(a_csv(tmp_path, header=header)))


def test_an_empty_cell_tells_nothing(tmp_path):
    (found,) = read_csv(a_csv(tmp_path, "a.jpg,[],p,, "))
    assert found.catch_trial is None and found.is_mobile is None


def test_a_csv_that_ends_inside_of_a_cell_is_not_whole(tmp_path):
    with pytest.raises(
        ValueError, match=r"no whole CSV \(unexpected end of data\); fetch it again"
    ):
        list(read_csv(a_csv(tmp_path, 'a.jpg,"[(1, 2)')))


def test_columns_of_an_npz_are_submissions(tmp_path):
    found = list(read_npz(an_npz(tmp_path)))
    assert [each.image for each in found] == ["a/1.jpg", "b/2.jpg", "a/1.jpg"]
    assert [each.clicks.tolist() for each in found] == [[[1, 4], [2, 5]], [], [[3, 6]]]
    assert [each.player for each in found] == ["p", "p", "q"]
    assert found[2].catch_trial == 0.5 and found[2].is_mobile is True
    for told in (["False", "false", "True"], [0, 0, 1], [0.0, 0.0, 1.0], [False, False, True]):
        spelt = read_npz(an_npz(tmp_path, is_mobile=np.array(told)))
        assert [each.is_mobile for each in spelt] == [False, False, True]
    bare = list(read_npz(an_npz(tmp_path, user_catch_trial=None, is_mobile=None)))
    assert bare[0].catch_trial is None and bare[0].is_mobile is None


def test_a_pickle_is_never_read_and_the_cure_is_said(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    ragged = np.empty(2, object)
    ragged[:] = [[1, 2], Harm()]
    with pytest.raises(ValueError, match="clickmap_x is an array of objects.*np.concatenate"):
        list(read_npz(an_npz(tmp_path, clickmap_x=ragged)))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_id": None}, "has no user_id; ClickMe 2.0's files have all"),
        ({"is_mobile": np.array([0, 1, np.nan])}, "submission 2: is_mobile is 'nan'"),
        ({"n_clicks": None}, "has no n_clicks; where you trust it, write it anew"),
        ({"n_clicks": np.array([2.0, 0, 1])}, "n_clicks is no list of counts"),
        ({"n_clicks": np.array([3, -1, 1])}, "n_clicks is no list of counts"),
        ({"n_clicks": np.array([2, 2, 1])}, "clickmap_x has 3 values; n_clicks tells of 5"),
        ({"user_id": np.array(["p", "q"])}, "user_id has 2 values; n_clicks tells of 3"),
        ({"clickmap_y": np.array(["1", "2", "3"])}, "clickmap_y holds no numbers"),
        ({"clickmap_x": np.array([1, np.nan, 3])}, "submission 0: click 1 is no place"),
        ({"user_catch_trial": np.array([1, 7, 1])}, "submission 1: user_catch_trial is '7'"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        list(read_npz(an_npz(tmp_path, **changes)))


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-40], lambda data: data[:200] + b"x" + data[201:]]
)
def test_an_npz_that_is_cut_short_or_damaged_is_named(tmp_path, harm):
    path = an_npz(tmp_path)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError, match=r"clicks\.npz: (no whole npz|file_pointer)"):
        list(read_npz(path))
