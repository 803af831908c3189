"""Runs the comparison on a few pictures, with one seed, and its tables on made-up scores."""

import csv
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.stats import nct, t

from attnlabels import evaluate
from attnlabels.metrics.statistics import paired_t
from attnlabels.models.files import read_config
from attnlabels.pipeline.params import read
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Shards

SIDE = 64
TINY = {
    "backbone": "resnet10",
    "width": 8,
    "image_size": 24,
    "batch_size": 4,
    "workers": 0,
    "warmup_epochs": 0.0,
}


def probed(encoder: str, **given: Any) -> dict[str, dict[str, Any]]:
    """`evaluate` without what a probe does not read, and would be refused."""
    for name in ("imagenet_c", "attention", "labels"):
        assert given.pop(name)
    return evaluate(encoder, **given)


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    module = importlib.import_module("photographs")
    monkeypatch.setattr(module, "CHANGED", TINY)
    monkeypatch.setattr(module, "MAP_SIZE", 12)
    monkeypatch.setattr(module, "LENGTHS", (1,))
    # The others are `evaluate`'s, and tested there.
    monkeypatch.setattr(module, "ON", ("probe",))
    monkeypatch.setattr(module, "evaluate", probed)
    monkeypatch.setattr(module, "CHOOSING", {"epochs": 1, "development": 0.25, "seed": 100})
    return module


@pytest.fixture
def imagenette(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, n in (("train", 24), ("val", 6)):
        for i in range(n):
            path = tmp_path / "imagenette" / split / "ab"[i % 2] / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
            cv2.imwrite(str(path), cv2.resize(coarse, (SIDE, SIDE)))
    return tmp_path / "imagenette"


def test_what_was_chosen_is_trained_with_every_seed_and_scored_once(
    benchmark: ModuleType,
    imagenette: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(benchmark, "RATES", (1e-3,))
    monkeypatch.setattr(benchmark, "WEIGHTS", (3.0,))
    out = tmp_path / "out"
    benchmark.main(["choose", str(imagenette), str(out), "workers=0"])
    assert json.loads((out / "choosing.json").read_text())["chosen"] == {"rate": 1e-3, "scale": 3.0}
    words = ["train", str(imagenette), str(out), "workers=0", "epochs=2", "seeds=0"]
    runs = "only=contrastive,contrastive_attn_teacher,tenth_labels"
    benchmark.main([*words, "eye=none", runs])
    found = {path.stem: json.loads(path.read_text()) for path in (out / "metrics").iterdir()}
    assert sorted(found) == ["contrastive-0", "contrastive_attn_teacher-0", "tenth_labels-0"]
    for tree in found.values():
        assert [*tree["top1_by_epoch"]] == ["1", "2"]
        assert tree["top1_by_epoch"]["2"] == tree["train"]["probe"]["top1"]
        assert tree["train"]["steps"] == 2 * 6 and tree["probe_linear"]["imagenet"]["n"] == 6
    labels, tenth = Shards(out / "labels"), Shards(out / "tenth")
    kept = [i for i in range(len(tenth)) if tenth[i]["source"] != NOBODY]
    assert len(kept) == 2 and len(tenth) == len(labels) == 24
    for i in kept:
        np.testing.assert_array_equal(tenth[i]["map"], labels[i]["map"])

    def refuse(*words: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(benchmark.train_simclr, "main", refuse)
    benchmark.main([*words, "eye=none", runs])


def write_scores(folder: Path, run: str, seed: int, score: float) -> None:
    tree: dict[str, Any] = {"top1_by_epoch": {"5": score / 2}}
    for path in importlib.import_module("photographs").SHOWN.values():
        node = tree
        *keys, last = path.split(".")
        for key in keys:
            node = node.setdefault(key, {})
        node[last] = score
    folder.mkdir(exist_ok=True)
    (folder / f"{run}-{seed}.json").write_text(json.dumps(tree))


def test_another_network_and_size_are_trained_and_scored_at_that_size(
    benchmark: ModuleType, imagenette: Path, tmp_path: Path
) -> None:
    words = ["train", str(imagenette), str(tmp_path / "out"), "workers=0", "epochs=1", "seeds=0"]
    words += ["eye=none", "rate=0.001", "scale=1", "only=contrastive"]
    benchmark.main([*words, "backbone=resnet18", "size=32"])
    (report,) = (tmp_path / "out" / "metrics").iterdir()
    assert json.loads(report.read_text())["evaluate"]["view"]["size"] == 32
    params = read(tmp_path / "out" / "params.yaml")
    assert params["corrupt_images"]["imagenet_c"]["size"] == 32
    weights = tmp_path / "out" / "runs" / "contrastive-0" / "student.safetensors"
    assert read_config(weights)["encoder"]["backbone"] == "resnet18"


def rows_of(table: Path) -> dict[str, dict[str, str]]:
    with table.open() as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def test_tables_pair_the_runs_of_a_seed(benchmark: ModuleType, tmp_path: Path) -> None:
    below, above = np.array([0.5, 0.6, 0.4]), np.array([0.55, 0.63, 0.47])
    control = {1: 0.7, 2: 0.2}  # which was trained with fewer seeds
    for seed in range(3):
        write_scores(tmp_path / "metrics", "contrastive", seed, below[seed])
        write_scores(tmp_path / "metrics", "contrastive_attn_teacher", seed, above[seed])
    for seed, score in control.items():
        write_scores(tmp_path / "metrics", "centre_labels", seed, score)
    benchmark.main(["tables", str(tmp_path / "metrics"), str(tmp_path / "out")])
    few = np.array([*control.values()])
    for table, test in {
        "guided_minus_baseline": paired_t(above, below),
        "guided_minus_centre_labels": paired_t(above[1:], few),
        "centre_labels_minus_baseline": paired_t(few, below[1:]),
    }.items():
        rows = rows_of(tmp_path / "out" / f"{table}.csv")
        for key, factor in (("probe", 1.0), ("top-1 after 5", 0.5)):
            assert float(rows[key]["difference"]) == pytest.approx(factor * test.difference)
            assert float(rows[key]["difference_se"]) == pytest.approx(factor * test.se)
            assert float(rows[key]["p"]) == pytest.approx(test.p)
            assert int(rows[key]["seeds"]) == test.n
        assert "CC centre prior" not in rows  # no score of a run
    runs = rows_of(tmp_path / "out" / "runs.csv")
    assert float(runs["centre_labels"]["probe"]) == pytest.approx(0.45)
    said = (tmp_path / "out" / "runs.md").read_text()
    assert said.startswith("Seeds: centre_labels 2, contrastive 3, contrastive_attn_teacher 3.")
    (tmp_path / "metrics" / "contrastive-2.json").unlink()
    with pytest.raises(SystemExit, match="are to have the same seeds"):
        benchmark.main(["tables", str(tmp_path / "metrics"), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="nowhere: no scores here"):
        benchmark.main(["tables", "nowhere", str(tmp_path / "out")])


def test_controls_are_trained_with_all_seeds_after_the_pair(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    wanted = benchmark.Wanted(imagenette=tmp_path, out=tmp_path, seeds=(3, 5))
    runs = [*wanted.runs()]
    assert runs[:4] == [(run, seed) for seed in (3, 5) for run in benchmark.PAIR]
    assert sorted(runs[4:]) == sorted((run, seed) for run in benchmark.CONTROLS for seed in (3, 5))


def test_the_smallest_difference_is_seen_in_four_of_five_studies(benchmark: ModuleType) -> None:
    test = paired_t(np.array([0.3, 0.5, 0.4, 0.45, 0.2]), np.zeros(5))
    # the exact power, of the noncentral t, at that difference
    shift = benchmark.smallest(test) / test.se
    assert 1 - nct.cdf(t.ppf(0.975, 4), 4, shift) == pytest.approx(0.8, abs=0.03)
    assert benchmark.smallest(paired_t(np.ones(2), np.zeros(2))) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "Does guidance help on photographs"),
        (["train", "a", "b", "epoch=3"], "epoch: no option; expected one of eye, epochs, seeds"),
    ],
)
def test_wrong_words_are_refused(benchmark: ModuleType, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        benchmark.main(words)


def test_nothing_is_trained_with_weights_that_nobody_chose(
    benchmark: ModuleType, imagenette: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"out/choosing.json is missing: `choose` first, or give"):
        benchmark.main(["train", str(imagenette), str(tmp_path / "out"), "workers=0"])
