"""Runs the comparison on a few images of ten classes, with three runs, a seed and four epochs."""

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmark_here import benchmark_here

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CLASSES = 10


def shortened(monkeypatch, folder):
    """The script, its stages called in this process, of fewer runs."""
    made = benchmark_here("bottleneck_transfer", monkeypatch, folder)
    brief = {"width": 8, "batch_size": 8, "epochs": 4, "workers": 0}
    few = {
        **made.PARAMS,
        "bottleneck": {
            key: made.PARAMS["bottleneck"][key] for key in ("plain", "aib", "aib_shuffled")
        },
        "default": ["plain", "aib", "aib_shuffled"],
        "seeds": [0],
        "rates": [0.1, 0.2],
        "train_bottleneck": made.PARAMS["train_bottleneck"] | brief,
        "transfer": made.PARAMS["transfer"] | {"l2_times_n": [10, 1]},
    }

    monkeypatch.setattr(made, "PARAMS", few)
    return made


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    return shortened(monkeypatch, tmp_path)


def write_sets():
    """CIFAR-10's files, and class folders of larger images, of a colour a class."""
    rng = np.random.default_rng(0)
    Path("cifar").mkdir()
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        labels = np.arange(CLASSES if "data" in name else 2 * CLASSES) % CLASSES
        data = (labels[:, None] * 20 + rng.integers(0, 50, (len(labels), 3072))).astype(np.uint8)
        content = {b"labels": labels.tolist(), b"data": data}
        Path("cifar", name).write_bytes(pickle.dumps(content))
    for split, n in (("train", 40), ("val", 20)):
        for i in range(n):
            folder = Path("nette", split, f"n{i % CLASSES}")
            folder.mkdir(parents=True, exist_ok=True)
            image = np.full((48, 48, 3), i % CLASSES * 20, np.uint8)
            cv2.imwrite(
                str(folder / f"{i:02}.png"), image + rng.integers(0, 9, image.shape, np.uint8)
            )


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Both sets, and in `out` what the script makes of them first."""
    folder = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        made = shortened(patch, folder)
        write_sets()
        made.main(["train", "cifar", "nette", "out", "none"])
    return folder


@pytest.fixture
def with_sets(benchmark, sets, tmp_path):
    """The script, beside a copy of the sets."""
    shutil.copytree(sets, tmp_path, dirs_exist_ok=True)
    return benchmark


def test_rows_are_trained_on_either_set_and_scored_on_the_other(with_sets, capsys):
    with_sets.main(["train", "cifar", "nette", "out"])
    said = capsys.readouterr().out
    assert "| aib shuffled - aib |" in said and "bits of the code" in said
    for name, n_test, n_other in (("cifar10", 20, 20), ("imagenette", 20, 20)):
        folder = Path("out/runs", name, "aib-0")
        assert json.loads((folder / "train.json").read_text())["loss"]["code_bits"] > 0
        scores = json.loads((folder / "transfer.json").read_text())
        assert scores["features"]["n"] == scores["code"]["n"] == n_other
        assert len([*Path("out", name, "test").glob("*/*.png")]) == n_test
        listed = (Path("out/runs", name) / "aib_shuffled-0/params.yaml").read_text()
        assert f"/out/{name}_shuffled" in listed
    shown = cv2.imread(str(next(Path("out/imagenette/train").glob("n3/*.png"))))
    assert shown.shape == (32, 32, 3) and 55 < shown.mean() < 75
    made = {path: path.stat().st_mtime_ns for path in Path("out/runs").rglob("*.json")}
    with_sets.main(["train", "cifar", "nette", "out"])
    assert {path: path.stat().st_mtime_ns for path in Path("out/runs").rglob("*.json")} == made


def test_a_rate_is_chosen_on_images_held_out(with_sets, capsys):
    with_sets.main(["choose", "cifar", "nette", "out"])
    assert '"0.1": ' in capsys.readouterr().out
    for rate in ("0.1", "0.2"):
        report = json.loads(Path("out/choosing", rate, "train.json").read_text())
        assert "development_top1" in report["probe"] and "top1" not in report["probe"]


def test_what_is_not_there_is_named(benchmark):
    with pytest.raises(
        SystemExit, match="wrn2: no run; expected some of plain, aib, aib_shuffled, or"
    ):
        benchmark.main(["train", "cifar", "nette", "out", "wrn2"])
    with pytest.raises(SystemExit, match=r"cifar/data_batch_1: batch missing"):
        benchmark.main(["train", "cifar", "nette", "out"])
