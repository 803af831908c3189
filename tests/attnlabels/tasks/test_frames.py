from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.shards.clips import Clip
from attnlabels.tasks.frames import draw_clips, list_clips, read_gaze

GAZE = "clip,frame,x,y\nrun/a,0,3,2\nrun/a,2,3,2\nwalk/b,1,9,4\n"


@pytest.fixture
def root(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("run/a", "walk/b"):
        (tmp_path / name).mkdir(parents=True)
        for t in range(3):
            image = rng.integers(0, 255, (8, 12, 3), np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{t}.png"), image)
    (tmp_path / "gaze.csv").write_text(GAZE)
    return tmp_path


def clips(root: Path) -> list[Clip]:
    listed = list_clips(root)
    gaze = read_gaze(root / "gaze.csv", listed)
    options = {"classes": ["run", "walk"], "sigma_px": 1.0, "map_size": (8, 12)}
    return [*draw_clips(listed, gaze, **options)]


def test_frames_are_in_order_and_maps_are_of_all_frames(root):
    first, second = clips(root)
    assert [each["label"] for each in (first, second)] == [0, 1]
    assert first["frames"].shape == (3, 8, 12, 3)
    last = cv2.imread(str(root / "run/a/2.png"))[..., ::-1]
    assert np.array_equal(first["frames"][2], last)
    assert first["points"].tolist() == [[0, 2, 3], [2, 2, 3]]  # (frame, row, col)
    assert np.unravel_index(first["map"].argmax(), (8, 12)) == (2, 3)


def test_clips_of_one_frame_and_of_unequal_length_are_named(root):
    (root / "walk/b/2.png").unlink()
    with pytest.raises(ValueError, match="walk/b has 2 frames, run/a 3; cut all alike"):
        list_clips(root)
    (root / "walk/b/1.png").unlink()
    with pytest.raises(ValueError, match="walk/b has 1 frames; a clip has two or more"):
        list_clips(root)


def test_a_frame_that_is_broken_or_of_another_size_is_named(root):
    whole = (root / "run/a/1.png").read_bytes()
    (root / "run/a/1.png").write_bytes(whole[:60])
    with pytest.raises(ValueError, match=r"run/a/1\.png"):
        clips(root)
    cv2.imwrite(str(root / "run/a/1.png"), np.zeros((8, 11, 3), np.uint8))
    with pytest.raises(ValueError, match=r"run/a/1\.png: of another size than 0\.png"):
        clips(root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run/z,0,1,1", "gaze.csv:5: gaze for run/z, frame 0, which is not there"),
        ("run/a,3,1,1", "gaze.csv:5: gaze for run/a, frame 3, which is not there"),
        ("run/a,0,1", "gaze.csv:5: expected a clip, and three numbers"),
        ("run/a,0,x,1", "gaze.csv:5: expected a clip, and three numbers"),
        ("run/a,0,12,1", "run/a: points run from"),
    ],
    ids=["clip", "frame", "short", "letters", "outside"],
)
def test_gaze_that_does_not_fit_is_named(root, line, message):
    (root / "gaze.csv").write_text(f"{GAZE}{line}\n")
    with pytest.raises(ValueError, match=message):
        clips(root)


def test_a_clip_that_nobody_looked_at_is_named(root):
    (root / "gaze.csv").write_text("clip,frame,x,y\nrun/a,0,3,2\n")
    with pytest.raises(ValueError, match="walk/b: nobody looked at it"):
        clips(root)


def test_what_is_not_there_is_named(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        list_clips(root / "none")
    (root / "empty").mkdir()
    with pytest.raises(ValueError, match="no clip"):
        list_clips(root / "empty")
    with pytest.raises(FileNotFoundError, match="no table of gaze"):
        read_gaze(root / "none.csv", {})
    (root / "gaze.csv").write_text("clip,x,y\n")
    with pytest.raises(ValueError, match="expected the columns clip, frame, x, y"):
        read_gaze(root / "gaze.csv", {})
