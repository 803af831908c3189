import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import measure_reliability
from painted import write_painted

SECTION: dict[str, Any] = {
    "blur": "box_49",
    "count": "binary",
    "map_size": 16,
    "pairs": "one_pair",
    "splits": 4,
    "seed": 0,
}
NULLS = ["other_class", "same_class"]
HALVES = ["split_halves", "bootstrapped_halves"]
Measure = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    return write_painted(tmp_path_factory.mktemp("painted"))


@pytest.fixture
def measure(tmp_path, monkeypatch, painted) -> Measure:
    monkeypatch.chdir(tmp_path)

    def call(people: Path = painted, **changed: Any) -> dict[str, Any]:
        tree = {"threads": 1, "measure_reliability": SECTION | changed}
        Path("params.yaml").write_text(json.dumps(tree))
        measure_reliability.main(people / "people", Path("out/report.json"))
        report = json.loads(Path("out/report.json").read_text())
        assert report.pop("made_by")["threads"] == 1
        return report

    return call


def test_players_agree_within_an_image_and_not_beyond_and_more_by_halves(measure, capsys) -> None:
    report = measure()
    assert {key: report[key] for key in ("images", "nobody", "few_players", "flat_maps")} == {
        "images": 11,
        "nobody": 1,
        "few_players": 0,
        "flat_maps": 0,
    }
    assert (report["players"], report["map_size"]) == (4, 16)
    pairings = ["one_pair", *NULLS, *HALVES]
    assert [key for key, told in report.items() if isinstance(told, dict)] == pairings
    rho = {key: report[key]["rho"] for key in pairings}
    assert max(rho[key] for key in NULLS) < 0.5 < rho["one_pair"] < rho["split_halves"]
    assert rho["bootstrapped_halves"] < rho["split_halves"]
    assert f"one_pair {rho['one_pair']:.3f}" in capsys.readouterr().out


def test_every_number_says_what_it_was_measured_with(measure) -> None:
    report = measure(blur="harmonization")
    for pairing in ("one_pair", *NULLS, *HALVES):
        told = report[pairing]
        assert (told["blur"], told["pairing"], told["n"]) == ("harmonization", pairing, 11)
        assert told["se"] > 0
    assert report["one_pair"]["rho"] != measure()["one_pair"]["rho"]


def test_all_pairs_are_less_noisy_than_one(measure) -> None:
    report = measure(pairs="all_pairs")
    assert "one_pair" not in report and report["all_pairs"]["rho"] > 0.5
    assert report["all_pairs"] == measure(pairs="all_pairs", seed=9)["all_pairs"]
    assert measure()["one_pair"] != measure(seed=9)["one_pair"]


def test_of_one_class_there_is_no_null_of_others(measure, tmp_path) -> None:
    report = measure(write_painted(tmp_path / "alike", label=1))
    assert "other_class" not in report and report["same_class"]["n"] == 11


def test_without_two_players_there_is_nothing_to_measure(measure, tmp_path) -> None:
    with pytest.raises(ValueError, match="people: no image has maps of two players or more"):
        measure(write_painted(tmp_path / "alone", players=1))
    assert not Path("out").exists()
