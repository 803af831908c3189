import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import score_play
from gathered_study import CLASSES, make_study

ROW = {"blur": "box_49", "suspicion": 0.5, "permutations": 1000, "seed": 0}
SCORES = {"cc": 0.6, "nss": 1.5, "auc": 0.8}
TAUGHT = {
    "val": {
        "teacher": SCORES,
        "centre_prior": {key: value / 2 for key, value in SCORES.items()},
        "split_half": {"cc": 0.7, "cc_all_observers": 0.8},
    },
    "cc_above_prior": {"mean": 0.3, "se": 0.05, "p": 0.001},
}
MANNERS = ("painter",) * 6 + ("colourist", "lazy", "random", "bot")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Two studies of the same images, who played them, and masks of parts."""
    folder = tmp_path_factory.mktemp("played")
    made = make_study(folder, MANNERS, n_images=12, n_rounds=10, name="crowd")
    free = make_study(
        folder, ["painter"] * 4, n_images=12, n_rounds=10, name="free", adaptive=False
    )
    (folder / "players").mkdir()
    for each in (made, free):
        with (folder / "players" / f"{each.study.name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerows([("participant", "manner"), *each.manners.items()])
    for i, scene in enumerate(made.scenes):
        path = folder / "parts" / CLASSES[scene.label] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.rint(255 * scene.part).astype(np.uint8))
    (folder / "taught.json").write_text(json.dumps(TAUGHT))
    return folder


def score(world: Path) -> None:
    Path("params.yaml").write_text(json.dumps({"threads": 1, "score_play": ROW}))
    score_play.main(
        world / "crowd",
        world / "free",
        world / "players",
        world / "images",
        world / "parts",
        world / "taught.json",
        Path("tables"),
        Path("report.json"),
        Path("page.html"),
    )


def test_what_players_show_is_told_in_numbers_tables_and_a_page(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    score(world)
    told = json.loads(Path("report.json").read_text())
    assert {*told} == {"agreement", "growth", "ways", "quality", "teacher", "made_by"}
    pair, null = (
        told["agreement"]["without the suspected"][key] for key in ("two players", "null")
    )
    assert pair["mean"] > null["mean"]
    for manner in ("lazy", "random", "bot"):
        assert told["quality"][manner]["AUC"] >= 0.9
    area = {name: row["area uncovered"]["mean"] for name, row in told["ways"].items()}
    assert area["free, to the end"] > 2 * area["adaptive"]
    assert area["free, for as long"] == pytest.approx(area["adaptive"], rel=0.3)
    assert {each.stem for each in Path("tables").glob("*.csv")} == {*told} - {"made_by"}
    page = Path("page.html").read_text()
    assert "above the centre prior by 0.30" in page and page.count("<img") > 8


def test_without_who_played_one_is_told(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "players").mkdir()
    for name in ("crowd", "free", "images", "parts", "taught.json"):
        (tmp_path / name).symlink_to(world / name)
    with pytest.raises(FileNotFoundError, match="crowd.csv: who played is not told"):
        score(tmp_path)
    assert not Path("page.html").exists()
