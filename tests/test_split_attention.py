import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.images.names import fold_of
from attnlabels.shards.shards import Sample, Shards, verify, write_shards
from split_attention import main

NAMES = [f"{k}.png" for k in range(1001, 1041)]
MAPS_BY = {"kind": "human", "sigma_px": 1.0, "sigma_width": 8, "count": "binary", "border": "zeros"}
SPLIT = {
    "folds": 5,
    "teachers": {"mouse": {"mouse": 1.0}, "all": {"eye": 3.0, "mouse": 1.0}},
    "scored_on": ["mouse", "eye"],
    "parts": {"a": {"test": [0], "dev": [1]}, "whole": {"test": [], "dev": [0]}},
}


def image_of(name: str) -> bytes:
    pixels = np.full((6, 8, 3), int(Path(name).stem) % 256, np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def write(kind: str, names: list[str] = NAMES, **maps_by: object) -> None:
    """Recordings of one kind, each photograph's map a single cell: the eye's left, else right."""
    samples = [
        Sample(
            key=Path(name).stem,
            image=image_of(name),
            map=np.eye(1, 8, 0 if kind == "eye" else 7).repeat(6, 0).astype(np.float32),
            points=np.array([[0, 0 if kind == "eye" else 7]] * (2 if kind == "eye" else 3)),
            observers=np.arange(2 if kind == "eye" else 3),
            label=-1,
            grid=(6, 8),
            image_size=(6, 8),
            source=f"{kind}.json",
            name=name,
        )
        for name in names
    ]
    folder = Path("attention", kind)
    write_shards(folder, samples, maximum_count=50, maps_by=MAPS_BY | maps_by, classes=[])


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps({"split_attention": SPLIT}))
    write("eye")


def names_of(folder: str) -> list[str]:
    shards = Shards(Path(folder))
    return [shards[i]["name"] for i in range(len(shards))]


def test_a_photograph_is_learnt_or_chooses_the_epoch_or_is_scored():
    write("mouse")
    main("a", Path("attention"), Path("out"))
    by_fold = {fold: [x for x in NAMES if fold_of(x, 5) == fold] for fold in range(5)}
    assert all(by_fold.values())
    for teacher in ("mouse", "all"):
        assert names_of(f"out/{teacher}/dev") == by_fold[1]
        assert sorted(names_of(f"out/{teacher}/train")) == sorted(
            by_fold[2] + by_fold[3] + by_fold[4]
        )
    for recording in ("mouse", "eye"):
        assert names_of(f"out/scored/{recording}") == by_fold[0]
        verify(Path("out/scored", recording))
    main("whole", Path("attention"), Path("all"))
    assert not Path("all/scored").exists()
    assert len(names_of("all/all/train")) + len(names_of("all/all/dev")) == len(NAMES)


def test_the_density_is_the_weighted_mean_and_the_points_are_of_all():
    write("mouse")
    main("a", Path("attention"), Path("out"))
    sample = Shards(Path("out/all/train"))[0]
    assert sample["map"][:, 0] == pytest.approx(1.0)
    assert sample["map"][:, 7] == pytest.approx(1 / 3, abs=1e-4)
    assert sample["points"].tolist() == [[0, 0]] * 2 + [[0, 7]] * 3 and sample["observers"] is None
    about = Shards(Path("out/all/train")).index["maps_by"]
    assert about["recordings"] == {"eye": 3.0, "mouse": 1.0} and about["keep"] == [2, 3, 4]
    assert {key: about[key] for key in MAPS_BY} == MAPS_BY
    scored = Shards(Path("out/scored/eye"))[0]
    assert scored["observers"].tolist() == [0, 1] and scored["map"][0, 7] == 0


@pytest.mark.parametrize(
    ("names", "maps_by", "message"),
    [
        (NAMES[1:], {}, "40 photographs"),
        (["1000.png", *NAMES[1:]], {}, "1000.png where others have 1001.png"),
        (NAMES, {"sigma_px": 2.0}, "sigma_px"),
    ],
)
def test_recordings_of_other_photographs_or_drawn_otherwise_are_refused(names, maps_by, message):
    write("mouse", names, **maps_by)
    with pytest.raises(ValueError, match=message):
        main("a", Path("attention"), Path("out"))
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"test": [0], "dev": [0]}, "different folds"),
        ({"test": [0], "dev": [5]}, "of 0..4"),
        ({"test": [0, 1, 2, 3], "dev": [4]}, "not all"),
    ],
)
def test_folds_that_do_not_fit_are_refused(part, message):
    write("mouse")
    Path("params.yaml").write_text(json.dumps({"split_attention": SPLIT | {"parts": {"a": part}}}))
    with pytest.raises(ValueError, match=f"split_attention.parts.a.*{message}"):
        main("a", Path("attention"), Path("out"))


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match=r"parts\.b is missing; expected one of: a, whole"):
        main("b", Path("attention"), Path("out"))
