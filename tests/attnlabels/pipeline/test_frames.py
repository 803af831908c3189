import pytest

from attnlabels.pipeline.frames import read_csv


def test_rows_come_with_all_their_columns(tmp_path):
    (tmp_path / "a.csv").write_text("k,cc,more\n1,0.5,x\n2,,y\n")
    rows = read_csv(tmp_path / "a.csv", columns=("k", "cc"), stage="align_attention")
    assert rows["k"].tolist() == [1, 2] and rows["more"].tolist() == ["x", "y"]
    assert rows["cc"].isna().tolist() == [False, True]  # an empty cell


@pytest.mark.parametrize(
    "text, message",
    [
        ("k\n1\n", "lacks cc; run the stage align_attention again"),
        ("k,cc\n", "has no rows"),
        ("k,cc\n1,inf\n", "is infinite in cc"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_csv(tmp_path / "a.csv", columns=("k", "cc"), stage="align_attention")
