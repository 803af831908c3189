import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import compare_likeness
from attnlabels.pipeline.writing import write_arrays
from attnlabels.studies.likeness import TESTED
from scored import SEEDS, write_run

RUNS = ("resnet", "gala", "gala_maps")
SECTION = {
    "contrasts": [["gala", "resnet"], ["gala_maps", "gala"]],
    "pictured": ["resnet", "gala_maps"],
    "gradients": [["gala_maps", "gala"]],
    "level": 0.95,
    "permutations": 1000,
    "seed": 0,
}
AGREEMENT = {"rho": 0.6, "se": 0.01, "n": 9, "blur": "box_49", "pairing": "one_pair"}


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Compares three runs, with changes to the section."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i, name in enumerate(RUNS):
        write_run(tmp_path, name, better=0.1 * (i == 2), seed=i)
        pictures = rng.integers(0, 255, (2, 2, 24, 24, 3), np.uint8)
        for seed in SEEDS:
            write_arrays(
                tmp_path / "data/examples" / f"{name}-{seed}.npz",
                names=np.array([*"abcde"]),
                images=pictures[0],
                seen_through=pictures[1],
                smoothgrad=rng.random((5, 24, 24)),
                attention_last=rng.random((5, 6, 6)),
                object=rng.random((5, 24, 24)) > 0.8,
            )
    Path("metrics").mkdir()
    Path("m").rename("metrics/score_likeness")
    Path("s").rename("data/scores")
    Path("metrics/measure_reliability.json").write_text(json.dumps({"one_pair": AGREEMENT}))

    def call(**changed) -> Path:
        rows = {name: {"unit_attention": name} for name in RUNS}
        tree = {"study": rows, "study_seeds": [*SEEDS], "compare_likeness": SECTION | changed}
        Path("params.yaml").write_text(json.dumps(tree))
        out = (Path(name) for name in ("out/tables", "out/report.json", "out/page.html"))
        compare_likeness.main("study", Path("metrics"), Path("data"), *out)
        return Path("out")

    return call


def test_tables_numbers_and_a_page_are_left(compare):
    out = compare()
    keys = ["networks", "people", *(f"contrasts_{each.replace(' ', '_')}" for each in TESTED)]
    keys.append("overlaps")
    assert [each["key"] for each in json.loads((out / "tables/tables.json").read_text())] == keys
    assert all(
        (out / "tables" / f"{key}.{kind}").is_file() for key in keys for kind in ("md", "csv")
    )
    numbers = json.loads((out / "report.json").read_text())
    assert [*numbers] == keys
    found = numbers["contrasts_rho_gradient"]["gala_maps_minus_gala"]
    assert found["difference"]["mean"] == pytest.approx(0.1, abs=0.01)
    overlap = numbers["overlaps"]["gala_minus_resnet"]
    assert 0 < overlap["first"]["mean"] < 1 and 0 < overlap["p images"] <= 1
    page = (out / "page.html").read_text()
    found = r"Rho gradient: gala maps minus gala \+0\.\d+ ± 0\.\d+\. Not found: gala minus resnet\."
    assert re.search(found, page)
    HTMLParser().feed(page)
    assert page.count("data:image/jpeg") == 3 * 2 + 5  # images, two runs; one pair of gradients
    assert "http" not in page.replace("http://www.w3.org", "")
    assert not re.search(r"\{\w+\}", re.sub(r"<style>.*?</style>", "", page, flags=re.S))


def test_without_masks_there_is_no_overlap_and_all_the_rest(compare):
    for path in Path("data/scores").iterdir():
        table = pd.read_csv(path)
        table.loc[:, [key for key in table if "iou" not in key]].to_csv(path, index=False)
    for path in Path("metrics/score_likeness").iterdir():
        tree = json.loads(path.read_text())
        for each in (each for each in tree.values() if isinstance(each, dict)):
            for key in [key for key in each if "iou" in key]:
                del each[key]
        told = {key: each for key, each in tree.items() if "chance" not in key}
        path.write_text(json.dumps(told))
    numbers = json.loads((compare() / "report.json").read_text())
    contrasts = [f"contrasts_{each.replace(' ', '_')}" for each in TESTED if "IoU" not in each]
    assert [*numbers] == ["networks", "people", *contrasts]
    assert "chance" not in numbers["networks"]
    assert not any("IoU" in key for row in numbers["networks"].values() for key in row)


def test_the_same_input_leaves_the_same_bytes(compare):
    first = {path: path.read_bytes() for path in compare().rglob("*") if path.is_file()}
    assert first == {path: path.read_bytes() for path in compare().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("contrasts", [["cbam", "gala"]]),
        ("gradients", [["gala", "cbam"]]),
        ("pictured", ["cbam"]),
    ],
)
def test_what_is_no_run_is_named_and_nothing_is_left(compare, key, names):
    message = rf"compare_likeness\.{key} names 'cbam', which is no run; expected some of resnet"
    with pytest.raises(ValueError, match=message):
        compare(**{key: names})
    assert not Path("out").exists()


def harm_json(**changed):
    path = Path("metrics/score_likeness/gala-0.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def harm_csv(run: str, harm):
    for path in Path("data/scores").glob(f"{run}.csv"):
        harm(pd.read_csv(path)).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda: harm_json(blur="disc_twice"), "runs resnet and gala were .* another blur; run"),
        (lambda: harm_csv("gala-*", lambda rows: rows[:-1]), "resnet and gala .* another images"),
        (lambda: harm_csv("gala-1", lambda rows: rows[1:]), "gala-1.csv: of other images than"),
        (
            lambda: harm_csv("gala-*", lambda rows: pd.concat([rows, rows[:1]])),
            "gala-0.csv: of other images than .* one twice",
        ),
        (lambda: harm_csv("gala-2", lambda rows: rows[["image"]]), "gala-2.csv: .* other columns"),
        (lambda: harm_json(top1_error={}), "the run gala has no top1_error; run the stage score"),
        (
            lambda: Path("metrics/score_likeness/gala-0.json").write_text("{"),
            "gala-0.json: no whole JSON .* run the stage score_likeness again",
        ),
        (
            lambda: Path("data/examples/gala-0.npz").write_bytes(b"no archive"),
            "gala-0.npz: no whole npz of numbers .no array.; run the stage score_likeness again",
        ),
    ],
)
def test_scores_that_do_not_compare_are_refused(compare, harm, message):
    harm()
    with pytest.raises(ValueError, match=message):
        compare()
    assert not Path("out").exists()


def test_one_seed_tests_nothing_and_the_page_says_so(compare, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SEEDS", (0,))
    page = (compare() / "page.html").read_text()
    assert page.count("one seed, which tests nothing") == len(TESTED)
    assert "no difference is found" not in page
