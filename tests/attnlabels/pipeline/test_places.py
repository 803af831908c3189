import json
import os
import shutil
from pathlib import Path

import pytest

from attnlabels.pipeline.places import (
    MARK,
    SHORT,
    place_of_file,
    place_of_folder,
    require_ours,
    settle,
)
from attnlabels.pipeline.writing import replacing, replacing_folder


def write(folder: Path, text: str = "one") -> None:
    """A folder as this program makes one."""
    with replacing_folder(folder) as aside:
        (aside / "in").mkdir(parents=True)
        (aside / "in" / "a.txt").write_text(text)


def texts(folder: Path) -> dict[str, str]:
    files = [each for each in folder.rglob("*") if each.is_file() and each.name != MARK]
    return {str(each.relative_to(folder)): each.read_text() for each in files}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of the user's."""
    (tmp_path / "theirs" / "deep").mkdir(parents=True)
    (tmp_path / "theirs" / "deep" / "thesis.tex").write_text("years")
    return tmp_path / "theirs"


def test_a_file_never_takes_a_folders_place_whoever_made_it(theirs, tmp_path):
    write(tmp_path / "ours")
    (tmp_path / "empty").mkdir()
    for folder in (theirs, tmp_path / "ours", tmp_path / "empty"):
        before = texts(folder)
        said = f"{folder.name} is a folder; name a file in it"
        with pytest.raises(IsADirectoryError, match=said), replacing(folder) as aside:
            aside.write_text("one")
        assert folder.is_dir() and texts(folder) == before


def test_only_a_folder_that_was_written_so_is_replaced(theirs, tmp_path):
    with pytest.raises(FileExistsError, match="theirs holds deep/thesis.tex, which attnlabels did"):
        write(theirs)
    assert texts(theirs) == {"deep/thesis.tex": "years"}
    write(tmp_path / "ours")
    write(tmp_path / "ours", "two")
    assert texts(tmp_path / "ours") == {"in/a.txt": "two"}


@pytest.mark.parametrize(
    "change",
    [
        lambda ours: (ours / "notes.txt").write_text("mine"),
        lambda ours: (ours / "in" / "a.txt").write_text("one, and my own words"),
        lambda ours: (ours / "mine").mkdir(),
        lambda ours: (ours / "link").symlink_to(ours.parent / "theirs"),
        lambda ours: (ours / MARK).unlink(),
        lambda ours: (ours / MARK).write_text("[]"),
    ],
)
def test_what_somebody_put_in_or_changed_is_kept(theirs, tmp_path, change):
    ours = tmp_path / "ours"
    write(ours)
    change(ours)
    before = texts(ours)
    with pytest.raises(FileExistsError, match="ours holds "):
        write(ours, "two")
    assert texts(ours) == before and texts(theirs) == {"deep/thesis.tex": "years"}


def test_the_mark_goes_where_its_folder_goes(tmp_path):
    write(tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / MARK).read_text())["files"] == {"in/a.txt": 3}
    shutil.copytree(tmp_path / "ours", tmp_path / "copy")
    (tmp_path / "copy").rename(tmp_path / "moved")
    write(tmp_path / "moved", "two")
    assert texts(tmp_path / "moved") == {"in/a.txt": "two"}


@pytest.mark.parametrize("there", [True, False])
def test_links_are_followed_and_stay(tmp_path, there):
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "target"
    link = tmp_path / "link"
    link.symlink_to(Path("disk/target"))
    if there:
        target.mkdir()
    write(link)
    assert link.is_symlink() and texts(target) == {"in/a.txt": "one"}
    file = tmp_path / "file"
    file.symlink_to(Path("disk/file.txt"))
    with replacing(file) as aside:
        aside.write_text("text")
    assert file.is_symlink() and (tmp_path / "disk" / "file.txt").read_text() == "text"
    assert {each.name for each in tmp_path.iterdir()} == {"disk", "link", "file"}
    assert {each.name for each in (tmp_path / "disk").iterdir()} == {"target", "file.txt"}


def test_a_link_into_what_is_read_only_is_not_written_through(tmp_path):
    (tmp_path / "cached").write_text("by its checksum")
    (tmp_path / "cached").chmod(0o444)
    (tmp_path / "out").symlink_to("cached")
    with pytest.raises(PermissionError, match="out links to a file that is read only; remove the"):
        settle(tmp_path / "out")


def test_what_can_take_no_result_is_told_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="file is a file; name a folder"):
        place_of_folder(tmp_path / "file")
    for place in (place_of_file, place_of_folder):
        with pytest.raises(NotADirectoryError, match="file is a file and no folder; name another"):
            place(tmp_path / "file" / "new" / "out")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(FileExistsError, match="the current folder .* name a folder in it, such as"):
        place_of_folder(Path())
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(PermissionError, match=r"out: nothing can be written in .*; name another"):
        settle(tmp_path / "new" / "out")


def test_an_empty_folder_alone_will_do_where_none_may_be_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    assert place_of_folder(tmp_path / "empty", replace=False) == tmp_path / "empty"
    write(tmp_path / "ours")
    with pytest.raises(FileExistsError, match="ours is there already; name another"):
        place_of_folder(tmp_path / "ours", replace=False)


def test_a_folder_of_another_kind_is_not_replaced_though_it_was_written_so(tmp_path):
    ours = tmp_path / "ours"
    write(ours)
    with pytest.raises(FileExistsError, match="ours holds something else than is written now"):
        place_of_folder(ours, of="README.md")
    assert place_of_folder(ours, of="in/a.txt") == ours
    (tmp_path / "empty").mkdir()
    place_of_folder(tmp_path / "empty", of="README.md")


def test_where_its_user_chose_the_place_a_change_that_is_as_long_is_seen(tmp_path):
    ours = tmp_path / "ours"
    for text in ("one", "two"):  # what nobody changed is replaced
        with replacing_folder(ours, of="card.md") as aside:
            aside.mkdir()
            (aside / "card.md").write_text(text)
            (aside / "weights").write_bytes(bytes(SHORT + 1))
            (aside / "link").symlink_to("nowhere")
    (ours / "weights").write_bytes(b"1" * (SHORT + 1))  # too long to be anybody's words
    place_of_folder(ours, of="card.md")
    (ours / "card.md").write_text("due")
    with pytest.raises(FileExistsError, match=r"ours holds card\.md, which .* has changed since"):
        place_of_folder(ours, of="card.md")


def test_a_file_is_replaced_by_its_like_alone(tmp_path):
    file = tmp_path / "a.csv"
    require_ours(file, lambda data: False)
    file.write_text("x,y")
    require_ours(file, lambda data: data == b"x,y")
    with pytest.raises(FileExistsError, match="a.csv is there already, and not what is written"):
        require_ours(file, lambda data: data == b"y,x")
