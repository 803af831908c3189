import json
from pathlib import Path

import numpy as np
import pytest

from attnlabels.pipeline.results import (
    baseline_of,
    folder_of,
    read_arrays,
    read_json,
    runs_of,
)

TREE = {
    "seeds": [0, 1, 2],
    "study_seeds": [4],
    "main": {"contrastive": {}},
    "table1": {"cotrain": {}, "self_block": {}},
    "supervised": {"supervised_resnet18": {}},
    "make_tables": {},
}


def test_the_runs_of_a_study_have_its_seeds_and_keep_their_order():
    runs = runs_of("table1+main", TREE)
    assert list(runs) == ["cotrain", "self_block", "contrastive"]
    assert runs["cotrain"] == ("table1", "cotrain", (4,))
    assert runs["contrastive"] == ("main", "contrastive", (0, 1, 2))


def test_the_methods_are_trained_for_all_seeds():
    runs = runs_of("methods", TREE | {"methods": {"byol": {}}})
    assert runs["byol"] == ("methods", "byol", (0, 1, 2))


def test_the_files_of_main_are_at_the_top_and_those_of_a_study_in_its_folder():
    runs = runs_of("main+table1", TREE)
    metrics, data = Path("metrics"), Path("data")
    assert runs["contrastive"].file(metrics, "probe_linear", 2, suffix=".json") == Path(
        "metrics/probe_linear/contrastive-2.json"
    )
    assert runs["cotrain"].file(data, "alignment", 4, suffix=".csv") == Path(
        "data/table1/alignment/cotrain-4.csv"
    )
    assert (folder_of(data, "main"), folder_of(data, "table1")) == (data, data / "table1")


def test_the_supervised_runs_alone_are_trained_by_another_stage():
    runs = runs_of("main+table1+supervised", TREE)
    assert {run.study for run in runs.values() if run.trained_by == "train_simclr"} == {
        "main",
        "table1",
    }
    assert runs["supervised_resnet18"].trained_by == "train_supervised"


def test_a_run_has_the_baseline_that_is_said_of_it_then_of_its_study_then_of_all():
    others = {"table1": "cotrain", "self_block": None, "supervised": None}
    assert {
        name: baseline_of(run, default="contrastive", others=others)
        for name, run in runs_of(
            "main+table1+supervised",
            TREE
            | {
                "table1": {"cotrain": {}, "self_block": {}, "explicit_block": {}},
                "main": {"contrastive": {}, "contrastive_attn_teacher": {}},
            },
        ).items()
    } == {
        "contrastive": None,
        "contrastive_attn_teacher": "contrastive",
        "cotrain": None,
        "self_block": None,
        "explicit_block": "cotrain",
        "supervised_resnet18": None,
    }


@pytest.mark.parametrize("studies", ["", "main+", "main+table2", "make_tables", "seeds"])
def test_a_study_without_a_table_of_runs_is_refused(studies):
    with pytest.raises(ValueError, match="no table of runs '.*', one of the studies "):
        runs_of(studies, TREE)


@pytest.mark.parametrize("studies", ["main+main", "main+table1"])
def test_two_runs_of_one_name_are_refused(studies):
    tree = TREE | {"table1": {"contrastive": {}}}
    with pytest.raises(ValueError, match="has a run 'contrastive' in main and in"):
        runs_of(studies, tree)


@pytest.mark.parametrize("seeds", [None, [], [0, 0], [0.5], [True], "0", 0])
def test_seeds_that_are_no_list_of_different_whole_numbers_are_refused(seeds):
    with pytest.raises(ValueError, match=r"params\.yaml\.study_seeds is .*, expected a list"):
        runs_of("main+table1", TREE | {"study_seeds": seeds})
    assert runs_of("main", TREE | {"study_seeds": seeds})


def test_arrays_are_the_keys_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros(3), names=np.ones(3), more=np.ones(9))
    arrays = read_arrays(tmp_path / "a.npz", keys=("images", "names"), stage="label_images")
    assert arrays.keys() == {"images", "names"}


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": np.zeros(3)}, "lacks names; run the stage label_images again"),
        ({"images": np.zeros(3), "names": np.zeros(2)}, "lengths .*'images': 3, 'names': 2"),
        ({"images": np.zeros(0), "names": np.zeros(0)}, "expected one and not 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path / "a.npz", keys=("images", "names"), stage="label_images")


def test_scores_come_as_they_were_written(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"imagenet": {"top1": 0.5}}))
    assert read_json(tmp_path / "a.json", stage="probe_linear") == {"imagenet": {"top1": 0.5}}


def test_a_missing_file_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.json is missing; run the stage probe_linear"):
        read_json(tmp_path / "a.json", stage="probe_linear")
