import json
from pathlib import Path

import pandas as pd
import pytest

from attnlabels.metrics.alignment import SCORES
from attnlabels.models.files import read_config, write_weights
from attnlabels.teachers.released import CARD, WEIGHTS
from attnlabels.teachers.trained import read_trained
from release_teacher import main, render

ROOT = Path(__file__).parents[1]
PARAMS = {
    "threads": 1,
    "teacher": {"taps": [3, 5, 7, 9]},
    "prepare_attention": {"eye": {"sigma_px": 24.0, "sigma_width": 800}},
    "split_attention": {"teachers": {"mouse": {"mouse": 1.0}, "all": {"eye": 1.0, "mouse": 2.0}}},
    "train_teacher": {
        "image_size": [288, 384],
        "test_size": [320, 448],
        "epochs": 7,
        "learning_rate": 0.002,
        "final_rate": 0.5,
        "offset": -6.0,
        "batch_size": 16,
        "zoom": 0.75,
    },
    "release_teacher": {
        "teachers": {"mouse": "learnt from mice", "all": "learnt from everything"},
        "tested": ["a", "b"],
        "released": "whole",
        "photographs": 4,
    },
}
CC = {"mouse": [0.5, 0.6, 0.5, 0.6], "all": [0.6, 0.8, 0.6, 0.8]}


def rows(kind: str, numbers: range) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for i in numbers:
        other = {"set": "mouse", "image": f"{i}.jpg", "readout": "teacher"}
        found.append(other | dict.fromkeys(SCORES, -1.0))
        of = {"set": "eye", "image": f"{i}.jpg"}
        teacher = dict.fromkeys(SCORES, 2.0 + i) | {"cc": CC[kind][i]}
        found.append(of | {"readout": "teacher"} | teacher)
        found.append(of | {"readout": "centre_prior"} | dict.fromkeys(SCORES, 0.25))
        found.append(of | {"readout": "split_half", "cc": 0.8})
    return found


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch, teacher) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps(PARAMS))
    Path("scores").mkdir()
    Path("teachers").mkdir()
    for kind in CC:
        pd.DataFrame(rows(kind, range(2))).to_csv(f"scores/{kind}-a.csv", index=False)
        pd.DataFrame(rows(kind, range(2, 4))).to_csv(f"scores/{kind}-b.csv", index=False)
        config = read_config(teacher) | {"kind": kind}
        write_weights(
            Path(f"teachers/{kind}-whole.safetensors"), read_trained(teacher).teacher, config
        )


def release() -> dict[str, object]:
    words = ("teachers", "scores", "t.safetensors", "card.md", "scores.json")
    main(*map(Path, words))
    return json.loads(Path("scores.json").read_text())


def test_the_better_teacher_is_released_with_its_scores():
    found = release()
    assert Path("t.safetensors").read_bytes() == Path("teachers/all-whole.safetensors").read_bytes()
    assert found["released"] == "all" and found["n"] == 4
    # Mean and s / sqrt(n) by hand: 0.6, 0.8, 0.6, 0.8.
    assert found["all"]["teacher"]["cc"] == pytest.approx(
        {"mean": 0.7, "se": 0.11547 / 2}, abs=1e-5
    )
    assert found["mouse"]["teacher"]["cc"]["mean"] == pytest.approx(0.55)
    assert found["all"]["split_half"]["cc"]["mean"] == pytest.approx(0.8)
    assert found["all"]["split_half"]["cc_all_observers"] == pytest.approx(1.6 / 1.8)
    assert found["all"]["cc_above_prior"]["mean"] == pytest.approx(0.45)
    assert found["all-mouse"]["cc"] == pytest.approx({"mean": 0.15, "se": 0.057735 / 2}, abs=1e-5)
    assert "nss" not in found["all"]["split_half"]


def test_the_card_says_them():
    release()
    card = Path("card.md").read_text()
    assert "| learnt from everything **(this one)** | 0.700 ± 0.058 |" in card
    assert "| learnt from mice | 0.550 ± 0.029 |" in card
    assert "| half of the observers, by the others | 0.800 ± 0.000 | | |" in card
    lines = [line for line in card.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[:6]}) == 1


def test_the_card_that_travels_is_what_its_template_says_today(monkeypatch):
    monkeypatch.chdir(ROOT / "stages/release")
    scores = json.loads((ROOT / "metrics/release/scores.json").read_text())
    assert render(scores, WEIGHTS) == CARD.read_text()


def test_the_worse_one_is_not_released_where_all_do_harm(monkeypatch):
    for part in "ab":
        Path(f"scores/all-{part}.csv").write_bytes(Path(f"scores/mouse-{part}.csv").read_bytes())
    table = pd.read_csv("scores/mouse-a.csv")
    table.loc[table["readout"] == "teacher", "cc"] += 0.1
    table.to_csv("scores/mouse-a.csv", index=False)
    assert release()["released"] == "mouse"


def test_a_photograph_that_is_missing_or_scored_twice_is_refused():
    Path("scores/all-b.csv").write_bytes(Path("scores/all-a.csv").read_bytes())
    with pytest.raises(ValueError, match=r"0\.jpg is in two parts"):
        release()
    pd.DataFrame(rows("all", range(2, 3))).to_csv("scores/all-b.csv", index=False)
    with pytest.raises(ValueError, match="3 photographs scored, 4 expected"):
        release()
    assert not Path("t.safetensors").exists() and not Path("card.md").exists()
