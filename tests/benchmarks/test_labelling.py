"""Runs the benchmark on a few photographs."""

import importlib
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from attnlabels.models.files import write_weights
from attnlabels.teachers.network import Teacher


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", "scratch")
    return importlib.import_module("labelling")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(6):
        path = tmp_path / "photographs" / f"class{i % 2}" / f"{i}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", rng.integers(0, 256, (60, 80, 3), np.uint8))[1])
    return tmp_path / "photographs"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": "learnt_offset"}
    path = tmp_path / "teacher.safetensors"
    geometry = {"image_size": [96, 128], "sigma_px": [3.8, 3.8], "fitted_sigma_px": [3.8, 3.8]}
    write_weights(path, Teacher(**config), {"teacher": config, **geometry})
    return path


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_all_three_are_timed_and_both_limits_looked_at(
    benchmark: ModuleType, teacher: Path, photographs: Path
) -> None:
    seconds, bounds = benchmark.measure(teacher, photographs, 4, rounds=2)
    assert [name.split(",")[0] for name in seconds] == [
        "plain loop",
        "stage",
        "stage",
        "stage",
        "stage",
        "forward alone",
    ]
    assert all(len(each) == 2 for each in seconds.values())
    assert [each.limit for each in bounds] == [2.0, 0.8]
    assert all(value > 0 for each in bounds for value in each.measured)


def test_the_plain_loop_finds_what_the_stage_finds(
    benchmark: ModuleType, teacher: Path, photographs: Path
) -> None:
    benchmark.measure(teacher, photographs, 4, rounds=0)
    stage = benchmark.label_images.Shards(Path("labels"))
    loop = benchmark.label_images.Shards(Path("people"))
    np.testing.assert_allclose(stage[0]["map"], loop[0]["map"], atol=1e-3)
    assert stage[0]["key"] == loop[0]["key"] and len(stage) == 4


def test_too_few_images_are_said(benchmark: ModuleType, photographs: Path) -> None:
    with pytest.raises(SystemExit, match="6 images .* 7 asked for; ask for less"):
        benchmark.take(photographs, 7)
