import json
from pathlib import Path

import pytest

import teach_from_play
from attnlabels import load_teacher
from attnlabels.images.decoding import read_image
from gathered_study import make_study

ROW = {"suspicion": 0.5, "sigma": 0.08, "side": 32, "epochs": 1, "seed": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("played")
    return make_study(folder, ["painter"] * 4 + ["bot"], n_images=14, n_rounds=12)


def test_a_teacher_is_trained_on_what_was_painted_and_scored(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", "scratch")
    Path("params.yaml").write_text(json.dumps({"threads": 1, "teach_from_play": ROW}))
    teach_from_play.main(made.study, made.images, Path("own.safetensors"), Path("report.json"))
    told = json.loads(Path("report.json").read_text())
    assert told["players"] == 4 and told["rounds"] == 4 * 12  # the bot is left out
    assert sum(told["images"].values()) == 14
    assert {*told["val"]["teacher"]} >= {"cc", "nss", "auc"} and "centre_prior" in told["val"]
    map = load_teacher(Path("own.safetensors"))(read_image(next(made.images.rglob("*.png"))))
    assert map.max() > 0
