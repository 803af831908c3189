import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import play_game
from attnlabels.gathered.study import read_study
from painted import write_classifier, write_painted_pictures

ROW: dict[str, Any] = {
    "settings": {
        "rounds": 3,
        "practice": 1,
        "repeat_share": 0.34,
        "repeat_gap": 0,
        "paint": {"bubble_px": 2, "patch_px": 3, "guess_every": 30, "seconds": 3.0},
    },
    "players": {"painter": 2, "bot": 1},
    "part_share": [0.7, 0.9],
    "pace": [0.7, 1.0],
    "adaptive": True,
    "seed": 0,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = write_painted_pictures(tmp_path_factory.mktemp("painted"))
    write_classifier(folder / "partner.safetensors")
    return folder


@pytest.fixture
def play_all(world, tmp_path, monkeypatch):
    """Plays a study, with changes to ROW; the folder."""
    monkeypatch.chdir(tmp_path)

    def call(out: str = "study", **changed: Any) -> Path:
        row = ROW | changed
        Path("params.yaml").write_text(json.dumps({"threads": 1, "play_game": {"row": row}}))
        play_game.main(
            "row",
            world / "images",
            world / "object",
            world / "part",
            world / "partner.safetensors",
            Path(out),
            Path(f"{out}.csv"),
        )
        return Path(out)

    return call


def rounds(study: Path) -> list[Any]:
    """What a study holds, but for the dates."""
    return [
        (
            [each.participant, each.image.number, each.kind, each.outcome, each.score],
            [each.guesses, each.samples.t.tolist(), each.samples.xy.tolist()],
            each.samples.event,
        )
        for each in read_study(study).rounds
    ]


def test_players_take_part_and_nothing_is_doubtful(play_all):
    folder = play_all()
    study, told = read_study(folder), pd.read_csv("study.csv")
    assert sorted(told["manner"]) == ["bot", "painter", "painter"]
    assert {*told["participant"]} == {*study.participants}
    assert len(study.rounds) == 3 * 4 and study.unfinished == 0
    assert not any(each.checks for each in study.rounds)
    assert study.reach == 2 and study.settings["rounds"] == 3
    assert all(each.guesses for each in study.rounds)
    for each in study.rounds:
        right = [guess for guess in each.guesses if guess.top[0][0] == each.image.label]
        assert each.outcome == ("recognised" if right else "timeout")
        assert each.samples.event.count("bubble") >= each.guesses[-1].n
    assert {each.name for each in folder.iterdir()} == {
        ".attnlabels",
        "consent.md",
        "images.csv",
        "study.sqlite",
        "study.yaml",
        "texts.yaml",
    }


def test_the_same_row_gives_the_same_rounds_and_another_seed_others(play_all):
    first = rounds(play_all("one"))
    assert first == rounds(play_all("two"))
    assert first != rounds(play_all("three", seed=1))


def test_who_is_not_adaptive_asks_nobody(play_all):
    study = read_study(play_all(adaptive=False))
    assert all(each.outcome == "timeout" and not each.guesses for each in study.rounds)
    assert {each.duration_ms for each in study.rounds} == {3000.0}


@pytest.mark.parametrize("task", ["peek", "look"])
def test_the_other_tasks_are_played_too(play_all, task):
    settings = ROW["settings"] | {"task": task}
    study = read_study(play_all(settings=settings, adaptive=False))
    assert {each.task for each in study.rounds} == {task}
    assert {each.outcome for each in study.rounds} == {"done"}
    assert not any(each.checks for each in study.rounds)


def test_a_row_that_does_not_fit_leaves_nothing(play_all):
    with pytest.raises(ValueError, match="play_game.row.players.dancer"):
        play_all(players={"dancer": 1})
    with pytest.raises(ValueError, match="study.yaml.paint.bubble is unknown"):
        play_all(settings={"paint": {"bubble": 2}})
    with pytest.raises(ValueError, match="part_share"):
        play_all(part_share=[0.9, 0.1])
    assert not Path("study").exists() and not Path("study.csv").exists()
