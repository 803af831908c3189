"""Runs the benchmark at sizes at which nothing can be told, to see that it measures at all."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def growth(monkeypatch):
    import growth

    monkeypatch.setattr(growth, "N_IMAGENET", 3000)
    monkeypatch.setattr(growth, "FEW", 50)
    monkeypatch.setattr(growth, "MANY", 90)
    monkeypatch.chdir(Path(__file__).parents[2])
    return growth


def test_a_start_is_measured_with_its_workers(growth, tmp_path):
    found = growth.start_up(tmp_path)
    assert len(found) == 2
    for start in found.values():
        assert 0 < start.seconds < 10 and start.libraries_mb > 50
        assert 0 <= start.data_mb < 100 and 1 < start.worker_mb < 100
    assert growth.start_table(found).startswith("| 3,000 images | seconds |")


def test_each_stage_runs_on_few_and_on_many(growth, tmp_path, monkeypatch):
    monkeypatch.setattr(
        growth,
        "STAGES",
        {name: growth.STAGES[name] for name in ("extract_features", "probe_linear")},
    )
    peaks = growth.growth(tmp_path, growth.small_params(growth.read()))
    assert list(peaks) == ["extract_features", "probe_linear"]
    for few, many in peaks.values():
        assert 10 < few < 1000 and 10 < many < 1000
    assert (tmp_path / "90/out/imagenet_train/features.npy").is_file()
    assert "| probe_linear |" in growth.growth_table(peaks)


def test_a_stage_that_fails_is_told_with_its_message(growth, tmp_path, warm_python, monkeypatch):
    monkeypatch.setattr(sys, "executable", warm_python)  # its memory is nothing here
    (tmp_path / "params.yaml").write_text("{}")
    with pytest.raises(SystemExit, match="probe_linear failed:(.|\n)*probe_linear"):
        growth.peak_mb("probe_linear", ["run", "0", "features", "p.npz", "p.json"], tmp_path)
