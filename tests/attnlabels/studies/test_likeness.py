import json

import numpy as np
import pytest
from scipy.stats import ttest_rel

from attnlabels.metrics.permutations import sign_flips
from attnlabels.metrics.statistics import Mean
from attnlabels.studies.likeness import (
    CONTROLS,
    PAPER,
    contrast,
    read_scored,
    require_runs,
    tabulate,
    tabulate_people,
    tell,
)
from scored import SEEDS, write_run


@pytest.fixture
def scored(tmp_path):
    runs = [write_run(tmp_path, "resnet"), write_run(tmp_path, "gala", better=0.1, seed=1)]
    runs.append(write_run(tmp_path, "se", seed=2))
    return {run.name: read_scored(run, tmp_path / "m", tmp_path / "s") for run in runs}


def test_the_table_has_means_over_seeds_beside_the_paper_and_the_controls(scored, tmp_path):
    table = tabulate(scored)
    assert [*table] == ["resnet", "gala", "se", *CONTROLS]
    means = [
        json.loads((tmp_path / "m" / f"gala-{seed}.json").read_text())["smoothgrad"]["rho"]["mean"]
        for seed in SEEDS
    ]
    cell = table["gala"]["rho gradient"]
    assert cell == pytest.approx(Mean(3, np.mean(means), np.std(means, ddof=1) / 3**0.5))
    assert table["gala"]["share of player"].mean == pytest.approx(0.7)
    assert table["gala"]["below null"].mean == pytest.approx(0.25)
    assert table["gala"]["paper top-1 error"] == PAPER["gala"][0] / 100
    assert {"rho gradient", "IoU part"} <= table["centre prior"].keys()
    assert "top-1 error" not in table["centre prior"]


def test_a_contrast_is_tested_over_seeds_and_over_images(scored):
    pairs = [("gala", "resnet"), ("se", "resnet")]
    table = contrast("smoothgrad.rho", scored, pairs, level=0.95, permutations=2000, seed=0)
    a, b = (scored[name].seeds["smoothgrad.rho.mean"].to_numpy() for name in ("gala", "resnet"))
    row = table["gala_minus_resnet"]
    assert row["difference"].mean == pytest.approx(np.mean(a - b)) == pytest.approx(0.1, abs=0.01)
    assert row["p seeds"] == pytest.approx(ttest_rel(a, b).pvalue)
    images = (scored["gala"].images - scored["resnet"].images)["smoothgrad.rho"].to_numpy()
    assert row["p images"] == sign_flips(images, permutations=2000, seed=0).p < 0.001
    assert row["low"] < row["difference"].mean < row["high"]
    null = table["se_minus_resnet"]
    assert null["p images"] > 0.05 and row["p images, holm"] == pytest.approx(2 * row["p images"])
    found = f"gala minus resnet {row['difference'].mean:+.3f} ± {row['difference'].se:.3f}"
    assert tell(table, level=0.95) == ([found], ["se minus resnet"])


def test_one_seed_has_no_test_over_seeds_and_nothing_is_found(tmp_path):
    runs = [write_run(tmp_path, name, better=i, seed=i) for i, name in enumerate(("a", "b"))]
    scored = {
        run.name: read_scored(run._replace(seeds=(0,)), tmp_path / "m", tmp_path / "s")
        for run in runs
    }
    table = contrast("top1_error", scored, [("b", "a")], level=0.95, permutations=1000, seed=0)
    assert "p seeds" not in table["b_minus_a"] and tell(table, level=0.95) == ([], ["b minus a"])


def test_people_are_tabulated_by_who_is_paired():
    told = {"rho": 0.6, "se": 0.01, "n": 9, "blur": "box_49", "pairing": "one_pair"}
    assert tabulate_people({"images": 9, "one_pair": told}) == {
        "one_pair": {"rho": Mean(9, 0.6, 0.01)}
    }


def test_what_is_missing_or_no_run_is_named(tmp_path):
    run = write_run(tmp_path, "gala")
    with pytest.raises(ValueError, match="contrasts names 'galla', which is no run; .*of gala"):
        require_runs("contrasts", ["galla", "gala"], {"gala": run})
    (tmp_path / "m" / "gala-1.json").unlink()
    with pytest.raises(FileNotFoundError, match="gala-1.json is missing; run the stage score_like"):
        read_scored(run, tmp_path / "m", tmp_path / "s")
