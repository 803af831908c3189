import builtins
import errno
import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from attnlabels.processes.checkpoint import InUse, Scratch, alone_at, fingerprint


@dataclass
class Parameters:
    rate: float
    size: tuple[int, int]


@pytest.fixture
def files(tmp_path):
    for name, text in (("train.py", "code"), ("loss.py", "more code"), ("index.json", "data")):
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in ("train.py", "loss.py", "index.json")]


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    return Scratch("run-1")


def parameters(**changed):
    return [vars(Parameters(**({"rate": 0.1, "size": (1, 2)} | changed))), 0]


def test_the_fingerprint_is_a_name_that_stays(files):
    first = fingerprint(parameters(), files)
    assert first == fingerprint(parameters(), files) and len(first) == 32 and first.isalnum()


def test_neither_the_order_of_files_nor_that_of_keys_counts(files):
    first = fingerprint({"a": 1, "b": 2}, files)
    assert first == fingerprint({"b": 2, "a": 1}, reversed(files))


def test_a_record_counts_by_its_values(files):
    one, other = Parameters(0.1, (1, 2)), Parameters(0.1, (1, 3))
    assert fingerprint([one], files) == fingerprint([vars(one)], files)
    assert fingerprint([one], files) != fingerprint([other], files)


def test_a_copy_of_the_project_elsewhere_has_the_same_fingerprint(files, tmp_path):
    copies = tmp_path / "copy" / "of"
    copies.mkdir(parents=True)
    for file in files:
        (copies / file.name).write_bytes(file.read_bytes())
    copied = [copies / file.name for file in files]
    assert fingerprint(parameters(), copied) == fingerprint(parameters(), files)


@pytest.mark.parametrize("changed", [{"rate": 0.2}, {"size": (2, 1)}])
def test_it_changes_with_each_parameter(files, changed):
    assert fingerprint(parameters(**changed), files) != fingerprint(parameters(), files)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_it_changes_with_each_file_of_code_and_data(files, which):
    first = fingerprint(parameters(), files)
    files[which].write_text(files[which].read_text() + " ")
    assert fingerprint(parameters(), files) != first


def test_it_changes_with_a_file_more_and_a_file_renamed(files):
    first = fingerprint(parameters(), files)
    assert fingerprint(parameters(), files[1:]) != first
    renamed = files[0].rename(files[0].with_name("fit.py"))
    assert fingerprint(parameters(), [renamed, *files[1:]]) != first


def test_text_does_not_wander_between_two_files(files):
    first = fingerprint(parameters(), files)
    files[0].write_text("codem")
    files[1].write_text("ore code")
    assert fingerprint(parameters(), files) != first


def test_a_run_without_state_has_none(scratch):
    assert scratch.read() is None


def test_what_was_written_last_is_read(scratch):
    for step in (1, 2):
        scratch.write({"weights": {"w": torch.full((2, 3), step)}, "step": step, "losses": [0.5]})
    state = scratch.read()
    assert state["step"] == 2 and state["losses"] == [0.5]
    assert torch.equal(state["weights"]["w"], torch.full((2, 3), 2))
    assert [each.name for each in scratch.folder.iterdir()] == ["state.pt"]


def test_a_state_that_cannot_be_saved_leaves_the_old_one(scratch, monkeypatch):
    scratch.write({"step": 1})

    def half(state, file):
        file.write(b"half of a state")
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(RuntimeError, match="memory"):
        scratch.write({"step": 2})
    assert scratch.read() == {"step": 1}
    assert [each.name for each in scratch.folder.iterdir()] == ["state.pt"]


def test_a_full_disk_leaves_the_old_state_and_nothing_else(scratch, monkeypatch):
    scratch.write({"step": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"state\.pt: .*no space left.*; make room, or set"):
        scratch.write({"step": 2})
    assert scratch.read() == {"step": 1}
    assert [each.name for each in scratch.folder.iterdir()] == ["state.pt"]


def test_a_kill_before_the_move_leaves_the_old_state(scratch, monkeypatch):
    scratch.write({"step": 1})

    def killed(aside, file):
        assert torch.load(aside, weights_only=True) == {"step": 2}  # whole before it is moved
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        scratch.write({"step": 2})
    assert scratch.read() == {"step": 1}


def test_a_state_that_was_cut_short_is_named_with_the_cure(scratch):
    scratch.write({"weights": torch.zeros(1000)})
    whole = scratch.file.read_bytes()
    for length in (0, 10, len(whole) // 2):
        scratch.file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"state\.pt: no whole training state .*remove it"):
            scratch.read()


def test_a_cleared_run_begins_again(scratch):
    scratch.write({"step": 1})
    scratch.clear()
    assert scratch.read() is None and not scratch.folder.exists()
    scratch.clear()  # a run that never wrote


def test_runs_do_not_share_their_state(scratch):
    scratch.write({"step": 1})
    assert Scratch("run-2").read() is None and Scratch("run-1").read() == {"step": 1}


@pytest.mark.parametrize(
    "scratch_folder, cache, expected",
    [
        ("/s", "/c", "/s/run"),
        ("/s", None, "/s/run"),
        (None, "/c", "/c/attnlabels/run"),
        ("", "/c", "/c/attnlabels/run"),
        (None, None, "/h/.cache/attnlabels/run"),
        (None, "", "/h/.cache/attnlabels/run"),
    ],
)
def test_the_folder_follows_the_environment(monkeypatch, scratch_folder, cache, expected):
    monkeypatch.setenv("HOME", "/h")
    for name, value in (("ATTNLABELS_SCRATCH", scratch_folder), ("XDG_CACHE_HOME", cache)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert Scratch("run").folder == Path(expected)


def test_a_user_without_a_home_is_told_of_the_variable(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("ATTNLABELS_SCRATCH", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OSError, match="no home folder.*; set ATTNLABELS_SCRATCH to a folder"):
        Scratch("run")
    monkeypatch.setenv("ATTNLABELS_SCRATCH", "/s")  # which needs no home
    assert Scratch("run").folder == Path("/s/run")


def test_a_scratch_that_cannot_be_written_is_one_line_with_the_variable(scratch, tmp_path):
    (tmp_path / "scratch").write_text("a file in the folder's place")
    for use in (scratch.lock, lambda: scratch.write({"step": 1})):
        with pytest.raises(OSError, match=r"run-1.*: cannot be written \(Not a directory\); set A"):
            use()
    scratch.unlock()  # of what was never locked


def test_a_folder_that_another_process_removed_meanwhile_is_no_error(scratch, monkeypatch):
    scratch.lock()
    rmdir = Path.rmdir

    def removed_before(folder):
        rmdir(folder)
        rmdir(folder)

    monkeypatch.setattr(Path, "rmdir", removed_before)
    scratch.unlock()
    assert not scratch.folder.exists()


def test_who_opened_the_lock_of_one_that_ended_does_not_hold_that_of_the_next(scratch, monkeypatch):
    first, next = Scratch(scratch.folder.name), Scratch(scratch.folder.name)
    first.lock()
    flock = fcntl.flock

    def after_the_next_came(lock, how):
        monkeypatch.setattr(fcntl, "flock", flock)
        first.unlock()
        next.lock()
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", after_the_next_came)
    with pytest.raises(InUse):
        scratch.lock()
    next.unlock()
    scratch.lock()
    scratch.unlock()


def test_a_run_that_is_cleared_keeps_its_lock_until_it_lets_go(scratch):
    other = Scratch(scratch.folder.name)
    scratch.lock()
    scratch.write({"step": 1})
    scratch.clear()
    assert scratch.read() is None
    with pytest.raises(InUse):
        other.lock()
    scratch.unlock()
    other.lock()
    scratch.clear()  # after it let go, as trainings do
    with pytest.raises(InUse):
        scratch.lock()
    other.unlock()
    assert not scratch.folder.exists()


@pytest.mark.parametrize("removed", ["before it is opened", "before it is held"])
def test_who_comes_as_another_ends_has_the_lock(scratch, monkeypatch, removed):
    ending = Scratch(scratch.folder.name)
    ending.lock()
    module, name = (builtins, "open") if removed == "before it is opened" else (fcntl, "flock")
    plain = getattr(module, name)

    def after_the_end(*about):
        monkeypatch.setattr(module, name, plain)
        ending.unlock()
        return plain(*about)

    monkeypatch.setattr(module, name, after_the_end)
    scratch.lock()
    with pytest.raises(InUse):
        ending.lock()
    scratch.unlock()
    assert not scratch.folder.exists()


def test_one_at_a_time_is_alone_at_a_file_and_the_others_wait(tmp_path):
    count, lock = tmp_path / "count", tmp_path / ".lock"
    count.write_text("0")

    def add(_):
        with alone_at(lock):
            before = int(count.read_text())
            time.sleep(0.002)  # in which all others would read the same
            count.write_text(str(before + 1))

    with ThreadPoolExecutor(8) as pool:
        assert len([*pool.map(add, range(40))]) == 40
    assert count.read_text() == "40" and [*tmp_path.iterdir()] == [count]


def test_a_file_that_a_killed_one_was_alone_at_is_taken_and_a_failure_frees_it(tmp_path):
    (tmp_path / ".lock").touch()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), alone_at(tmp_path / ".lock"):
            assert (tmp_path / ".lock").exists()
            1 / 0  # noqa: B018
        assert not [*tmp_path.iterdir()]


def test_where_there_are_no_locks_none_is_kept_out(tmp_path, monkeypatch):
    def without(lock, how):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", without)
    with alone_at(tmp_path / ".lock"):
        pass
    assert not [*tmp_path.iterdir()]
