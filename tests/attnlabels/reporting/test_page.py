import io
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from attnlabels.pipeline.gaps import Results
from attnlabels.pipeline.params import check, read
from attnlabels.pipeline.results import runs_of
from attnlabels.reporting.charts import ALL_RUNS
from attnlabels.reporting.page import SCORES, bands_of, gather, score_ablations, write_page
from attnlabels.reporting.tables import Printed
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

GUIDED = "contrastive_attn_teacher"
NASTY = "</script><b>\"x\" & 'y'"  # a run's name, and so a file's
NASTY_FILE = NASTY.replace("/", "_")
SEEDS = {"contrastive": (0, 1), GUIDED: (0, 1), "simclr": (0,), NASTY_FILE: (0,)}
LEVELS = {"contrastive": 0.1, GUIDED: 0.5, "simclr": 0.2, NASTY_FILE: 0.3}
WEIGHTS = {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0}
STUDIES = "main+table1"
PAGE = "metrics/table1/report.html"


def folder(root, name, stage):
    study = "" if name in ("contrastive", GUIDED) else "table1"
    found = Path(root, study, stage)
    found.mkdir(parents=True, exist_ok=True)
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory, tiny_params):
    """What the stages before would leave for two runs of `main` and two of `table1`."""
    root = tmp_path_factory.mktemp("built")
    tiny_params(root, {"seeds": [0, 1]})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        rows = {
            "simclr": {"stop_gradient": False, "weights": {"contrastive": 1.0, "probe": 1.0}},
            NASTY_FILE: {"stop_gradient": False, "weights": WEIGHTS, "map_size": 3},
        }
        change_params(study_seeds=[0], table1=rows)
        rng = np.random.default_rng(0)
        write_teacher(rng)
        for name, seeds in SEEDS.items():
            for seed in seeds:
                write_run(name, seed, level=LEVELS[name] + 0.1 * seed, rng=rng)
        Path("metrics/figures").mkdir()
        Path("metrics/figures/labels.png").write_bytes(png())
        for study in ("", "table1"):
            write_tables(Path("metrics", study, "tables"))
        report()
    return root


@pytest.fixture(scope="module")
def text(built):
    """The page of all of it."""
    return (built / PAGE).read_text()


@pytest.fixture
def world(built, tmp_path, monkeypatch):
    """A copy of all of it, to change."""
    shutil.copytree(built, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")


def change_params(**sections):
    tree = read() | sections
    with Path("params.yaml").open("w") as file:
        YAML().dump(tree, file)


def png():
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, format="PNG")
    return file.getvalue()


def cc_rows(readout, level, rng):
    cc = np.clip(rng.normal(level, 0.2, 12), -1, 1)
    return [
        {"set": subset, "image": f"{i}.jpg", "readout": readout, "cc": value}
        for subset in ("val", "eye")
        for i, value in enumerate(cc)
    ]


def pictures(rng, prefix=""):
    return {
        f"{prefix}images": rng.integers(0, 256, (4, 24, 32, 3), dtype=np.uint8),
        f"{prefix}human": rng.random((4, 24, 32)).astype(np.float32),
        f"{prefix}names": np.array([f"{i}.jpg" for i in range(4)]),
    }


def write_teacher(rng):
    where = folder("data", "contrastive", "alignment")
    rows = [
        row
        for readout, level in (("teacher", 0.6), ("centre_prior", 0.4), ("split_half", 0.7))
        for row in cc_rows(readout, level, rng)
    ]
    pd.DataFrame(rows).to_csv(where / "teacher.csv", index=False)
    maps = rng.random((4, 24, 32)).astype(np.float32)
    np.savez(where / "teacher.npz", maps=maps, **pictures(rng))


def write_run(name, seed, *, level, rng):
    stem = f"{name}-{seed}"
    readouts = ("refitted",) if name == "simclr" else ("as_trained", "refitted")
    rows = [row for readout in readouts for row in cc_rows(readout, level, rng)]
    pd.DataFrame(rows).to_csv(folder("data", name, "alignment") / f"{stem}.csv", index=False)
    maps = {
        f"{prefix}maps_{readout}": rng.random((4, 24, 32)).astype(np.float32)
        for prefix in ("", "extreme_")
        for readout in readouts
    }
    arrays = pictures(rng) | pictures(rng, "extreme_") | maps
    np.savez(folder("data", name, "alignment") / f"{stem}.npz", **arrays)

    curve = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0 + level]})
    if name != "simclr":
        curve["kld"] = curve["loss"] / 10
    curve.to_csv(folder("data", name, "curves") / f"{stem}.csv", index=False)

    cells = [("clean", 0), *product(("fog", "snow"), range(1, 6))]
    curves = [
        (key, corruption, severity, k, level / (1 + severity) / k, k / 10)
        for key in ("imagenet", "cifar10")
        for corruption, severity in cells
        for k in (1, 5, 10)
    ]
    columns = ["set", "corruption", "severity", "k", "precision", "recall"]
    table = pd.DataFrame(curves, columns=columns)
    table.to_csv(folder("data", name, "retrieval") / f"{stem}.csv", index=False)

    scores = {"generated": 1, "clean": level, "mean": level, "mean_extra": level}
    for i, corruption in enumerate((*CORRUPTIONS, *EXTRA)):
        scores[corruption] = {str(s): level - 0.01 * i * s for s in range(1, 6)} | {"mean": level}
    reports = {
        "score_robustness": {"imagenet_c": scores, "cifar10_c": scores},
        "probe_linear": {"imagenet": {"top1": level}},
        "score_retrieval": {"imagenet": {"map": level}},
        "align_attention": {"eye": {"refitted": {"cc": level}}},
    }
    for stage, report in reports.items():
        (folder("metrics", name, stage) / f"{stem}.json").write_text(json.dumps(report))


def write_tables(where):
    where.mkdir(parents=True)
    cell = {"text": "0.5000 ± 0.0100", "value": 0.5, "se": 0.01}
    made = [
        {
            "key": key,
            "title": f"Title of <{key}>",
            "caption": "Of `mean`s & <i>more</i>.",
            "columns": [{"key": "a", "label": "A & B"}, {"key": "paper_a", "label": "paper"}],
            "rows": [
                {"key": name, "label": name, "cells": {"a": cell}} for name in (NASTY, "other")
            ],
        }
        for key in ("accuracy", "retrieval")
    ]
    made.append(
        {
            "key": f"differences_{NASTY_FILE}",
            "title": f"{NASTY} minus contrastive",
            "caption": "",
            "columns": [{"key": key, "label": key} for key in ("difference", "se", "p_holm")],
            "rows": [
                {"key": "imagenet_top1", "label": "top1", "cells": difference(0.25, None)},
                {"key": "mean", "label": "mean", "cells": difference(0.3, 0.1)},
                {"key": "map", "label": "map", "cells": difference(-0.2, None)},
                {"key": "cc", "label": "cc", "cells": {}},
            ],
        }
    )
    (where / "tables.json").write_text(json.dumps(made))
    for table in made:
        (where / f"{table['key']}.csv").write_text(f"row,a\n{NASTY},0.5\n")
        (where / f"{table['key']}.md").write_text(f"| {NASTY} | 0.5 ± 0.01 |\n")


def difference(value, se):
    cells = {"difference": (str(value), value), "se": (str(se), se), "p_holm": ("0.01", 0.01)}
    return {key: {"text": text, "value": each, "se": None} for key, (text, each) in cells.items()}


def report(studies=STUDIES):
    path, tree = Path(PAGE), read()
    results = Results(Path("metrics"), Path("data"), runs_of(studies, tree))
    first = {"alignment_set": "eye", "retrieval_corruption": "fog", "examples": 2}
    gathered = gather(results, tree, beside=path.parent, **first)
    write_page(path, gathered | {"code": "of a commit"})
    return path.read_text()


def drawn(text):
    """The charts as the page's script finds them."""
    return json.loads(
        re.search(r'<script type="application/json" id="drawn">(.*?)</script>', text, re.S)[1]
    )


class Elements(HTMLParser):
    """The elements of a page, and its words."""

    def __init__(self, text):
        super().__init__()
        self.found, self.words = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def of(self, name):
        return [attributes for tag, attributes in self.found if tag == name]


def test_the_page_needs_nothing_beside_it(text):
    assert "http:" not in text and "https:" not in text and "@import" not in text
    page = Elements(text)
    addresses = [each[key] for _, each in page.found for key in ("src", "href") if key in each]
    assert {re.match(r"data:|#", address)[0] for address in addresses} == {"data:", "#"}
    assert len(text.encode()) < 1_000_000


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(text):
    page = Elements(text)
    ids = [each["id"] for _, each in page.found if "id" in each]
    assert len(ids) == len({*ids})
    inside = {each["href"][1:] for each in page.of("a") if each["href"].startswith("#")}
    assert len(inside) > 8 and inside <= {*ids}


def test_every_picture_says_what_it_shows(text):
    images = Elements(text).of("img")
    assert len(images) > 30 and all(each["alt"].strip() for each in images)
    said = [each["alt"] for each in images]
    expected = re.compile(r"0.jpg: the map of simclr, refitted, CC -?0\.\d\d")
    assert any(map(expected.fullmatch, said))


def test_names_are_shown_as_they_are_and_make_no_elements(text):
    page = Elements(text)
    assert not page.of("b") and len(page.of("script")) == 2
    assert all("class" in each for each in page.of("i"))
    assert NASTY in page.words and "Title of <accuracy>" in page.words
    assert "Of means & <i>more</i>." in page.words and {"code"} <= {tag for tag, _ in page.found}
    charts = drawn(text)["charts"]
    label = NASTY_FILE.replace("_", " ")
    assert label in charts["extremes"]["tree"]
    assert label in next(iter(charts["heat"]["tree"].values()))


def test_the_same_results_leave_the_same_bytes(text, world):
    assert report() == text


def test_tables_are_there_to_take_as_csv_and_markdown(built, text):
    links = {
        each["download"]: each["href"] for each in Elements(text).of("a") if "download" in each
    }
    assert set(links) == {
        f"{key}.{end}"
        for end in ("csv", "md")
        for key in ("accuracy", "retrieval", f"differences_{NASTY_FILE}")
    }
    head, _, content = links["accuracy.csv"].partition(",")
    assert head == "data:text/csv;charset=utf-8"
    assert unquote(content) == (built / "metrics/table1/tables/accuracy.csv").read_text()


def test_the_heat_map_of_a_set_without_the_extra_corruptions_is_blank_there(world):
    for path in Path("metrics").rglob("score_robustness/*.json"):
        found = json.loads(path.read_text())
        for name in ("mean_extra", *EXTRA):
            del found["imagenet_c"][name]
        path.write_text(json.dumps(found))
    heat = drawn(report())["charts"]["heat"]
    values = heat["tree"]["ImageNet-C, corrupted by us"]["contrastive"]["top-1 accuracy"]["values"]
    assert values[heat["rows"].index("spatter")] == [None] * 6
    assert None not in values[heat["rows"].index("snow")]


def test_heat_maps_hold_means_over_seeds_and_differences_over_shared_ones(text):
    heat = drawn(text)["charts"]["heat"]
    of_set = heat["tree"]["ImageNet-C, corrupted by us"]
    guided = of_set["contrastive attn teacher"]
    snow = heat["rows"].index("snow")
    accuracy, difference = guided["top-1 accuracy"], guided["minus contrastive"]
    expected = [0.55 - 0.01 * CORRUPTIONS.index("snow") * severity for severity in range(1, 6)]
    assert accuracy["values"][snow] == pytest.approx([*expected, 0.55], abs=1e-4)
    assert np.array(difference["values"][snow]) == pytest.approx(0.4)
    assert accuracy["values"][heat["rows"].index("clean")] == [None] * 5 + [0.55]
    assert difference["limits"] == pytest.approx([-0.4, 0.4])
    # one seed is shared: 0.2 against the baseline's 0.1 and not against its mean of 0.15
    assert of_set["simclr"]["minus contrastive"]["values"][snow][-1] == pytest.approx(0.1)
    assert of_set["simclr"]["minus contrastive"]["note"] == "Mean of 1 seed."
    assert "minus contrastive" not in of_set["contrastive"]
    beside = of_set[ALL_RUNS]["top-1 accuracy"]
    assert beside["values"][snow] == pytest.approx([0.15, 0.55, 0.2, 0.3])


def test_differences_of_all_runs_stand_on_one_scale_with_zero(text):
    page = Elements(text)
    assert f"{NASTY} minus contrastive" in page.words
    assert "+0.3000 ± 0.1000" in page.words and "-0.2000" in page.words
    assert places(text.split('<section id="further">')[1]) == [
        *([0], [100, 0], [100]),
        *([0], [50, 50], [75]),  # 0.3 ± 0.1 of 0..0.4
        *([100], [0, 0], [0]),  # -0.2..0
    ]
    assert [*drawn(text)["charts"]["forests"]["tree"]] == ["top1", "mean", "map"]


def places(text):
    """Of zero, the whisker and its middle, of each that is drawn."""
    return [
        [float(number) for number in re.findall(r"[\d.]+", each["style"])]
        for each in Elements(text).of("i")
        if each.get("class") in ("zero", "whisker", "dot")
    ]


def test_the_page_opens_with_two_sentences_and_a_picture(text):
    before, opening = text.split('<section id="finding"')[0], text.split('<section id="finding"')[1]
    opening, after = opening.split("</section>")[0], opening.split("</section>")[1]
    assert "<section" not in before.split("<body>")[1] and "<nav" in after
    label = NASTY_FILE.replace("_", " ")
    page = Elements(f"<section{opening}")
    assert len([each for each in page.of("p") if each.get("class") == "sentence"]) == 2
    assert f"Beside its baseline (contrastive), {label} is higher in probe top-1 (+0.250)" in (
        page.words
    )
    assert "With one seed there is no error" in page.words and "On synthetic data" in page.words
    assert places(opening) == [[0], [100, 0], [100]]


def test_a_page_without_differences_opens_with_what_to_run(world):
    Path("metrics/table1/tables/tables.json").unlink()
    opening = report().split('<section id="finding"')[1].split("</section>")[0]
    assert "run <code>dvc repro stages/table1/dvc.yaml</code>" in opening


def test_a_wide_table_is_in_parts_that_fit_and_lose_no_column():
    rows = [{"key": "a", "label": "a", "cells": {}}]
    columns = [{"key": f"k{i}", "label": f"imagenet c minus {i}"} for i in range(30)]
    cell = {"text": "0.5000 ± 0.0100", "value": 0.5, "se": 0.01}
    rows[0]["cells"] = {column["key"]: cell for column in columns[:3]}
    made = {"key": "a", "title": "", "caption": "", "columns": columns, "rows": rows}
    bands = bands_of(check(Printed, made, where="made"))
    assert [column.key for band in bands for column in band] == [each["key"] for each in columns]
    assert [len(band) for band in bands] == [8, 10, 10, 2]  # 3 of 17 and 5 of 10 letters; of 106
    assert [*map(len, bands_of(check(Printed, made | {"columns": []}, where="made")))] == [0]


def test_machines_are_listed_where_the_metrics_say_them(world):
    assert "made on" not in report()
    machine = {"processor": "Some CPU (AVX2)", "threads": 2, "torch": "2.13", "dvc": "3.60"}
    made_by = [machine | {"files": 9}, machine | {"threads": 1, "files": 1}]
    path = Path("metrics/table1/tables/made_by.json")
    path.write_text(json.dumps({"made_by": made_by}))
    words = Elements(report()).words
    assert "Some CPU (AVX2), 2 threads, torch 2.13, dvc 3.60: 9 files of metrics" in words
    assert "Some CPU (AVX2), 1 thread, torch 2.13, dvc 3.60: 1 file of metrics" in words


def test_curves_of_retrieval_are_found_by_set_corruption_and_severity(text):
    chart = drawn(text)["charts"]["retrieval"]
    assert chart["start"] == ["ImageNet", "fog", "3"]
    lines = {each["line"]: each for each in chart["tree"]["CIFAR-10"]["snow"]["4"]}
    assert [*lines] == [*SEEDS]
    assert lines[GUIDED]["x"] == [0.1, 0.5, 1]
    assert lines[GUIDED]["y"] == pytest.approx([0.55 / 5 / k for k in (1, 5, 10)], rel=1e-3)
    assert lines[GUIDED]["se"][0] == pytest.approx(0.05 / 5)
    assert "se" not in lines["simclr"]
    assert [*chart["tree"]["ImageNet"]["clean"]] == ["none"]


def test_a_run_without_a_head_of_its_own_is_left_out_as_trained(text):
    tree = drawn(text)["charts"]["cc"]["tree"]["eye fixations (eye)"]
    as_trained, refitted = ({each["line"] for each in tree[key]} for key in tree)
    assert refitted - as_trained == {"simclr"}
    assert {"/teacher", "/centre_prior", "/split_half"} < as_trained
    assert "the map of simclr, as trained" not in text


def test_a_run_without_a_term_of_the_loss_has_no_line_of_it(text):
    tree = drawn(text)["charts"]["training"]["tree"]
    assert [each["line"] for each in tree["total loss"]] == [*SEEDS]
    assert "simclr" not in [each["line"] for each in tree["KLD of attention"]]


def test_the_worst_and_the_best_are_of_the_images_kept_as_such(built, text):
    with np.load(built / "data/table1/alignment/simclr-0.npz") as file:
        names = file["extreme_names"]
    scores = pd.read_csv(built / "data/table1/alignment/simclr-0.csv")
    cc = scores[scores["set"] == "eye"].set_index("image")["cc"]
    for name in names:
        assert f"{name}: the map of simclr, refitted, CC {cc[name]:.2f}" in text


@pytest.mark.parametrize(
    "gone, section",
    [
        ("metrics/{}score_robustness/{}.json", "robustness"),
        ("data/{}retrieval/{}.csv", "retrieval"),
        ("data/{}curves/{}.csv", "training"),
        ("data/{}alignment/{}.csv", "alignment"),
        ("data/{}alignment/{}.npz", "alignment"),
    ],
)
def test_a_missing_file_is_said_with_what_to_run_and_the_rest_is_drawn(world, gone, section):
    Path(gone.format("table1/", "simclr-0")).unlink()
    Path(gone.format("", f"{GUIDED}-1")).unlink()
    text = report()
    of_section = text.split(f'<section id="{section}">')[1].split("</section>")[0]
    assert "run <code>dvc repro stages/table1/dvc.yaml</code>" in of_section
    assert gone.format("table1/", "simclr-0") in of_section
    if not gone.endswith("npz"):  # of pictures the first seed alone is read
        assert "run <code>dvc repro</code>" in of_section
        assert gone.format("", f"{GUIDED}-1") in of_section
    assert text.count('class="gap"') <= 6


def test_nothing_at_all_is_a_page_that_says_what_to_run(world):
    for path in [*Path("metrics").rglob("*.*"), *Path("data").rglob("*.*")]:
        path.unlink()
    page = Elements(report())
    assert "data-chart" not in {key for _, each in page.found for key in each}
    assert page.words.count("run dvc repro stages/table1/dvc.yaml.") >= 5


def test_a_study_that_is_not_in_the_page_is_named_with_its_command(world):
    text = report("main")
    assert "run <code>dvc repro stages/table1/dvc.yaml</code>" in text
    assert "simclr" not in Elements(text.split("<script")[0]).words.replace("train_simclr", "")


def test_what_maps_show_must_be_the_teachers_images(world):
    path = Path(f"data/alignment/{GUIDED}-0.npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"names": arrays["names"][::-1]})
    with pytest.raises(ValueError, match=f"{GUIDED}-0.npz shows other images than"):
        report()


def test_tables_of_another_form_are_refused(world):
    path = Path("metrics/table1/tables/tables.json")
    made = json.loads(path.read_text())
    made[1]["rows"][0]["cells"]["a"]["value"] = "a half"
    path.write_text(json.dumps(made))
    with pytest.raises(ValueError, match="tables.json.tables.1.rows.0.cells.a.value: "):
        report()


def test_runs_that_read_alike_are_refused(world):
    change_params(table1={"contrastive attn teacher": read()["table1"]["simclr"]})
    with pytest.raises(ValueError, match="several runs that read 'contrastive attn teacher'"):
        report()


def test_a_page_too_large_to_send_is_refused_and_the_old_one_kept(world, monkeypatch):
    text = report()
    monkeypatch.setattr("attnlabels.reporting.page.LARGEST", 50_000)
    with pytest.raises(ValueError, match=r"report.html would have .*\(align_attention.examples\)"):
        report()
    assert Path(PAGE).read_text() == text


def test_synthetic_data_are_said_to_be(text, world):
    assert "Synthetic data, small scale." in text
    images = read()["list_images"]
    images["train"]["images"] = "data/photographs"
    change_params(list_images=images)
    of_photographs = report()
    assert "Synthetic" not in of_photographs and "Mind the scale." in of_photographs


def test_ablations_stand_beside_the_run_that_they_change(world):
    change_params(ablations={"small_map": {**read()["main"][GUIDED], "map_size": 5}})
    tree = read()
    scores = {
        "probe_linear": {"imagenet": {"top1": 0.25}},
        "score_robustness": {"imagenet_c": {"mean": 0.5}},
        "score_retrieval": {"imagenet": {"map": 0.75}},
        "align_attention": {"eye": {"refitted": {"cc": 0.125}}},
    }
    for stage, found in scores.items():
        path = Path("metrics/ablations", stage, "small_map-0.json")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(found))
    results = Results(Path("metrics"), Path("data"), runs_of("main+ablations", tree))
    _, guided, small = score_ablations(results, tree)
    assert guided["label"] == "contrastive attn teacher"
    assert guided["probe top-1"] == "0.550 ± 0.050"
    assert small["built"] == "as contrastive attn teacher but map size 5"
    assert [small[key] for key in SCORES] == ["0.250", "0.750", "0.500", "0.125"]


# From here on: in a real browser.

BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome", "chrome-headless-shell")


class Page:
    """A page in a headless Chromium of its own, spoken to in its DevTools protocol over a pipe.

    A context manager, which ends the browser.
    """

    def __init__(self, browser: str, *, folder: Path) -> None:
        theirs, self.commands = os.pipe()
        self.answers, ours = os.pipe()
        # The browser reads commands from 3 and answers on 4. The shell moves ours there: bash, as
        # others know no number of two digits.
        self.process = subprocess.Popen(
            [
                "bash",
                "-c",
                f'exec "$0" "$@" 3<&{theirs} 4>&{ours}',
                browser,
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
                f"--user-data-dir={folder}",
            ],
            pass_fds=(theirs, ours),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(ours)
        self.read = os.fdopen(self.answers, "rb")
        self.sent = 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Page":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.commands)
        self.process.terminate()
        self.process.wait()
        self.read.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command; events that come before it are kept."""
        self.sent += 1
        message: dict[str, Any] = {"id": self.sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path: Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def resize(self, width: int, height: int = 800) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"]))
        return done["result"].get("value")

    def settle(self) -> None:
        """Wait until what changed has been laid out and drawn."""
        self.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def click(self, selector: str) -> None:
        """With the mouse, at the middle of the element."""
        x, y = self.ask(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)});"
            " found.scrollIntoView({block: 'center'}); const box = found.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )
        self.settle()

    @property
    def problems(self) -> list[str]:
        """Errors and warnings of its console, and requests beyond this machine's files."""
        bad = []
        for event in self.events:
            params = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown" | "Network.loadingFailed":
                    bad.append(json.dumps(params))
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                    bad.append(json.dumps(params))
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    bad.append(json.dumps(params))
                case "Network.requestWillBeSent":
                    if not params["request"]["url"].startswith(("file:", "data:")):
                        bad.append(params["request"]["url"])
        return bad

    def _receive(self) -> dict[str, Any]:
        found = bytearray()
        while (byte := self.read.read(1)) != b"\0":
            if not byte:
                raise RuntimeError(f"the browser ended, status {self.process.wait()}")
            found += byte
        return json.loads(found)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    command = next(filter(None, map(shutil.which, BROWSERS)), None)
    if command is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH; Debian's package is chromium")
    with Page(command, folder=tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def browser(running, built):
    """The page in a browser, just opened on a wide and bright screen."""
    running.resize(1100)
    running.call("Emulation.setEmulatedMedia", media="", features=[])
    running.open(built / PAGE)
    running.settle()
    return running


LINES = (
    "[...document.querySelectorAll('[data-chart=retrieval] .plot g title')]"
    ".map((e) => e.textContent)"
)
CAPTION = "document.querySelector('.heat caption').textContent"


def test_a_browser_draws_all_of_it_without_complaint(browser):
    broken = "[...document.images].filter((e) => !(e.complete && e.naturalWidth)).length"
    assert browser.ask("document.images.length") > 30 and browser.ask(broken) == 0
    plots = "[...document.querySelectorAll('.plot')]"
    drawn = browser.ask(f"{plots}.map((e) => e.querySelectorAll('g path').length)")
    assert len(drawn) == 3 and min(drawn) >= 3
    assert "NaN" not in browser.ask(f"{plots}.map((e) => e.innerHTML).join()")
    assert browser.ask("document.querySelectorAll('.heat td[style]').length") > 90
    assert browser.problems == []


def test_what_is_shown_is_chosen_with_the_mouse(browser):
    before = browser.ask(LINES)
    assert before[:3] == ["contrastive", "contrastive attn teacher", "simclr"]
    browser.click("[data-chart=retrieval] .legend label:nth-of-type(3) input")
    assert browser.ask(LINES) == [label for label in before if label != "simclr"]
    browser.click("[data-chart=extremes] select")
    browser.press("ArrowDown", 40)
    browser.press("Enter", 13)
    parts = "[...document.querySelectorAll('[data-chart=extremes] [data-part]')]"
    assert browser.ask(f"{parts}.map((e) => !e.hidden)") == [False, False, True, False]
    assert browser.problems == []


def test_what_is_shown_is_chosen_with_the_keyboard(browser):
    severity = "document.querySelectorAll('[data-chart=retrieval] select')[2]"
    plot = "document.querySelector('[data-chart=retrieval] .plot svg')"
    before = browser.ask(f"{plot}.textContent")  # of which the axes are
    browser.ask(f"{severity}.focus()")
    browser.press("ArrowDown", 40)
    assert browser.ask(f"{severity}.value") == "4"
    assert browser.ask(f"{plot}.textContent") != before
    assert "ImageNet, fog, 4" in browser.ask(f"{plot}.getAttribute('aria-label')")
    browser.press("Tab", 9)
    browser.press(" ", 32)
    assert "contrastive" not in browser.ask(LINES)
    assert "minus contrastive (points)" in browser.ask(CAPTION)
    browser.ask("document.querySelector('[data-chart=heat] select').focus()")
    browser.press("Tab", 9)
    browser.press("ArrowUp", 38)
    assert browser.ask(CAPTION) == "ImageNet-C, corrupted by us, contrastive, top-1 accuracy (%)"


def test_what_is_chosen_above_says_what_there_is_below(browser):
    browser.ask(
        "(() => { const [, corruption] ="
        " document.querySelectorAll('[data-chart=retrieval] select');"
        " corruption.value = 'clean'; corruption.dispatchEvent(new Event('change')); })()"
    )
    severity = "document.querySelectorAll('[data-chart=retrieval] select')[2]"
    assert browser.ask(f"[{severity}.value, {severity}.disabled]") == ["none", True]
    assert len(browser.ask(LINES)) == 4


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_reaches_over_the_edge_of_a_narrow_screen(browser, width):
    browser.resize(width)
    browser.settle()
    assert browser.ask("document.documentElement.scrollWidth") <= width
    outside = (
        "[...document.querySelectorAll('main *, nav *, header *')].filter((e) =>"
        f" !e.closest('.scroll, details') && e.getBoundingClientRect().right > {width} + 0.5)"
        ".map((e) => e.outerHTML.slice(0, 200))"
    )
    assert browser.ask(outside) == []


def test_no_table_is_cut_off_on_a_common_screen(browser):
    browser.resize(1280)
    browser.ask("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    browser.ask("document.querySelectorAll('[data-part]').forEach((e) => { e.hidden = false; })")
    browser.settle()
    cut = (
        "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth)"
        ".map((e) => e.getAttribute('aria-label'))"
    )
    assert browser.ask(cut) == []
    assert browser.ask("document.documentElement.scrollWidth") <= 1280


def test_on_paper_what_is_folded_is_open_and_choosers_are_words(browser):
    folded = "document.querySelectorAll('details:not([open])').length"
    assert browser.ask(folded) > 0
    browser.ask("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.ask(folded) == 0
    browser.ask("window.dispatchEvent(new Event('afterprint'))")
    assert browser.ask(folded) > 0
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.ask("getComputedStyle(document.querySelector('select')).appearance") == "none"
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_a_dark_screen_is_dark(browser):
    colours = (
        "['color', 'backgroundColor'].map((key) =>"
        " getComputedStyle(document.documentElement)[key].match(/\\d+/g).map(Number)[0])"
    )
    light = browser.ask(colours)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", features=dark)
    ink, paper = browser.ask(colours)
    assert light[0] < 100 < light[1] and paper < 100 < ink
