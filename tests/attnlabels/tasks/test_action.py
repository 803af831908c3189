import numpy as np
import pytest

from attnlabels.shards.clips import Clip, write_clips
from attnlabels.tasks.action import SHOWN, differences, flow, frame, read


def moving(step: int, n: int = 4, size: int = 24) -> np.ndarray:
    """A textured square that moves so many pixels to the right a frame."""
    rng = np.random.default_rng(0)
    patch = rng.integers(80, 255, (10, 10, 3), np.uint8)
    frames = np.full((n, size, size, 3), 40, np.uint8)
    for t in range(n):
        frames[t, 7:17, 3 + step * t : 13 + step * t] = patch
    return frames


def test_a_frame_is_the_middle_one():
    frames = moving(2)
    assert np.array_equal(frame(frames), frames[2].transpose(2, 0, 1).astype(np.float32) / 255)


def test_differences_are_nothing_where_nothing_moves():
    assert not differences(moving(0)).any()
    found = differences(moving(2))
    assert found.shape == (3, 24, 24) and found.dtype == np.float32
    assert found[:, 9:15].any() and not found[:, :6].any()


def test_flow_is_the_way_that_things_go():
    found = flow(moving(2))
    assert found.shape == (6, 24, 24)
    for t in range(3):
        across, down = found[2 * t], found[2 * t + 1]
        inside = (slice(9, 15), slice(6 + 2 * t, 11 + 2 * t))
        assert across[inside].mean() * 5 == pytest.approx(2, abs=0.6)
        assert abs(down[inside].mean() * 5) < 0.5


@pytest.fixture
def folder(tmp_path):
    clips = [
        Clip(
            key=f"c{i}",
            frames=moving(i % 2 + 1),
            map=np.eye(24, dtype=np.float32),
            points=np.array([[0, 3, 4], [1, 5, 6]]),
            label=i % 2,
            source="test",
            name=f"{i}",
        )
        for i in range(4)
    ]
    maps_by = {"kind": "human"}
    write_clips(tmp_path / "out", clips, maximum_count=3, maps_by=maps_by, classes=["a", "b"])
    return tmp_path / "out"


@pytest.mark.parametrize(("shown", "channels"), [*zip(SHOWN, (3, 3, 6))])
def test_clips_are_read_as_a_stream(folder, shown, channels):
    examples = read(folder, shown=shown, size=24, masks=None)
    assert examples.shown.shape == (4, channels, 24, 24)
    assert examples.target.tolist() == [0, 1, 0, 1] and examples.n_outputs == 2
    assert examples.points[0].tolist() == [[3, 4], [5, 6]]
    assert examples.pictures.shape == (4, 24, 24, 3)


def test_frames_of_another_size_are_refused(folder):
    with pytest.raises(ValueError, match="frames of 24 x 24; expected 20 x 20"):
        read(folder, shown="frame", size=20, masks=None)
