import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.shards.shards import Sample, write_shards
from draw_teacher import GAP, main


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch) -> None:
    """Recordings on three noisy photographs, one of them upright."""
    monkeypatch.chdir(tmp_path)
    samples = []
    for i, (h, w) in enumerate([(30, 40), (30, 40), (40, 20)]):
        pixels = np.random.default_rng(i).integers(0, 256, (h, w, 3), np.uint8)
        samples.append(
            Sample(
                key=str(i),
                image=cv2.imencode(".png", pixels)[1].tobytes(),
                map=np.eye(h, w, dtype=np.float32),
                points=np.array([[0, 0], [9, 9]]),
                observers=np.array([0, 1]),
                label=-1,
                grid=(h, w),
                image_size=(h, w),
                source="eye.json",
                name=f"{i}.png",
            )
        )
    maps_by = {"kind": "human", "sigma_px": 1.0, "sigma_width": 8}
    write_shards(Path("eye"), samples, maximum_count=9, maps_by=maps_by, classes=[])


def ask(*names: str) -> None:
    drawn = {"threads": 1, "draw_teacher": {"photographs": names, "side": 80}}
    Path("params.yaml").write_text(json.dumps(drawn))


def test_a_column_holds_the_photograph_and_both_attentions(teacher):
    ask("2.png", "0.png")
    main(teacher, Path("eye"), Path("a.jpg"))
    sheet = cv2.imread("a.jpg").astype(int)
    assert sheet.shape == (3 * 80 + 2 * GAP, 2 * 80 + GAP, 3)
    upright, lying = sheet[:, :40], sheet[: 3 * 60 + 2 * GAP, 80 + GAP :]
    for part in (upright, lying):
        tall = (len(part) - 2 * GAP) // 3
        photograph, people, taught = (part[i * (tall + GAP) :][:tall] for i in range(3))
        assert np.abs(photograph - people).mean() > 3 and np.abs(people - taught).mean() > 3
        assert part[tall + 1 : tall + GAP - 1].min() > 200  # white between them


def test_a_photograph_that_is_not_there_is_named(teacher):
    ask("0.png", "7.png")
    with pytest.raises(ValueError, match=r"eye: no photograph 7\.png"):
        main(teacher, Path("eye"), Path("a.jpg"))
    assert not Path("a.jpg").exists()
