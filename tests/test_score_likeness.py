import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import score_likeness
from attnlabels.clickmaps.blurring import blur
from attnlabels.images.decoding import resize_map
from attnlabels.interpretation.looking import MAPS
from attnlabels.interpretation.overlap import chance, iou_above_half, iou_of_mask_size
from attnlabels.interpretation.people import read_cut_mask
from attnlabels.shards.shards import Shards
from painted import SIDE, write_classifier, write_painted

SMOOTH = {"level": 0.15, "count": 3, "order": "absolute_first", "channels": "max", "chunk": 2}
SECTION: dict[str, Any] = {
    "map_size": 16,
    "images": 100,
    "smoothgrad": SMOOTH,
    "splits": 4,
    "batch_size": 5,
    "examples": 2,
    "seed": 0,
}
FILES = ("scores.csv", "examples.npz", "report.json")
Score = Callable[..., tuple[dict[str, Any], pd.DataFrame, dict[str, np.ndarray]]]


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    return write_painted(tmp_path_factory.mktemp("painted"))


@pytest.fixture
def score(tmp_path, monkeypatch, painted) -> Score:
    """Scores an untrained network into the folder `out`, with changes to `score_likeness`."""
    monkeypatch.chdir(tmp_path)

    def call(
        *, people: Path = painted, objects: Path | None = None, attention: str = "gala", **changed
    ) -> tuple[dict[str, Any], pd.DataFrame, dict[str, np.ndarray]]:
        tree = {"threads": 1, "score_likeness": SECTION | changed}
        Path("params.yaml").write_text(json.dumps(tree))
        weights = write_classifier(tmp_path / "network.safetensors", unit_attention=attention)
        objects = people / "object" if objects is None else objects
        outs = [Path("out") / name for name in FILES]
        score_likeness.main(weights, people / "people", objects, people / "part", *outs)
        report = json.loads(outs[2].read_text())
        assert report.pop("made_by")["threads"] == 1
        with np.load(outs[1]) as arrays:
            return report, pd.read_csv(outs[0]), {**arrays}

    return call


def test_an_image_has_a_row_and_the_report_is_their_mean(score, painted) -> None:
    report, scores, _ = score()
    assert report["images"] == len(scores) == 12
    assert (report["nobody"], report["painted"]) == (1, 11)
    assert (report["blur"], report["map_size"], report["attention"]) == ("box_49", 16, "gala")
    shards = Shards(painted / "people")
    assert [*scores["image"]] == [shards[i]["name"] for i in range(12)]
    assert "top5_error" not in scores and set(scores["top1_error"]) <= {0, 1}
    assert report["top1_error"]["mean"] == pytest.approx(scores["top1_error"].mean())
    for map in MAPS:
        for measure in ("rho", "rho_same_class", "rho_other_class", "iou_object", "iou_part"):
            column = scores[f"{map}.{measure}"]
            assert column.notna().tolist() == [True] * 11 + [False]
            told = report[map][measure]
            assert told["n"] == 11 and told["mean"] == pytest.approx(column.mean())
            assert told["se"] == pytest.approx(column.std() / 11**0.5)
    assert report["share_object"]["mean"] == pytest.approx((12 / SIDE) ** 2)
    assert report["chance_part"]["mean"] == pytest.approx(1 / (2 * (SIDE / 6) ** 2 - 1))


def test_a_row_is_what_the_maps_in_the_examples_score(score, painted) -> None:
    _, scores, arrays = score()
    by_name = scores.set_index("image")
    shards = Shards(painted / "people")
    samples = {shards[i]["name"]: shards[i] for i in range(12)}
    for i, name in enumerate(arrays["names"]):
        sample, row = samples[name], by_name.loc[name]
        mask = read_cut_mask(painted / "part", name, size=(SIDE, SIDE), crop=1.0)
        for key in ("smoothgrad", "attention_last"):
            assert row[f"{key}.iou_part"] == pytest.approx(iou_of_mask_size(arrays[key][i], mask))
            above = iou_above_half(arrays[key][i], mask)
            assert row[f"{key}.iou_above_half_part"] == pytest.approx(above)
        players = []
        for player in range(4):
            own = sample["points"][sample["observers"] == player]
            clicked = np.zeros((SIDE, SIDE), np.float32)
            clicked[own[:, 0], own[:, 1]] = 1
            players.append(resize_map(blur(clicked, "box_49"), 16, 16))
        human = np.mean(players, axis=0)
        if i < 2:
            np.testing.assert_allclose(arrays["human"][i], human, atol=1e-6)
        own = resize_map(arrays["smoothgrad"][i].astype(np.float64), 16, 16)
        expected = spearmanr(own.ravel(), human.ravel()).statistic
        assert row["smoothgrad.rho"] == pytest.approx(expected, abs=1e-3)


def test_ceilings_are_beside_every_share(score) -> None:
    report, scores, _ = score()
    ceilings = report["ceilings"]
    for name in ("player", "mean_of_players"):
        column = scores[f"ceilings.{name}"]
        assert column.notna().sum() == ceilings[name]["n"] == 11
        assert ceilings[name]["mean"] == pytest.approx(column.mean())
    assert ceilings["few_players"] == ceilings["flat_maps"] == 0
    assert 0 < ceilings["null"]["mean"] < ceilings["player"]["mean"]
    assert ceilings["player"]["mean"] < ceilings["mean_of_players"]["mean"] <= 1
    for map in MAPS:
        for name in ("player", "mean_of_players"):
            share = report[map][f"share_of_{name}"]
            assert share["blur"] == "box_49" and share["ceiling"] == name and share["n"] == 11
            ratio = report[map]["rho"]["mean"] / ceilings[name]["mean"]
            assert share["share"] == pytest.approx(ratio)
        assert 0 <= report[map]["share_below_null"] <= 1


def test_examples_are_of_all_maps_and_of_some_pictures(score) -> None:
    _, _, arrays = score()
    assert len(arrays["names"]) == 11
    assert arrays["object"].shape == (11, SIDE, SIDE) and arrays["object"].sum() == 11 * 12**2
    assert arrays["smoothgrad"].shape == (11, SIDE, SIDE)
    assert arrays["attention_last"].shape[0] == 11
    for key in ("images", "seen_through"):
        assert arrays[key].shape == (2, SIDE, SIDE, 3) and arrays[key].dtype == np.uint8
    assert arrays["layers"].shape[:2] == (2, SIDE) and arrays["human"].shape == (2, 16, 16)


def test_fewer_images_are_some_of_them(score) -> None:
    report, scores, arrays = score(images=4)
    assert (report["images"], report["painted"], len(arrays["names"])) == (12, 4, 4)
    chosen = scores[scores["smoothgrad.rho"].notna()]
    assert [*chosen["image"]] == [*arrays["names"]] and report["smoothgrad"]["rho"]["n"] == 4


def test_the_random_network_and_the_centre_prior_do_not_depend_on_the_trained_one(score) -> None:
    _, gala, _ = score()
    _, features, _ = score(attention="features")
    assert (gala["centre_prior.rho"].dropna() == features["centre_prior.rho"].dropna()).all()
    assert (gala["smoothgrad.rho"] != features["smoothgrad.rho"]).any()
    # one of another seed
    _, other, _ = score(seed=1)
    assert (gala["random_smoothgrad.rho"] != other["random_smoothgrad.rho"]).any()


def test_a_batch_changes_rounding_alone(score) -> None:
    _, by_five, _ = score()
    _, at_once, _ = score(batch_size=100)
    for key in ("smoothgrad.rho", "random_smoothgrad.rho", "attention_mean.rho"):
        np.testing.assert_allclose(by_five[key], at_once[key], atol=1e-2)


def test_a_second_run_leaves_the_same_bytes(score) -> None:
    score()
    first = {name: (Path("out") / name).read_bytes() for name in FILES}
    score()
    assert {name: (Path("out") / name).read_bytes() for name in FILES} == first


def test_masks_may_be_left_out(score) -> None:
    Path("nothing/a").mkdir(parents=True)
    Path("nothing/.gitignore").touch()
    report, scores, arrays = score(objects=Path("nothing"))
    assert not arrays["object"].any()
    assert "iou_object" not in report["smoothgrad"] and "iou_part" in report["smoothgrad"]
    assert "share_object" not in scores


def test_a_mask_that_is_missing_is_named_and_nothing_is_written(score, tmp_path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "few/another.png").touch()
    with pytest.raises(FileNotFoundError, match="few/./image.*png: no mask there"):
        score(objects=tmp_path / "few")
    with pytest.raises(FileNotFoundError, match="none: .* leave out the object, .* mkdir -p none"):
        score(objects=Path("none"))
    assert not Path("out").exists()


def test_an_image_without_a_class_is_refused(score, tmp_path) -> None:
    people = write_painted(tmp_path / "unlabelled", label=-1)
    with pytest.raises(ValueError, match="people: an image has no class"):
        score(people=people)


def test_maps_that_are_not_players_are_refused(score, tmp_path) -> None:
    people = write_painted(tmp_path / "teacher", kind="teacher")
    with pytest.raises(ValueError, match="its maps are by a teacher; expected maps by players"):
        score(people=people)


def test_single_players_have_no_ceiling(score, tmp_path) -> None:
    report, _, _ = score(people=write_painted(tmp_path / "alone", players=1))
    assert report["ceilings"] == {"few_players": 11, "flat_maps": 0}
    assert "share_of_player" not in report["smoothgrad"] and report["smoothgrad"]["rho"]["n"] == 11


def test_chance_is_printed(score, painted) -> None:
    _, scores, _ = score()
    name = scores["image"][3]
    expected = chance(read_cut_mask(painted / "object", name, size=(SIDE, SIDE), crop=1.0))
    assert scores["chance_object"][3] == pytest.approx(expected)
