import pytest

from attnlabels.labelling.shares import alone_in, collect, end_share, is_finished
from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.world import joined
from attnlabels.shards.kept import keep_shard
from attnlabels.shards.shards import Shards


@pytest.fixture
def kept(write_labels, tmp_path):
    """A folder with two finished shards; an image was left out of the second."""
    labels = Shards(write_labels(tmp_path / "labels", seed=0))
    (tmp_path / "kept").mkdir()
    for name, rows, skipped in (("one.tar", range(4), []), ("two.tar", range(4, 6), ["x.png"])):
        samples = [labels[i] for i in rows]
        keep_shard(tmp_path / "kept" / name, samples, n_classes=3, images=tmp_path, skipped=skipped)
    return tmp_path / "kept"


def test_a_shard_is_finished_unless_what_it_left_out_is_to_stop(kept, tmp_path):
    assert is_finished(kept / "one.tar", tmp_path, broken="stop")
    assert is_finished(kept / "two.tar", tmp_path, broken="skip")
    assert not is_finished(kept / "two.tar", tmp_path, broken="stop")
    assert not is_finished(kept / "three.tar", tmp_path, broken="skip")
    (kept / "one.tar").write_bytes(b"cut")
    assert not is_finished(kept / "one.tar", tmp_path, broken="skip")


def test_what_can_be_read_by_now_is_read_if_an_image_was_left_out(kept, tmp_path, monkeypatch):
    monkeypatch.setattr("attnlabels.shards.kept.readable", lambda: ("JPEG", "HEIF"))
    assert is_finished(kept / "one.tar", tmp_path, broken="skip")
    assert not is_finished(kept / "two.tar", tmp_path, broken="skip")


def test_finished_shards_are_put_together_with_what_was_left_out(kept, tmp_path):
    about = {"maps_by": {"kind": "teacher"}, "classes": ["a", "b", "c"], "skipped": ["notes.txt"]}
    collect(kept, tmp_path / "out", ["one.tar", "two.tar"], **about)
    shards = Shards(tmp_path / "out")
    names = [each["name"] for each in shards.index["shards"]]
    assert names == ["shard-000000.tar", "shard-000001.tar"] and len(shards) == 6
    assert shards.index["skipped"] == ["notes.txt", "x.png"]


def test_one_run_at_a_time_is_in_a_scratch_and_the_last_ones_remains_go(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path))
    scratch = Scratch("mine")
    scratch.folder.mkdir()
    for left in ("shard.tar.part", "done-0"):
        (scratch.folder / left).touch()
    with joined() as world, alone_in(scratch, world):
        assert [path.name for path in scratch.folder.iterdir()] == ["lock"]
        other = Scratch("mine")
        message = "is in use: another process is at the same run"
        with pytest.raises(ValueError, match=message), alone_in(other, world):
            pass
        end_share(scratch.folder, world)
        assert (scratch.folder / "done-0").is_file()
