import csv
import json

import numpy as np
import pytest

import score_retrieval
from attnlabels.metrics.retrieval import split_queries
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

PARAMS = "threads: 1\nscore_retrieval: {{seed: 3, queries: 0.25, corrupted: {}}}\n"
LABELS = np.repeat([0, 1], 10)
NAMES = [f"{c}-{s}" for c in (*CORRUPTIONS, *EXTRA) for s in range(1, 6)]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Two classes of ten images at right angles; a corruption turns every image to one side."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.format("whole_set"))
    for clean, corrupted in (("imagenet_val", "imagenet_c"), ("cifar10_test", "cifar10_c")):
        write(tmp_path / clean, "features", np.eye(2)[LABELS])
        for name in NAMES:
            write(tmp_path / corrupted, name, np.ones((20, 2)))
        for folder in (clean, corrupted):
            np.save(tmp_path / folder / "labels.npy", LABELS)
        name_corruptions(tmp_path / corrupted, (*CORRUPTIONS, *EXTRA))
    return tmp_path


def name_corruptions(folder, names):
    (folder / "set.json").write_text(json.dumps({"generated": 0, "corruptions": [*names]}))


def write(folder, name, x):
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}.npy", x.astype(np.float16))


def score(world, *, name="contrastive", seed=0):
    score_retrieval.main(name, seed, world, world / "curves.csv", world / "report.json")
    with open(world / "curves.csv", newline="") as file:
        report = json.loads((world / "report.json").read_text())
        assert report.pop("made_by")["threads"] == 1
        return report, list(csv.DictReader(file))


def by_hand_in_order():
    """Mean average precision if every query gets the gallery in the gallery's own order."""
    asked, stored = split_queries(20, n_queries=5, seed=3)
    precisions = []
    for query in asked:
        hits, at_hits = 0, []
        for rank, image in enumerate(stored, start=1):
            if LABELS[image] == LABELS[query]:
                hits += 1
                at_hits.append(hits / rank)
        precisions.append(sum(at_hits) / len(at_hits))
    return sum(precisions) / len(precisions)


def test_classes_at_right_angles_are_retrieved_perfectly(world):
    scores, _ = score(world)
    assert scores["imagenet"]["map"] == 1
    assert scores["imagenet"]["n_queries"] == 5 and scores["imagenet"]["n_gallery"] == 15


def test_features_that_tell_nothing_score_the_gallery_order(world):
    scores, _ = score(world)
    assert scores["cifar10_c"]["fog"]["3"] == pytest.approx(by_hand_in_order())
    assert scores["cifar10_c"]["map"] == pytest.approx(by_hand_in_order())


def test_one_mended_severity_moves_its_own_score_and_the_means(world):
    write(world / "imagenet_c", "fog-2", np.eye(2)[LABELS])
    scores = score(world)[0]["imagenet_c"]
    low = by_hand_in_order()
    assert scores["fog"]["2"] == 1 and scores["fog"]["1"] == pytest.approx(low)
    assert scores["fog"]["mean"] == pytest.approx((4 * low + 1) / 5)
    assert scores["map"] == pytest.approx((94 * low + 1) / 95)


def test_corrupted_queries_may_ask_the_clean_gallery(world):
    (world / "params.yaml").write_text(PARAMS.format("queries"))
    write(world / "imagenet_c", "fog-2", np.eye(2)[LABELS] + [0.1, 0])  # turned, yet nearest to own
    scores, _ = score(world)
    assert scores["imagenet_c"]["fog"]["2"] == 1
    (world / "params.yaml").write_text(PARAMS.format("whole_set"))
    write(world / "imagenet_c", "fog-2", np.eye(2)[1 - LABELS])  # classes swapped, yet alike inside
    assert score(world)[0]["imagenet_c"]["fog"]["2"] == 1
    (world / "params.yaml").write_text(PARAMS.format("queries"))
    assert score(world)[0]["imagenet_c"]["fog"]["2"] < 0.6


def test_the_curves_have_a_row_for_each_set_corruption_severity_and_k(world):
    _, rows = score(world)
    assert list(rows[0]) == ["set", "corruption", "severity", "k", "precision", "recall"]
    grid = [1, 2, 5, 10, 15]
    assert len(rows) == 2 * (1 + 95) * len(grid)
    clean = [row for row in rows if row["set"] == "cifar10" and row["corruption"] == "clean"]
    assert [int(row["k"]) for row in clean] == grid
    assert {row["severity"] for row in clean} == {"0"}
    assert float(clean[0]["precision"]) == 1 and float(clean[-1]["recall"]) == 1


def test_run_and_seed_do_not_move_the_queries(world):
    before = score(world, name="contrastive", seed=0)
    assert score(world, name="contrastive_attn_teacher", seed=5) == before


def test_reports_keep_their_keys(world):
    scores, _ = score(world)
    assert list(scores) == ["imagenet", "imagenet_c", "cifar10", "cifar10_c"]
    numbers = ["map", "pr_area", "precision_at_10", "n_queries", "n_gallery"]
    assert list(scores["cifar10"]) == numbers
    assert scores["cifar10_c"].keys() == {"map", *CORRUPTIONS, *EXTRA}
    assert list(scores["cifar10_c"]["fog"]) == ["mean", "1", "2", "3", "4", "5"]


def test_what_the_set_lacks_of_the_extra_corruptions_is_left_out(world):
    before, rows = score(world)
    name_corruptions(world / "imagenet_c", (*CORRUPTIONS, "spatter"))
    for name in NAMES:
        if name.rpartition("-")[0] in set(EXTRA) - {"spatter"}:
            (world / "imagenet_c" / f"{name}.npy").unlink()
    scores, left = score(world)
    assert scores["imagenet_c"].keys() == {"map", *CORRUPTIONS, "spatter"}
    assert scores["imagenet_c"]["fog"] == before["imagenet_c"]["fog"]
    assert scores["cifar10_c"] == before["cifar10_c"] and len(rows) - len(left) == 3 * 5 * 5


def test_features_that_do_not_say_their_corruptions_are_refused(world):
    (world / "imagenet_c/set.json").write_text('{"generated": 0}')
    with pytest.raises(ValueError, match="set.json names no corruptions.*extract_features again"):
        score(world)
    (world / "imagenet_c/set.json").unlink()
    with pytest.raises(FileNotFoundError, match="set.json is missing"):
        score(world)


def test_a_missing_corruption_is_named_and_nothing_is_left(world):
    (world / "cifar10_c/snow-4.npy").unlink()
    with pytest.raises(FileNotFoundError, match="cifar10_c/snow-4.npy is missing"):
        score(world)
    assert not (world / "curves.csv").exists() and not (world / "report.json").exists()


def test_features_that_are_not_finite_are_refused(world):
    write(world / "imagenet_c", "fog-3", np.full((20, 2), np.inf))
    with pytest.raises(ValueError, match="fog-3.npy: 20 of 20 rows are not finite"):
        score(world)


def test_a_gallery_too_small_is_refused(world):
    (world / "params.yaml").write_text(PARAMS.format("queries").replace("0.25", "0.6"))
    with pytest.raises(ValueError, match="gallery of 8 images has no precision at 10"):
        score(world)


def test_an_unknown_protocol_is_refused(world):
    (world / "params.yaml").write_text(PARAMS.format("gallery"))
    with pytest.raises(ValueError, match="score_retrieval.corrupted"):
        score(world)
