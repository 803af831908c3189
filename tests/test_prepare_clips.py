from pathlib import Path

import cv2
import numpy as np
import pytest

import prepare_clips
from attnlabels.shards.clips import Clips
from tiny_tasks import tiny, write_params


@pytest.fixture
def frames(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params(tiny())
    rows = ["clip,frame,x,y"]
    for i, name in enumerate(("walk/a", "run/b", "run/c")):
        folder = tmp_path / "frames" / name
        folder.mkdir(parents=True)
        for t in range(2):
            cv2.imwrite(str(folder / f"{t}.png"), np.full((24, 24, 3), 40 * i + t, np.uint8))
            rows.append(f"{name},{t},{5 + i},{7 + t}")
    (tmp_path / "frames/gaze.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "frames"


def test_folders_of_frames_become_shards(frames):
    prepare_clips.main("train_people", frames, Path("out"))
    clips = Clips(Path("out"))
    assert clips.classes == ["run", "walk"] and clips.labels.tolist() == [0, 0, 1]
    assert [clips[i]["name"] for i in range(3)] == ["run/b", "run/c", "walk/a"]
    assert clips[0]["frames"][:, 0, 0, 0].tolist() == [40, 41]
    assert clips[0]["points"].tolist() == [[0, 7, 6], [1, 8, 6]]
    assert clips.shards.index["maps_by"]["kind"] == "human"


def test_clips_of_unequal_length_leave_nothing(frames, fail):
    (frames / "run/c/2.png").write_bytes((frames / "run/c/1.png").read_bytes())
    message = fail(prepare_clips, "train_people", frames, Path("out"))
    assert "run/c has 3 frames, run/b 2; cut all alike" in message
    assert not Path("out").exists()
