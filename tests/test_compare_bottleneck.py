import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import compare_bottleneck
from attnlabels.bottleneck.tables import CURVES
from attnlabels.pipeline.writing import write_arrays

SEEDS, N = (0, 1, 2), 30
ROW: dict[str, Any] = {"mask": "learnt", "noisy": True}
RUNS = {
    "plain": ROW | {"mask": None, "noisy": False, "weights": {"classification_bits": 1.0}},
    "drawn": ROW | {"weights": {"classification_bits": 1.0, "code_bits": 0.0}},
    "aib": ROW | {"weights": {"classification_bits": 1.0, "code_bits": 0.01}},
    "guided": ROW
    | {"weights": {"classification_bits": 1.0, "code_bits": 0.01, "unit_distance": 2}},
}
SECTION = {
    "measures": ["accuracy", "IoU mask"],
    "contrasts": [["aib", "plain"], ["guided", "aib"]],
    "masked": [["guided", "aib"]],
    "pictured": ["aib"],
    "curves": "aib",
    "level": 0.95,
    "permutations": 1000,
    "seed": 0,
}


def write_run(name: str, *, better: float, bits: float, noise: int) -> None:
    """Scores of a run as `score_bottleneck` leaves them, made up."""
    base, own = np.random.default_rng(7), np.random.default_rng(noise)
    masked = ["mask.iou", "colour.alike", "colour.above_null", "colour.iou", "null.alike"]
    keys = ["top1", "chance", "gradient.iou", "colour.top1", "colour.stays"]
    keys += [*CURVES.values(), *(masked if name != "plain" else [])]
    for seed in SEEDS:
        values = {key: base.uniform(0.3, 0.5, N) + own.normal(0, 0.01, N) for key in keys}
        for key in {"top1", "mask.iou"} & {*values}:
            values[key] += better
        values["chance"] = np.full(N, 0.2)
        if name != "plain":
            values["code_bits"] = bits + own.normal(0, 1, N)
        frame = pd.DataFrame({"image": [f"{k}.png" for k in range(N)], **values})
        Path("data/scores").mkdir(parents=True, exist_ok=True)
        frame.to_csv(f"data/scores/{name}-{seed}.csv", index=False)
        tree: dict[str, Any] = {"images": N, "curve_images": N, "made_by": {"threads": 1}}
        for key, of in values.items():
            map, _, measure = key.rpartition(".")
            told = {"n": N, "mean": float(of.mean()), "se": 0.1}
            (tree.setdefault(map, {}) if map else tree)[measure] = told
        tree["transfer"] = {of: {"top1": 0.4, "n": 5} for of in ("features", "code")}
        Path("metrics/score_bottleneck").mkdir(parents=True, exist_ok=True)
        Path(f"metrics/score_bottleneck/{name}-{seed}.json").write_text(json.dumps(tree))
        write_arrays(
            Path(f"data/examples/{name}-{seed}.npz"),
            images=own.integers(0, 255, (3, 16, 16, 3), np.uint8),
            mask=own.random((3, 4, 4)),
            shares=np.array([0.0, 0.5, 1.0]),
            **{key: np.array([0.9, 0.5, 0.2]) for key in CURVES.values()},
        )


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Compares four runs, with changes to the section."""
    monkeypatch.chdir(tmp_path)
    for i, (name, better, bits) in enumerate(
        [("plain", 0.0, 0.0), ("drawn", 0.0, 400.0), ("aib", 0.0, 50.0), ("guided", 0.2, 60.0)]
    ):
        write_run(name, better=better, bits=bits, noise=i)

    def call(**changed) -> Path:
        tree = {"study": RUNS, "study_seeds": [*SEEDS], "compare_bottleneck": SECTION | changed}
        Path("params.yaml").write_text(json.dumps(tree))
        outs = (Path(name) for name in ("out/tables", "out/report.json", "out/page.html"))
        compare_bottleneck.main("study", Path("metrics"), Path("data"), *outs)
        return Path("out")

    return call


def test_tables_a_figure_numbers_and_a_page_are_left(compare):
    out = compare()
    keys = ["networks", "stability", "curves", "transfer"]
    keys += ["contrasts_accuracy", "contrasts_IoU_mask"]
    assert [each["key"] for each in json.loads((out / "tables/tables.json").read_text())] == keys
    assert (out / "tables/figure.png").read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((out / "report.json").read_text())
    assert [*numbers] == keys
    assert numbers["networks"]["chance"]["IoU mask"]["mean"] == pytest.approx(0.2)
    assert "IoU mask" not in numbers["networks"]["plain"]
    assert [*numbers["stability"]][:2] == ["drawn", "drawn, colour"]
    assert not any("plain" in name for name in numbers["stability"])
    found = numbers["contrasts_accuracy"]["guided_minus_aib"]["difference"]
    assert found["mean"] == pytest.approx(0.2, abs=0.01)
    assert [*numbers["contrasts_IoU_mask"]] == ["guided_minus_aib"]
    page = (out / "page.html").read_text()
    HTMLParser().feed(page)
    assert re.search(r"fall with β in each seed: (400|399) at 0, (50|49)[.\d]* at 0\.01", page)
    assert "more than chance does, in each seed: drawn, aib, guided of 3" in page
    assert re.search(r"Accuracy: guided minus aib \+0\.\d+ ± 0\.\d+\. Not found: aib minus", page)
    assert page.count("data:image/jpeg") == 2 * 3 and page.count("data:image/png") == 1
    assert not re.search(r"\{\w+\}", re.sub(r"<style>.*?</style>", "", page, flags=re.S))


def test_bits_that_do_not_fall_are_told(compare):
    write_run("drawn", better=0.0, bits=10.0, noise=1)
    assert "Bits of the code do not always fall with β" in (compare() / "page.html").read_text()


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ("code_bits", r"Bits of the code: (50|49)[.\d]* at 0\.01; accuracy 0\.\d+\.<"),
        ("mask_bits", ""),
    ],
)
def test_of_one_run_with_bits_or_of_none_nothing_falls(compare, monkeypatch, weight, said):
    monkeypatch.delitem(RUNS, "drawn")
    monkeypatch.delitem(RUNS, "guided")
    monkeypatch.setitem(RUNS, "aib", ROW | {"weights": {"classification_bits": 1.0, weight: 0.01}})
    out = compare(measures=["accuracy"], contrasts=[["aib", "plain"]], masked=[])
    page = (out / "page.html").read_text()
    assert re.search(said, page) and "with β" not in page.partition("<table")[0]
    assert ("Bits of the code: " in page) is bool(said)


def test_runs_that_were_scored_on_other_images_are_not_contrasted(compare):
    for seed in SEEDS:
        path = Path(f"data/scores/aib-{seed}.csv")
        path.write_text(re.sub(r"^(\w)", r"x\1", path.read_text(), flags=re.M).replace("x", "", 1))
    with pytest.raises(ValueError, match="plain and aib were scored with another images; run"):
        compare()


def test_the_same_input_leaves_the_same_bytes(compare):
    first = {path: path.read_bytes() for path in compare().rglob("*") if path.is_file()}
    assert first == {path: path.read_bytes() for path in compare().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"contrasts": [["aib", "cbam"]]}, r"compare_bottleneck\.contrasts names 'cbam', which is"),
        ({"masked": [["cbam", "aib"]]}, r"compare_bottleneck\.masked names 'cbam'"),
        ({"pictured": ["cbam"]}, r"compare_bottleneck\.pictured names 'cbam'"),
        ({"curves": "cbam"}, r"compare_bottleneck\.curves names 'cbam'"),
        ({"measures": ["F"]}, r"compare_bottleneck\.measures names 'F'; expected some of accuracy"),
        ({"pictured": ["plain"]}, r"plain-0\.npz lacks mask"),
        ({"masked": [["plain", "aib"]]}, r"the run plain has no mask\.iou"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_is_left(compare, changed, message):
    for seed in SEEDS:
        path = Path(f"data/examples/plain-{seed}.npz")
        with np.load(path) as arrays:
            kept = {key: each for key, each in arrays.items() if key != "mask"}
        write_arrays(path, **kept)
    with pytest.raises(ValueError, match=message):
        compare(**changed)
    assert not Path("out").exists()
