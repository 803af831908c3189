"""Runs the comparison on a few pictures, with two rows and one seed."""

import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from benchmark_here import benchmark_here

SIDE = 64


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    return benchmark_here("bottom_up_maps", monkeypatch, tmp_path)


def write_picture(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (SIDE, SIDE)))


def test_rows_are_trained_and_scored_once(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for split, n in (("train", 17), ("val", 3)):
        for i in range(2 * n):
            write_picture(Path("imagenette", split, "ab"[i % 2], f"{i}.jpg"), rng)
    for i in range(3):
        write_picture(Path(f"coco/images/{i}.jpg"), rng)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[10:30, 10:40] = 5 if i else 0  # of the first there is none
        Path("coco/masks").mkdir(exist_ok=True)
        cv2.imwrite(f"coco/masks/{i}.png", mask)
    monkeypatch.setattr(benchmark, "ROWS", ("resnet", "gala_maps"))
    monkeypatch.setattr(benchmark, "PAIRS", (("gala_maps", "resnet"),))
    monkeypatch.setattr(benchmark, "SEEDS", (0,))
    monkeypatch.setattr(benchmark, "COPIES", 1)
    monkeypatch.setattr(sys, "argv", ["", "imagenette", "coco", "out", "--quick"])
    benchmark.main()
    table = Path("out/tables/networks.md").read_text()
    assert all(f"| {row} |" in table for row in ("resnet", "gala maps", "centre prior", "chance"))
    assert "gala maps minus resnet" in Path("out/tables/IoU object.md").read_text()
    assert sorted(path.name for path in Path("out/masks").iterdir()) == ["1.png", "2.png"]
    stages: list[str] = []
    monkeypatch.setattr(benchmark, "stage", lambda out, script, *words: stages.append(script))
    benchmark.main()  # again: nothing is trained anew
    assert "train_supervised" not in stages
    assert Path("out/tables/networks.md").read_text() == table
    monkeypatch.setattr(sys, "argv", ["", "imagenette", "coco", "out"])
    with pytest.raises(SystemExit, match="out: holds a comparison with other parameters; name an"):
        benchmark.main()


def test_a_folder_that_is_not_there_is_named(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "imagenette", "coco", "out"])
    with pytest.raises(SystemExit, match="imagenette/train: no such folder"):
        benchmark.main()
    assert not Path("out").exists()
