import json
import math

import pytest
from PIL import Image

import compare_methods
from attnlabels.reporting.tables import read_tables

PARAMS = """
seeds: [0, 1, 2]
study_seeds: [7]
main: {contrastive: {}, contrastive_attn_teacher: {}}
methods: {byol: {}, byol_guided: {}, alone: {}}
make_tables:
  baseline: contrastive
  baselines: {}
  level: 0.95
compare_methods:
  baselines: {methods: null, byol_guided: byol}
"""
TOP1 = {
    "contrastive": (0.5, 0.6, 0.7),
    "contrastive_attn_teacher": (0.6, 0.7, 0.8),
    "byol": (0.1, 0.2, 0.3),
    "byol_guided": (0.2, 0.2, 0.5),
    "alone": (0.9, 0.9, 0.9),
}
PLACE = {name: "" if name.startswith("contrastive") else "methods" for name in TOP1}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Scores of two runs of `main` and three of `methods`; three seeds each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for name, scores in TOP1.items():
        for seed, top1 in enumerate(scores):
            cc = {"cc": top1 / 2}
            reports = {
                "train_simclr": {"probe": {"top1": 0.1}},
                "probe_linear": {"imagenet": {"top1": top1}},
                "score_retrieval": {"imagenet": {"map": 2 * top1}},
                "score_robustness": {"imagenet_c": {"mean": top1 / 10}},
                "align_attention": {"eye": {"refitted": cc, "as_trained": {"cc": 0.25}}},
            }
            for stage, report in reports.items():
                path = tmp_path / "metrics" / PLACE[name] / stage / f"{name}-{seed}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(report))
    return tmp_path


def compare(world):
    out = world / "comparison"
    compare_methods.main("main+methods", world / "metrics", out, world / "report.json")
    return json.loads((world / "report.json").read_text())


def test_each_guided_run_is_compared_with_its_own_baseline_by_seed(world):
    found = compare(world)
    assert list(found) == ["contrastive_attn_teacher", "byol_guided"]
    probe = found["byol_guided"]["probe_difference"]
    assert probe["mean"] == pytest.approx(0.1)  # of 0.1, 0 and 0.2
    assert probe["se"] == pytest.approx(0.1 / math.sqrt(3))
    assert found["byol_guided"]["probe_baseline"]["mean"] == pytest.approx(0.2)
    assert found["contrastive_attn_teacher"]["probe_difference"]["mean"] == pytest.approx(0.1)


def test_every_score_is_that_of_its_stage(world):
    row = compare(world)["byol_guided"]
    for key, share in {"map": 2, "corrupted": 0.1, "cc": 0.5}.items():
        assert row[f"{key}_difference"]["mean"] == pytest.approx(0.1 * share), key
        assert row[f"{key}_baseline"]["mean"] == pytest.approx(0.2 * share), key
    assert row["cc_as_trained_baseline"]["mean"] == 0.25


def test_there_are_a_table_and_a_figure(world):
    compare(world)
    (table,) = read_tables(world / "comparison/tables.json")
    assert [row.label for row in table.rows] == ["contrastive attn teacher", "byol guided"]
    assert table.rows[1].cells["probe_difference"].text == "0.1000 ± 0.0577"
    assert "byol guided | 0.2000 ± 0.0577" in (world / "comparison/guidance.md").read_text()
    with Image.open(world / "comparison/guidance.png") as figure:
        assert figure.size[0] > 500


def test_the_figure_shows_each_difference_where_it_is(world):
    compare(world)
    scores = {"probe_difference": compare_methods.Mean(3, 0.2, 0.05)}
    figure = compare_methods.draw({"one": scores, "other": {}})
    probe, *others = figure.axes
    points = [line for line in probe.lines if line.get_marker() == "o"]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in points] == [(0.2, 0)]
    assert not any(line.get_marker() == "o" for axes in others for line in axes.lines)
    assert [label.get_text() for label in probe.get_yticklabels()] == ["one", "other"]


def test_a_score_that_is_missing_stops_and_nothing_is_left(world):
    (world / "metrics/methods/probe_linear/byol-2.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"byol-2\.json is missing; run the stage probe_li"):
        compare(world)
    assert not (world / "comparison").exists()
