"""Runs the benchmark on a few made-up photographs, whatever the ratios are."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def benchmark(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "views.py", folder],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(find_spec("lightly") is None, reason="lightly is not installed")
def test_ratios_and_differences_are_printed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        noise = cv2.GaussianBlur(rng.random((300, 400, 3)), (0, 0), 3)
        image = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), image)
    done = benchmark(tmp_path)
    found = re.findall(r"\| ([\d.]+) \[([\d.]+), ([\d.]+)\] \| ≥ ([\d.]+) \|", done.stdout)
    assert len(found) == 5, done.stderr
    ratios = [[float(each) for each in row] for row in found]
    assert all(low <= middle <= high for middle, low, high, _ in ratios)
    missed = any(middle < bound for middle, *_, bound in ratios)
    assert done.returncode == missed or any(middle == bound for middle, *_, bound in ratios)
    assert "| 224 | 1/1 | 3 | 0.00, 0 | 0.00, 0 |" in done.stdout
