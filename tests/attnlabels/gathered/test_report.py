import re

import pytest

from attnlabels.gathered.report import report_study
from attnlabels.gathered.study import read_study
from gathered_study import change, make_study


def test_a_page_tells_who_took_part_and_who_looks_wrong_and_needs_nothing_else(made, tmp_path):
    out = tmp_path / "page.html"
    told = report_study(made.study, out, images=made.images)
    text = out.read_text()
    assert told[0].startswith("8 of 8 participants finished 64 rounds that count")
    assert all(each in text.replace("&#39;", "'") for each in told)
    assert "2 of 8 players look wrong" in told[-1]
    numbers = read_study(made.study).numbers
    for id, manner in made.manners.items():
        name = f"{numbers[id] + 1} ({id[:6]})"
        # in the table of players; who looks wrong is also told of twice
        assert text.count(name) >= (4 if manner in ("lazy", "bot") else 2)
        assert id not in text
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert addresses and all(each.startswith("data:image/") for each in addresses)
    assert len(text) < 2_000_000


def test_leaving_out_who_looks_wrong_raises_agreement(made, tmp_path):
    told = report_study(made.study, tmp_path / "page.html", images=made.images)
    after, before = map(float, re.search(r"then agree with (\S+), for (\S+)\.", told[-1]).groups())
    assert after > before


def test_a_page_of_who_all_play_well_names_nobody(tmp_path):
    made = make_study(tmp_path, ["painter"] * 4, n_images=6, n_rounds=4)
    told = report_study(made.study, tmp_path / "page.html", images=made.images)
    assert told[-1] == "Nobody looks wrong (suspicion above 0.5)."
    assert "How who looks wrong played" not in (tmp_path / "page.html").read_text()


def test_a_single_players_page_says_that_agreement_is_not_known(tmp_path):
    made = make_study(tmp_path, ["painter"], n_images=6, n_rounds=3)
    told = report_study(made.study, tmp_path / "page.html", images=made.images)
    assert "No image has two players yet, so how far they agree is not known." in told


def test_names_of_images_and_folders_are_escaped(copied, tmp_path):
    study = copied.study.rename(copied.study.with_name("<script>alert(1)"))
    report_study(study, tmp_path / "page.html", images=copied.images)
    assert "<script>" not in (tmp_path / "page.html").read_text()


def test_where_everybody_looks_wrong_all_are_kept_and_told_of(tmp_path):
    made = make_study(tmp_path, ["bot"] * 3, n_images=6, n_rounds=4)
    told = report_study(made.study, tmp_path / "page.html", images=made.images)
    assert told[-1].startswith("All 3 players look wrong")


def test_bad_input_leaves_the_page_as_it_was(copied, tmp_path):
    out = tmp_path / "page.html"
    report_study(copied.study, out, images=copied.images)
    before = out.read_bytes()
    for path in copied.images.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="images are gone or others than were shown"):
        report_study(copied.study, out, images=copied.images)
    change(copied.study, "PRAGMA user_version = 9")
    with pytest.raises(ValueError, match="another version"):
        report_study(copied.study, out, images=copied.images)
    with pytest.raises(IsADirectoryError):
        report_study(copied.study, tmp_path, images=copied.images)
    assert out.read_bytes() == before


def test_what_is_no_page_of_ours_is_not_replaced(copied, tmp_path):
    mine = tmp_path / "notes.html"
    mine.write_text("<!doctype html>my notes")
    for file in (mine, copied.study / "study.sqlite"):
        before = file.read_bytes()
        with pytest.raises(FileExistsError, match=f"{file.name} is there already, and not what"):
            report_study(copied.study, file, images=copied.images)
        assert file.read_bytes() == before
