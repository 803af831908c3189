"""Runs the benchmark on a few photographs."""

import importlib
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest


@pytest.fixture
def benchmark() -> ModuleType:
    return importlib.import_module("features")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(4):
        path = tmp_path / "photographs" / f"class{i % 2}" / f"{i}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", rng.integers(0, 256, (40, 50, 3), np.uint8))[1])
    return tmp_path / "photographs"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_both_ways_are_timed_and_every_image_is_encoded_each_time(
    benchmark: ModuleType, photographs: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seconds, bounds = benchmark.measure(photographs, 3, rounds=2, size=32, scratch=scratch)
    assert [len(each) for each in seconds.values()] == [2, 2, 2]
    assert [each.limit for each in bounds] == [0.8]
    assert all(value > 0 for value in bounds[0].measured)
    kept = sorted(scratch.glob("*/features.npy"))
    assert len(kept) == 3 and np.load(kept[2]).shape == (3, 2048)


def test_too_few_images_are_said(benchmark: ModuleType, photographs: Path) -> None:
    with pytest.raises(SystemExit, match="4 images .* 5 asked for; ask for less"):
        benchmark.take(photographs, 5)
