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


def write_runs() -> None:
    """The tiny runs of all tasks in the current folder, with made-up scores."""
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


def contents() -> dict[str, bytes]:
    """What the comparison leaves of the current folder's runs."""
    outs = (Path("out") / name for name in ("tables", "report.json", "page.html"))
    compare_tasks.main(Path("metrics"), Path("examples"), *outs)
    files = (path for path in Path("out").rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of those runs."""
    made = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        write_runs()
    return made


@pytest.fixture(scope="module")
def compared(folder) -> dict[str, bytes]:
    """What the comparison leaves in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return contents()


def test_tables_figures_numbers_and_a_page_are_left(compared):
    keys = ["correlations"]
    keys += [f"{task}_{kind}" for task in KEPT for kind in ("runs", "contrasts")]
    numbers = json.loads(compared["out/report.json"])
    assert [*numbers] == keys
    assert {f"out/tables/{key}.md" for key in keys} <= {*compared}
    assert {f"out/tables/{task}.png" for task in KEPT} <= {*compared}
    found = numbers["correlations"]["segmentation, people: CC, all"]
    assert found["rho"] > 0.9 and found["runs"] == 12
    assert {f"parts, {each}: CC, all" for each in ("always", "never")} <= {*numbers[keys[0]]}
    page = compared["out/page.html"].decode()
    HTMLParser().feed(page)
    assert "Does attention that is closer to people" in page
    assert "segmentation, people: Spearman" in page
    assert page.count("data:image/png") == len(KEPT) and "data:image/jpeg" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_same_input_leaves_the_same_bytes(folder, compared, monkeypatch):
    monkeypatch.chdir(folder)
    assert contents() == compared


def test_what_is_missing_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_runs()
    Path("metrics/parts-1/none.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"none\.json is missing; run the stage train_t"):
        contents()
    assert not Path("out").exists()
