import json
from pathlib import Path
from typing import Any

import pytest

from attnlabels.metrics.statistics import Mean
from attnlabels.studies import tasks
from attnlabels.studies.tasks import Told

# family, people, weight, score on test, on development, CC; None has no mask
RUNS: dict[str, tuple[str, str, float, float, float, float | None]] = {
    "none": ("none", "a", 0.0, 0.50, 0.50, None),
    "implicit": ("implicit", "a", 0.0, 0.60, 0.60, 0.4),
    "explicit_01": ("explicit", "a", 0.1, 0.61, 0.70, 0.5),
    "explicit_1": ("explicit", "a", 1.0, 0.65, 0.60, 0.7),
    "explicit_b": ("explicit", "b", 1.0, 0.55, 0.55, 0.3),
    "side_01": ("side", "a", 0.1, 0.66, 0.60, 0.6),
    "side_1": ("side", "a", 1.0, 0.63, 0.66, 0.8),
    "wrong": ("wrong", "a", 0.3, 0.45, 0.45, 0.1),
    "oracle": ("oracle", "a", 0.0, 0.90, 0.90, 1.0),
    "centre": ("centre", "a", 0.0, 0.52, 0.52, 0.2),
    "shuffled": ("shuffled", "a", 0.0, 0.51, 0.51, 0.05),
}


def write(folder: Path, seeds: tuple[int, ...] = (0, 1, 2)) -> list[Told]:
    """Reports of all runs, a hundredth better at each seed, as they are read."""
    near = lambda cc: {"cc": cc, "nss": 2 * cc, "sauc": 0.5 + cc / 2, "null_cc": 0.1}  # noqa: E731
    rows = {}
    for run, (family, people, weight, test, held, cc) in RUNS.items():
        rows[run] = {"family": family, "people": people, "weight": weight}
        for seed in seeds:
            about: dict[str, Any] = {
                "test": {"top1": test + 0.01 * seed},
                "development": {"top1": held + 0.01 * seed},
                "centre_prior": {"a": near(0.2), "b": near(0.25)},
            }
            if cc is not None:
                about["closeness"] = {"a": near(cc + 0.001 * seed), "b": near(cc / 2)}
            path = folder / f"parts-{seed}" / f"{run}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(about))
    return tasks.read_task("parts", {"runs": rows}, seeds, folder)


def test_a_row_has_its_means_and_what_has_no_mask_no_closeness(tmp_path):
    table = tasks.tabulate(write(tmp_path), task="parts")
    row = table["explicit_1"]
    assert isinstance(row["top-1"], Mean) and row["top-1"].mean == pytest.approx(0.66)
    assert isinstance(row["CC"], Mean) and row["CC"].mean == pytest.approx(0.701)
    assert "CC" not in table["none"] and "development" in table["none"]
    own = table["explicit_b"]["CC"]  # to its own people
    assert isinstance(own, Mean) and own.mean == pytest.approx(0.15)
    prior = table["centre prior, b"]["CC"]
    assert isinstance(prior, Mean) and prior.mean == pytest.approx(0.25)


def test_a_weight_is_chosen_on_the_development_part_alone(tmp_path):
    chosen = tasks.choose(write(tmp_path), task="parts")
    assert chosen == {"a": "explicit_01", "b": "explicit_b"}  # explicit_1 is better on test


def test_contrasts_are_paired_by_seed(tmp_path):
    told = write(tmp_path)
    pairs = tasks.pairs_of(told, task="parts")
    assert ("explicit_01", "implicit") in pairs and ("explicit_1", "implicit") not in pairs
    assert ("explicit_01", "side_1") in pairs and ("side_1", "none") in pairs
    assert not any("side_01" in pair or pair == ("explicit_b", "side_1") for pair in pairs)
    assert ("oracle", "none") in pairs and ("wrong", "implicit") in pairs
    table = tasks.contrast(told, pairs, task="parts")
    found = table["explicit_01_minus_implicit"]["difference"]
    assert isinstance(found, Mean) and found.mean == pytest.approx(0.01)
    assert found.se == pytest.approx(0, abs=1e-12)  # all seeds differ by the same
    words = tasks.tell_contrasts(table, task="parts")
    assert "explicit 01 minus implicit +0.010" in words and "none" not in words


def test_runs_taught_by_other_people_are_not_among_those_of_these(tmp_path):
    told = write(tmp_path)
    of_a = tasks.points_of(told, task="parts", people="a", measure="cc")
    of_b = tasks.points_of(told, task="parts", people="b", measure="cc")
    assert len(of_a) == 3 * 9 and len(of_b) == 3 * 3
    assert {family for family, *_ in of_b} == {"implicit", "explicit", "centre"}


def test_correlations_with_and_without_controls_and_oracle(tmp_path):
    options = {"level": 0.95, "resamples": 100, "seed": 0}
    table = tasks.correlate(write(tmp_path), task="parts", people="a", **options)
    assert len(table) == len(tasks.MEASURES) * len(tasks.SCOPES)
    counts = {scope: table[f"parts, a: CC, {scope}"]["runs"] for scope in tasks.SCOPES}
    assert counts == {
        "all": 27,
        "without oracle": 24,
        "without controls": 12,
        "masks learnt from people or task": 9,
        "within families": 27,
    }
    rho = table["parts, a: CC, all"]["rho"]
    assert isinstance(rho, float) and rho > 0.9
    (sentence,) = tasks.tell_correlations(table)
    assert sentence.startswith("parts, a: Spearman's correlation of CC with the score: all +0.9")
    assert "within families" in sentence and "without controls" not in sentence


def test_what_is_missing_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "parts-1/wrong.json").unlink()
    rows = {run: {"family": "x", "people": "a", "weight": 0.0} for run in RUNS}
    with pytest.raises(FileNotFoundError, match=r"wrong\.json is missing; run the stage train_t"):
        tasks.read_task("parts", {"runs": rows}, (0, 1), tmp_path)
    assert tasks.score_of("segmentation") == "f_adaptive" and tasks.score_of("parts") == "top1"
