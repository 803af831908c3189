"""Runs the comparison on a few pictures, with three runs, two folds and two epochs."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.pipeline.params import read
from benchmark_here import benchmark_here

SIDE = 64


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """The script, its stages called in this process, of fewer runs."""
    made = benchmark_here("salient_photographs", monkeypatch, tmp_path)

    def few(path):
        tree = read(path)
        runs = tree["tasks"]["segmentation"]["runs"]
        tree["tasks"]["segmentation"]["runs"] = {
            name: runs[name] for name in ("none", "explicit_03", "side_03")
        }
        tree["train_tasks"]["batch_size"] = 4
        tree["compare_tasks"]["resamples"] = 100
        return tree

    monkeypatch.setattr(made, "read", few)
    return made


def test_folds_are_trained_once_and_compared(benchmark, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        Path("coco", folder).mkdir(parents=True)
    for i in range(13):
        coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(f"coco/images/{i:02}.jpg", cv2.resize(coarse, (SIDE, SIDE)))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[10:30, 10:40] = 5 if i else 0  # on the first there is none
        cv2.imwrite(f"coco/masks/{i:02}.png", mask)
    monkeypatch.setattr(sys, "argv", ["salient_photographs.py", "coco", "out", "--quick"])
    benchmark.main()
    said = capsys.readouterr()
    assert "12 photographs, 1 left out" in said.out and "00.png: at 64 px nothing is" in said.err
    assert "explicit 03 minus side 03" in said.out
    shown = [{path.name for path in Path("out").glob(f"fold-{k}/test_images/*")} for k in (0, 1)]
    assert len(shown[0] | shown[1]) == 12 and not shown[0] & shown[1]
    runs = sorted(Path("out/runs").glob("*/*.json"))
    assert len(runs) == 2 * 3
    before = [path.stat().st_mtime_ns for path in runs]
    benchmark.main()
    assert [path.stat().st_mtime_ns for path in runs] == before

    monkeypatch.setattr(sys, "argv", ["salient_photographs.py", "coco", "out"])
    with pytest.raises(SystemExit, match="out: holds a comparison with other parameters; name an"):
        benchmark.main()


def test_folders_that_are_not_there_are_named(benchmark, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["salient_photographs.py", "coco", "out"])
    with pytest.raises(SystemExit, match="images: no such folder; see the head of this script"):
        benchmark.main()
