import io
import json
import tarfile

import numpy as np
import pytest
from webdataset.tariterators import group_by_keys, tar_file_expander

from attnlabels.shards.clips import Clip, Clips, write_clips
from attnlabels.shards.shards import Shards, decode_map


def a_clip(i: int, **changes) -> Clip:
    rng = np.random.default_rng(i)
    clip = Clip(
        key=f"clip{i}",
        frames=rng.integers(0, 256, (4, 8, 6, 3), np.uint8),
        map=rng.random((8, 6)).astype(np.float32),
        points=np.stack([rng.integers(0, n, 5) for n in (4, 8, 6)], axis=1),
        label=i % 2,
        source="made by the test",
        name=f"a/{i}",
    )
    return clip | changes


def write(folder, clips):
    maps_by = {"kind": "human"}
    write_clips(folder, clips, maximum_count=2, maps_by=maps_by, classes=["a", "b"])
    return folder


def test_what_is_written_is_read_again(tmp_path):
    written = [a_clip(i) for i in range(5)]
    clips = Clips(write(tmp_path / "out", written))
    assert (
        len(clips) == 5 and clips.classes == ["a", "b"] and clips.labels.tolist() == [0, 1, 0, 1, 0]
    )
    for i, clip in enumerate(written):
        read = clips[i]
        assert np.array_equal(read["frames"], clip["frames"])
        assert np.array_equal(read["points"], clip["points"])
        assert read["map"] == pytest.approx(clip["map"] / clip["map"].max(), abs=1e-4)
        assert {key: read[key] for key in ("key", "label", "source", "name")} == {
            key: clip[key] for key in ("key", "label", "source", "name")
        }


def test_webdataset_reads_them(tmp_path):
    write(tmp_path / "out", [a_clip(0), a_clip(1)])
    with open(tmp_path / "out/shard-000000.tar", "rb") as stream:
        files = tar_file_expander([{"url": "shard", "stream": stream}])
        first, second = group_by_keys(files)
    assert (first["__key__"], second["__key__"]) == ("clip0", "clip1")
    assert np.array_equal(np.load(io.BytesIO(first["frames.npy"])), a_clip(0)["frames"])
    assert decode_map(first["map.png"]).shape == (8, 6)
    assert json.loads(second["json"])["label"] == 1


def test_two_writings_are_the_same_bytes(tmp_path):
    one, other = (write(tmp_path / name, [a_clip(i) for i in range(3)]) for name in "ab")
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"key": "clip0"}, "key 'clip0'"),
        ({"key": "a.b"}, "key 'a.b'"),
        (
            {"frames": np.zeros((3, 8, 6, 3), np.uint8)},
            "clip1 has 3 frames of 8 x 6 .*first clip 4",
        ),
        ({"frames": np.zeros((4, 8, 6, 3))}, "clip1: frames are float64"),
        ({"label": 2}, "clip1: label 2 of 2 classes"),
        ({"points": np.array([[4, 0, 0]])}, "clip1: points outside of its frames"),
    ],
    ids=["twice", "dot", "short", "floats", "label", "points"],
)
def test_what_is_no_clip_is_named(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "out", [a_clip(0), a_clip(1, **changed)])


def test_photographs_are_no_clips_and_clips_no_photographs(tmp_path):
    write(tmp_path / "clips", [a_clip(0)])
    with pytest.raises(ValueError, match="sample 0, .* is none of ours"):
        _ = Shards(tmp_path / "clips")[0]


def test_damage_is_told(tmp_path):
    folder = write(tmp_path / "out", [a_clip(0), a_clip(1)])
    path = folder / "shard-000000.tar"
    with tarfile.open(path) as tar:
        at = tar.getmembers()[0].offset_data + 200
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="shard was cut, altered or put together anew"):
        _ = Clips(folder)[0]
    with pytest.raises(ValueError, match="at least 1"):
        write_clips(folder / "none", [], maximum_count=0, maps_by={"kind": "human"}, classes=[])
