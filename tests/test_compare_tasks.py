import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import compare_tasks
from attnlabels.pipeline.writing import write_arrays
from tiny_tasks import KEPT, tiny, write_params


def score(run: str, seed: int) -> float:
    """What a made-up run scores; the closer to people, the better."""
    return 0.5 + 0.3 * near(run, seed) + 0.001 * seed


def near(run: str, seed: int) -> float:
    order = ("centre", "wrong", "implicit", "explicit", "oracle")
    (place,) = [i for i, each in enumerate(order) if run.startswith(each)] or [0]
    return 0.2 + 0.15 * place + 0.01 * seed


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Compares the tiny runs of all tasks, with made-up scores."""
    monkeypatch.chdir(tmp_path)
    write_params(tiny())
    rng = np.random.default_rng(0)
    for task, runs in KEPT.items():
        names = {"segmentation": ("f_adaptive", "f_max", "mae", "s_measure", "e_adaptive")}
        people = tiny()["tasks"][task]["people"]
        for run in runs:
            for seed in (0, 1):
                value = score(run, seed)
                scores = dict.fromkeys(names.get(task, ("top1",)), value)
                close = {"cc": near(run, seed), "nss": 1.0, "sauc": 0.6, "null_cc": 0.1}
                about = {
                    "test": scores,
                    "development": scores,
                    "centre_prior": dict.fromkeys(people, close),
                    "made_by": {"processor": "made up", "threads": 1},
                }
                arrays = {"pictures": rng.integers(0, 255, (8, 12, 12, 3), np.uint8)}
                arrays["people"] = rng.random((8, 12, 12))
                if run not in ("none", "frame"):
                    about["closeness"] = dict.fromkeys(people, close)
                    arrays["masks"] = rng.random((8, 12, 12))
                path = Path("metrics") / f"{task}-{seed}" / f"{run}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(about))
                write_arrays(Path("examples") / f"{task}-{seed}" / f"{run}.npz", **arrays)

    def call(out: str = "out") -> Path:
        outs = (Path(out) / name for name in ("tables", "report.json", "page.html"))
        compare_tasks.main(Path("metrics"), Path("examples"), *outs)
        return Path(out)

    return call


def test_tables_figures_numbers_and_a_page_are_left(compare):
    out = compare()
    keys = ["correlations"]
    keys += [f"{task}_{kind}" for task in KEPT for kind in ("runs", "contrasts")]
    numbers = json.loads((out / "report.json").read_text())
    assert [*numbers] == keys
    assert all((out / "tables" / f"{key}.md").is_file() for key in keys)
    assert all((out / "tables" / f"{task}.png").is_file() for task in KEPT)
    found = numbers["correlations"]["segmentation, people: CC, all"]
    assert found["rho"] > 0.9 and found["runs"] == 12
    assert {f"parts, {each}: CC, all" for each in ("always", "never")} <= {*numbers[keys[0]]}
    page = (out / "page.html").read_text()
    HTMLParser().feed(page)
    assert "Does attention that is closer to people" in page
    assert "segmentation, people: Spearman" in page
    assert page.count("data:image/png") == len(KEPT) and "data:image/jpeg" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_same_input_leaves_the_same_bytes(compare):
    first = {path: path.read_bytes() for path in compare().rglob("*") if path.is_file()}
    assert first == {path: path.read_bytes() for path in compare().rglob("*") if path.is_file()}


def test_what_is_missing_is_named_and_nothing_is_left(compare):
    Path("metrics/parts-1/none.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"none\.json is missing; run the stage train_t"):
        compare()
    assert not Path("out").exists()
