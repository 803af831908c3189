import csv
import json
import math

import pandas as pd
import pytest

import make_tables
from attnlabels.datasets.corruptions import CORRUPTIONS, EXTRA

GUIDED = "contrastive_attn_teacher"
PARAMS = """
seeds: {seeds}
main: {{contrastive: {{}}, contrastive_attn_teacher: {{}}}}
make_tables: {{baseline: contrastive}}
"""
TOP1 = {("contrastive", 0): 0.5, ("contrastive", 1): 0.7, (GUIDED, 0): 0.6, (GUIDED, 1): 0.9}
# CC of three images by seed
CC = {
    ("contrastive", 0): [0.1, 0.2, 0.3],
    ("contrastive", 1): [0.3, 0.2, 0.1],  # means 0.2, 0.2, 0.2
    (GUIDED, 0): [0.4, 0.5, 0.6],
    (GUIDED, 1): [0.4, 0.5, 0.6],
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.format(seeds="[0, 1]"))
    (tmp_path / "alignment").mkdir()
    for name, seed in TOP1:
        write_reports(tmp_path / "metrics", name, seed)
        write_cc(
            tmp_path / f"alignment/{name}-{seed}.csv",
            {"as_trained": CC[name, seed], "refitted": CC[name, seed]},
        )
    write_cc(
        tmp_path / "alignment/teacher.csv",
        {"teacher": [0.5, 0.5, 0.8], "centre_prior": [0.3, 0.4, 0.2], "split_half": [0.8] * 3},
    )
    reference = {
        "teacher": alignment(0.6),
        "centre_prior": alignment(0.3),
        "split_half": {"cc": 0.8},
        "n": 3,
    }
    write(tmp_path / "metrics/evaluate_teacher.json", {"val": reference, "eye": reference})
    return tmp_path


def write(path, tree):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))


def alignment(cc):
    return {"cc": cc, "nss": 1.0, "kl": 0.5, "sim": 0.4, "auc": 0.8, "sauc": 0.6}


def write_reports(metrics, name, seed):
    top1 = TOP1[name, seed]
    corrupted = {
        "generated": 0, "clean": top1, "mean": top1 / 2, "mean_extra": top1 / 4, "retained": 0.5,
        **{c: {"mean": top1 / 2, "1": top1 / 2} for c in (*CORRUPTIONS, *EXTRA)},
    }
    cc = sum(CC[name, seed]) / 3
    readouts = {"as_trained": alignment(cc), "refitted": alignment(cc)}
    reports = {
        "train_simclr": {"loss": {"loss": 1.0}, "probe": {"top1": top1}},
        "probe_linear": {"imagenet": {"top1": top1, "n": 9}, "cifar10": {"top1": 0.4, "n": 9}},
        "score_robustness": {
            "imagenet_c": {**corrupted, "generated": 1}, "cifar10_c": corrupted,
        },
        "score_retrieval": {
            key: {"map": 0.2} for key in ("imagenet", "imagenet_c", "cifar10", "cifar10_c")
        },
        "align_attention": {"val": readouts, "eye": readouts},
    }
    for stage, report in reports.items():
        write(metrics / stage / f"{name}-{seed}.json", report)


def write_cc(path, by_readout):
    rows = [
        {"set": subset, "image": f"{i}.jpg", "readout": readout, "cc": value}
        for subset in ("val", "eye")
        for readout, values in by_readout.items()
        for i, value in enumerate(values)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


def tabulate(world):
    make_tables.main(
        world / "metrics", world / "alignment", world / "tables", world / "report.json"
    )
    return json.loads((world / "report.json").read_text())


def read_rows(path):
    with open(path, newline="") as file:
        return {row.pop("row"): row for row in csv.DictReader(file)}


def test_means_and_errors_over_seeds_are_those_by_hand(world):
    numbers = tabulate(world)["accuracy"]["contrastive"]
    # deviation √0.02 over √2 seeds
    assert numbers["imagenet"] == pytest.approx({"mean": 0.6, "se": 0.1})


def test_differences_are_paired_over_seeds(world):
    numbers = tabulate(world)[f"differences_{GUIDED}"]["imagenet_top1"]
    # 0.1 and 0.2; t with one degree of freedom is a Cauchy variable
    by_hand = {"difference": 0.15, "se": 0.05, "t": 3, "p": 1 - 2 * math.atan(3) / math.pi}
    assert numbers == pytest.approx({**by_hand, "seeds": 2})


def test_tests_over_images_average_seeds_first(world):
    report = tabulate(world)
    # 0.4, 0.5, 0.6: deviation 0.1 over √3 images, two degrees of freedom: p = 1 - t/√(2 + t²)
    t = 0.5 / (0.1 / math.sqrt(3))
    assert report["cc_above_zero"][f"eye_{GUIDED}_refitted"] == pytest.approx(
        {"cc": 0.5, "se": 0.1 / math.sqrt(3), "t": t, "p": 1 - t / math.sqrt(2 + t**2), "images": 3}
    )
    # against 0.5, 0.5, 0.8: paired differences -0.1, 0, -0.2
    pair = report["cc_differences"][f"eye_{GUIDED}_as_trained_minus_teacher"]
    assert pair["difference"] == pytest.approx(-0.1)
    assert pair["t"] == pytest.approx(-math.sqrt(3))
    # variances 0.01 and 0.03 over three images each
    assert pair["welch_t"] == pytest.approx(-0.1 / math.sqrt(0.04 / 3))


def test_equal_differences_have_no_t_and_say_so(world):
    numbers = tabulate(world)[f"differences_{GUIDED}"]["cifar10_top1"]
    assert numbers == {"difference": 0, "se": 0, "seeds": 2}
    rows = read_rows(world / f"tables/differences_{GUIDED}.csv")
    assert rows["cifar10_top1"]["p"] == "n/a (no spread)"


def test_every_table_is_left_as_csv_and_markdown_and_as_numbers(world):
    names = [
        "accuracy", "alignment", "cc_above_zero", "cc_differences", f"differences_{GUIDED}",
        "retrieval", "robustness_cifar10_c", "robustness_imagenet_c",
    ]
    assert sorted(tabulate(world)) == names
    for suffix in ("csv", "md"):
        assert sorted(path.stem for path in (world / "tables").glob(f"*.{suffix}")) == names


def test_alignment_sets_runs_beside_the_prior_the_people_and_the_teacher(world):
    rows = tabulate(world)["alignment"]
    assert list(rows) == [
        "centre_prior", "split_half", "teacher",
        "contrastive_as_trained", f"{GUIDED}_as_trained",
        "contrastive_refitted", f"{GUIDED}_refitted",
    ]
    assert rows["centre_prior"]["eye_cc"] == 0.3
    assert rows["split_half"] == {"val_cc": 0.8, "eye_cc": 0.8}
    assert rows[f"{GUIDED}_refitted"]["eye_cc"]["mean"] == pytest.approx(0.5)
    assert rows["contrastive_as_trained"]["paper_osie_cc"] == 0.07
    assert "paper_osie_cc" not in rows["contrastive_refitted"]


def test_robustness_sets_the_poster_beside_its_four_corruptions(world):
    rows = tabulate(world)["robustness_imagenet_c"]
    assert list(rows)[:5] == ["clean", "mean", "mean_extra", "retained", "gaussian_noise"]
    assert rows["spatter"][f"paper_{GUIDED}"] == {"mean": 0.4404, "se": 0.0008}
    assert rows["fog"]["contrastive"]["mean"] == pytest.approx(0.3)
    assert rows["fog"][f"{GUIDED}_minus_contrastive"] == pytest.approx({"mean": 0.075, "se": 0.025})
    assert "paper_contrastive" not in rows["fog"]


def test_markdown_reads_as_a_table(world):
    tabulate(world)
    lines = (world / "tables/accuracy.md").read_text().splitlines()
    assert lines[2] == "|  | imagenet | cifar10 | concurrent | paper imagenet concurrent |"
    assert lines[4].startswith("| contrastive | 0.6000 ± 0.1000 | 0.4000 ± 0.0000 |")
    assert lines[4].endswith("| 0.6761 ± 0.0004 |")


def test_only_generated_corruptions_are_marked(world):
    tabulate(world)
    assert make_tables.GENERATED in (world / "tables/robustness_imagenet_c.md").read_text()
    assert make_tables.GENERATED not in (world / "tables/robustness_cifar10_c.md").read_text()


def test_one_seed_is_said_and_no_number_is_nan(world):
    (world / "params.yaml").write_text(PARAMS.format(seeds="[1]"))
    report = tabulate(world)
    assert report["accuracy"]["contrastive"]["imagenet"] == {"mean": 0.7}
    numbers = report[f"differences_{GUIDED}"]["imagenet_top1"]
    assert numbers == {"difference": pytest.approx(0.2), "seeds": 1}
    assert "0.7000 ± n/a (1 seed)" in (world / "tables/accuracy.md").read_text()
    rows = read_rows(world / "tables/accuracy.csv")
    assert rows["contrastive"]["imagenet_se"] == "n/a (1 seed)"
    assert not any("nan" in path.read_text().lower() for path in (world / "tables").iterdir())


def test_files_of_a_seed_not_listed_are_not_counted(world):
    before = tabulate(world)
    write(world / "metrics/probe_linear/contrastive-7.json", {"imagenet": {"top1": 0.0}})
    assert tabulate(world) == before


@pytest.mark.parametrize(
    "path, stage",
    [
        ("metrics/evaluate_teacher.json", "evaluate_teacher"),
        ("metrics/probe_linear/contrastive-1.json", "probe_linear"),
        ("metrics/score_retrieval/contrastive_attn_teacher-0.json", "score_retrieval"),
        ("alignment/teacher.csv", "evaluate_teacher"),
        ("alignment/contrastive-1.csv", "align_attention"),
    ],
)
def test_a_missing_file_names_the_stage_to_run(world, path, stage):
    (world / path).unlink()
    with pytest.raises(FileNotFoundError, match=f"{path} is missing; run the stage {stage}"):
        tabulate(world)
    assert not (world / "tables").exists() and not (world / "report.json").exists()


def test_a_number_that_one_seed_lacks_is_named(world):
    write(world / "metrics/probe_linear/contrastive-1.json", {"imagenet": {"top1": 0.5, "n": 9}})
    with pytest.raises(ValueError, match=r"probe_linear\.cifar10.* both contrastive-0 and .*-1"):
        tabulate(world)


def test_an_image_that_one_seed_lacks_is_named(world):
    write_cc(
        world / "alignment/contrastive-1.csv",
        {"as_trained": [0.1, 0.2, 0.3], "refitted": [0.1, 0.2]},
    )
    with pytest.raises(ValueError, match="image '2.jpg' of the set 'eye' is not scored once"):
        tabulate(world)


def test_a_baseline_that_is_no_run_is_refused(world):
    text = PARAMS.format(seeds="[0]").replace("baseline: contrastive", "baseline: supervised")
    (world / "params.yaml").write_text(text)
    with pytest.raises(ValueError, match="baseline is 'supervised', expected a run of `main`"):
        tabulate(world)
