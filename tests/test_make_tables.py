import csv
import json
import math

import pandas as pd
import pytest
from scipy import stats

import make_tables
from attnlabels.reporting.paper import GENERATED
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

GUIDED = "contrastive_attn_teacher"
PARAMS = """
seeds: {seeds}
study_seeds: [1, 5]
main: {{contrastive: {{}}, contrastive_attn_teacher: {{}}}}
table1: {{simclr: {{}}, self_block: {{}}}}
supervised: {{supervised_resnet18: {{}}, supervised_resnet18_attn_teacher: {{}}}}
ablations: {{nss_alone: {{}}}}
teachers: {{one_tap: {{}}}}
list_images: {{train: {{classes: 8, count: 3000, images: data}}}}
train_simclr: {{backbone: resnet10, width: 32, image_size: 40, epochs: 5, temperature: 0.1}}
make_tables:
  baseline: contrastive
  baselines: {{}}
  equivalence_margin: 0.2
  level: 0.75
  resamples: 1000
  seed: 0
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
    for name, seed in TOP1:
        write_run(tmp_path, name, seed, top1=TOP1[name, seed], cc=CC[name, seed])
    write_cc(
        tmp_path / "data/alignment/teacher.csv",
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


def write_run(root, name, seed, *, top1, cc, study="", trained_by="train_simclr"):
    """The run's metrics and its images' CC, as trained and refitted."""
    corrupted = {
        "generated": 0,
        "clean": top1,
        "mean": top1 / 2,
        "mean_extra": top1 / 4,
        "retained": 0.5,
        **{c: {"mean": top1 / 2, "1": top1 / 2} for c in (*CORRUPTIONS, *EXTRA)},
    }
    readouts = {"as_trained": alignment(sum(cc) / 3), "refitted": alignment(sum(cc) / 3)}
    reports = {
        trained_by: {"loss": {"loss": 1.0}, "probe": {"top1": top1}},
        "probe_linear": {"imagenet": {"top1": top1, "n": 9}, "cifar10": {"top1": 0.4, "n": 9}},
        "score_robustness": {
            "imagenet_c": {**corrupted, "generated": 1},
            "cifar10_c": corrupted,
        },
        "score_retrieval": {
            key: {"map": 0.2} for key in ("imagenet", "imagenet_c", "cifar10", "cifar10_c")
        },
        "align_attention": {"val": readouts, "eye": readouts},
    }
    for stage, report in reports.items():
        write(root / "metrics" / study / stage / f"{name}-{seed}.json", report)
    path = root / "data" / study / "alignment" / f"{name}-{seed}.csv"
    write_cc(path, {"as_trained": cc, "refitted": cc})


def write_cc(path, by_readout):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"set": subset, "image": f"{i}.jpg", "readout": readout, "cc": value}
        for subset in ("val", "eye")
        for readout, values in by_readout.items()
        for i, value in enumerate(values)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


def tabulate(world, studies="main"):
    make_tables.main(
        studies, world / "metrics", world / "data", world / "tables", world / "report.json"
    )
    return json.loads((world / "report.json").read_text())


def change_params(world, old, new):
    text = (world / "params.yaml").read_text()
    assert text.count(old) == 1
    (world / "params.yaml").write_text(text.replace(old, new))


def read_rows(path):
    with open(path, newline="") as file:
        return {row.pop("row"): row for row in csv.DictReader(file)}


def test_means_and_errors_over_seeds_are_those_by_hand(world):
    numbers = tabulate(world)["accuracy"]["contrastive"]
    # deviation √0.02 over √2 seeds
    assert numbers["imagenet"] == pytest.approx({"mean": 0.6, "se": 0.1})


def test_a_seed_whose_refit_was_still_changing_is_in_the_tables(world):
    path = world / "metrics/align_attention/contrastive-1.json"
    report = json.loads(path.read_text())
    write(path, report | {"refit": {"converged": False}})
    tabulate(world)
    write(path, report | {"refit": {"loss": 1.0}})
    with pytest.raises(
        ValueError, match=r"align_attention\.refit\.loss is not in the metrics of bot"
    ):
        tabulate(world)


def test_differences_are_paired_over_seeds(world):
    numbers = tabulate(world)[f"differences_{GUIDED}"]["imagenet_top1"]
    welch = stats.ttest_ind([0.6, 0.9], [0.5, 0.7], equal_var=False)
    # 0.1 and 0.2; t with one degree of freedom is a Cauchy variable
    assert numbers == pytest.approx(
        {
            "difference": 0.15,
            "se": 0.05,
            "t": 3,
            "p": cauchy(3),
            "p_holm": 1,
            "seeds": 2,
            "t_low": 0.15 - 0.05 * math.tan(0.375 * math.pi),
            "t_high": 0.15 + 0.05 * math.tan(0.375 * math.pi),
            "welch_t": welch.statistic,
            "welch_p": welch.pvalue,
        }
    )


def cauchy(t):
    """The chance that a Cauchy variable is further from 0 than t."""
    return 1 - 2 * math.atan(t) / math.pi


def test_p_is_corrected_for_the_tests_of_its_table(world):
    rows = tabulate(world)[f"differences_{GUIDED}"]
    ps = [row["p"] for row in rows.values() if "p" in row]
    assert 1 < len(ps) < len(rows)  # there are differences without spread, which are no tests
    least = min(rows.values(), key=lambda row: row.get("p", 1))
    assert least["p_holm"] == pytest.approx(min(1, len(ps) * least["p"]))
    assert rows["cifar10_top1"].keys() & {"p", "p_holm"} == set()


def test_tests_over_images_average_seeds_first(world):
    report = tabulate(world)
    # 0.4, 0.5, 0.6: deviation 0.1 over √3 images, two degrees of freedom: p = 1 - t/√(2 + t²)
    t = 0.5 / (0.1 / math.sqrt(3))
    numbers = report["cc_above_zero"][f"eye_{GUIDED}_refitted"]
    p = 1 - t / math.sqrt(2 + t**2)
    by_hand = {"cc": 0.5, "se": 0.1 / math.sqrt(3), "t": t, "p": p, "images": 3}
    assert {key: numbers[key] for key in by_hand} == pytest.approx(by_hand)
    # against 0.5, 0.5, 0.8: paired differences -0.1, 0, -0.2
    pair = report["cc_differences"][f"eye_{GUIDED}_as_trained_minus_teacher"]
    assert pair["difference"] == pytest.approx(-0.1)
    assert pair["t"] == pytest.approx(-math.sqrt(3))
    assert -0.2 <= pair["bootstrap_low"] < -0.1 < pair["bootstrap_high"] <= 0
    # variances 0.01 and 0.03 over three images each
    assert pair["welch_t"] == pytest.approx(-0.1 / math.sqrt(0.04 / 3))


def test_a_run_is_the_teachers_equal_if_it_is_within_the_margin_of_it(world):
    table = tabulate(world)["cc_equivalence"]
    assert set(table) == {
        f"{subset}_{GUIDED}_{readout}_and_teacher"
        for subset in ("val", "eye")
        for readout in ("as_trained", "refitted")
    }
    # -0.1, 0, -0.2 as above; 0.1 within the margin, t = 0.1 / 0.0577 with two degrees of freedom
    numbers, t = table[f"eye_{GUIDED}_refitted_and_teacher"], math.sqrt(3)
    p = (1 - t / math.sqrt(2 + t**2)) / 2
    assert numbers["p"] == pytest.approx(p)
    assert numbers["p_holm"] == pytest.approx(4 * p)
    # the 50 % interval, as far as the quartile of t with two degrees of freedom, √(2/3)
    assert numbers["t_high"] == pytest.approx(-0.1 + 0.1 / math.sqrt(3) * math.sqrt(2 / 3))
    assert "less than 0.2" in (world / "tables/cc_equivalence.md").read_text()


def test_equal_differences_have_no_t_and_say_so(world):
    numbers = tabulate(world)[f"differences_{GUIDED}"]["cifar10_top1"]
    assert numbers == {"difference": 0, "se": 0, "seeds": 2}
    rows = read_rows(world / f"tables/differences_{GUIDED}.csv")
    for key in ("t", "p", "p_holm", "t_low", "bootstrap_high", "welch_p"):
        assert rows["cifar10_top1"][key] == "n/a (no spread)"


def test_every_table_is_left_as_csv_and_markdown_and_as_numbers(world):
    names = [
        "accuracy",
        "alignment",
        "cc_above_zero",
        "cc_differences",
        "cc_equivalence",
        f"differences_{GUIDED}",
        "retrieval",
        "robustness_cifar10_c",
        "robustness_imagenet_c",
    ]
    assert sorted(tabulate(world)) == names
    for suffix in ("csv", "md"):
        assert sorted(path.stem for path in (world / "tables").glob(f"*.{suffix}")) == names


def test_alignment_sets_runs_beside_the_prior_the_people_and_the_teacher(world):
    rows = tabulate(world)["alignment"]
    assert list(rows) == [
        "centre_prior",
        "split_half",
        "teacher",
        "contrastive_as_trained",
        f"{GUIDED}_as_trained",
        "contrastive_refitted",
        f"{GUIDED}_refitted",
    ]
    assert rows["centre_prior"]["eye_cc"] == 0.3
    assert rows["split_half"] == {"val_cc": 0.8, "eye_cc": 0.8}
    assert rows[f"{GUIDED}_refitted"]["eye_cc"]["mean"] == pytest.approx(0.5)


def test_the_papers_cc_stands_beside_the_readout_at_convergence(world):
    rows = tabulate(world)["alignment"]
    beside = {name: row["paper_osie_cc"] for name, row in rows.items() if "paper_osie_cc" in row}
    assert beside == {"contrastive_refitted": 0.07, f"{GUIDED}_refitted": 0.48}


def test_robustness_sets_the_poster_beside_its_four_corruptions(world):
    rows = tabulate(world)["robustness_imagenet_c"]
    assert list(rows)[:5] == ["clean", "mean", "mean_extra", "retained", "gaussian_noise"]
    assert rows["spatter"][f"paper_{GUIDED}"] == {"mean": 0.4404, "se": 0.0008}
    assert rows["fog"]["contrastive"]["mean"] == pytest.approx(0.3)
    assert rows["fog"][f"{GUIDED}_minus_contrastive"] == pytest.approx({"mean": 0.075, "se": 0.025})
    assert "paper_contrastive" not in rows["fog"]


def test_a_set_without_the_extra_corruptions_has_no_numbers_of_them(world):
    for path in (world / "metrics/score_robustness").iterdir():
        report = json.loads(path.read_text())
        for name in ("mean_extra", *EXTRA):
            del report["imagenet_c"][name]
        write(path, report)
    tables = tabulate(world)
    rows = tables["robustness_imagenet_c"]
    assert "contrastive" in rows["fog"] and "contrastive" not in rows["spatter"]
    assert "contrastive" in tables["robustness_cifar10_c"]["mean_extra"]
    differences = tables[f"differences_{GUIDED}"]
    assert "difference" not in differences["imagenet_c_mean_extra"]
    assert "difference" in differences["imagenet_c_mean"]


def test_markdown_reads_as_a_table(world):
    tabulate(world)
    lines = (world / "tables/accuracy.md").read_text().splitlines()
    assert lines[2] == (
        "|  | imagenet | cifar10 | concurrent | paper imagenet concurrent "
        "| baseline | concurrent minus baseline | paper minus baseline |"
    )
    assert lines[4] == (
        "| contrastive | 0.6000 ± 0.1000 | 0.4000 ± 0.0000 | 0.6000 ± 0.1000 | 0.6761 ± 0.0004 "
        "|  |  |  |"
    )
    assert lines[5].endswith(
        "| 0.7500 ± 0.1500 | 0.6823 ± 0.0008 | contrastive | 0.1500 ± 0.0500 | 0.0062 |"
    )


def test_the_caption_of_table_1_says_at_what_scale_it_is(world):
    tabulate(world)
    assert (
        "The paper: ResNet-50, or as named, at 224 pixels on 1,281,167 images of 1,000 classes. "
        "Here: resnet10, or as named, of width 32 at 40 pixels, 5 epochs on 3,000 images of 8 "
        "classes."
    ) in (world / "tables/accuracy.md").read_text()
    change_params(world, "count: 3000", "count: many")
    with pytest.raises(ValueError, match="the scale of the runs.count"):
        tabulate(world)


def test_only_generated_corruptions_are_marked(world):
    tabulate(world)
    assert GENERATED in (world / "tables/robustness_imagenet_c.md").read_text()
    assert GENERATED not in (world / "tables/robustness_cifar10_c.md").read_text()


def test_one_seed_is_said_and_no_number_is_nan(world):
    (world / "params.yaml").write_text(PARAMS.format(seeds="[1]"))
    report = tabulate(world)
    assert report["accuracy"]["contrastive"]["imagenet"] == {"mean": 0.7}
    numbers = report[f"differences_{GUIDED}"]["imagenet_top1"]
    assert numbers == {"difference": pytest.approx(0.2), "seeds": 1}
    differences = (world / f"tables/differences_{GUIDED}.md").read_text()
    few = "n/a (1 seed)"
    assert f"| imagenet top1 | 0.2000 | {few} | {few} | {few} | {few} | 1 |" in differences
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
        ("data/alignment/teacher.csv", "evaluate_teacher"),
        ("data/alignment/contrastive-1.csv", "align_attention"),
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


def test_what_made_the_scores_is_no_score_and_is_listed_once(world):
    before = tabulate(world)
    machine = {"processor": "Some CPU", "threads": 2, "torch": "2.13"}
    for path in (world / "metrics").glob("*/*.json"):
        made_by = machine | {"threads": 1 if path.parent.name == "probe_linear" else 2}
        if path.stem != "contrastive-0":  # of an older day
            write(path, json.loads(path.read_text()) | {"made_by": made_by})
    assert tabulate(world) == before
    made_by = json.loads((world / "tables/made_by.json").read_text())["made_by"]
    assert made_by == [
        machine | {"files": 12},  # four stages of three runs
        machine | {"threads": 1, "files": 3},
    ]


def test_an_image_that_one_seed_lacks_is_named(world):
    write_cc(
        world / "data/alignment/contrastive-1.csv",
        {"as_trained": [0.1, 0.2, 0.3], "refitted": [0.1, 0.2]},
    )
    with pytest.raises(ValueError, match="image '2.jpg' of the set 'eye' is not scored once"):
        tabulate(world)


def test_a_baseline_that_is_no_run_is_refused(world):
    text = PARAMS.format(seeds="[0]").replace("baseline: contrastive", "baseline: supervised")
    (world / "params.yaml").write_text(text)
    with pytest.raises(ValueError, match="with 'supervised', expected a run of `main`"):
        tabulate(world)


@pytest.fixture
def studied(world):
    """With the studies of the parameters, of the seeds 1 and 5."""
    for seed, top1 in {1: 0.4, 5: 0.6}.items():
        for name in ("simclr", "self_block"):
            write_run(world, name, seed, top1=top1, cc=[0.2, 0.2, 0.5], study="table1")
        for name, more in (("supervised_resnet18", 0.1), ("supervised_resnet18_attn_teacher", 0.3)):
            write_run(
                world,
                name,
                seed,
                top1=top1 + more,
                cc=[0.2, 0.2, 0.5],
                study="supervised",
                trained_by="train_supervised",
            )
        write_run(world, "nss_alone", seed, top1=0.5, cc=[0.1, 0.2, 0.3], study="ablations")
    one_tap = {"teacher": alignment(0.45), "centre_prior": alignment(0.3), "split_half": {"cc": 1}}
    write(
        world / "metrics/ablations/evaluate_teacher/one_tap.json", {"val": one_tap, "eye": one_tap}
    )
    cc = {"teacher": [0.4, 0.2, 0.75], "centre_prior": [0.3, 0.4, 0.2], "split_half": [0.8] * 3}
    write_cc(world / "data/ablations/alignment/teacher-one_tap.csv", cc)
    return world


def test_unlike_seeds_are_paired_where_both_are_and_else_all_taken(studied):
    report = tabulate(studied, "main+table1")
    numbers = report["differences_self_block"]["imagenet_top1"]
    # Seed 1 alone is of both: 0.4 and 0.7. Welch: 0.4, 0.6 and 0.5, 0.7
    welch = stats.ttest_ind([0.4, 0.6], [0.5, 0.7], equal_var=False)
    assert numbers == pytest.approx(
        {
            "difference": -0.3,
            "seeds": 1,
            "welch_t": welch.statistic,
            "welch_p": welch.pvalue,
        }
    )
    assert report["accuracy"]["self_block"]["imagenet"] == pytest.approx({"mean": 0.5, "se": 0.1})
    assert report["robustness_cifar10_c"]["fog"]["self_block_minus_contrastive"] == {
        "mean": pytest.approx(-0.15),
    }
    # Its maps of both seeds are alike; the baseline's of seed 1 are 0.3, 0.2, 0.1
    differences = report["cc_differences"]
    pair = differences["eye_self_block_refitted_minus_contrastive_refitted"]
    test = stats.ttest_rel([0.2, 0.2, 0.5], [0.3, 0.2, 0.1])
    assert (pair["t"], pair["p"]) == pytest.approx((test.statistic, test.pvalue))
    assert differences[f"eye_{GUIDED}_refitted_minus_teacher"]["difference"] == pytest.approx(-0.1)


def test_a_study_adds_to_the_tables_and_changes_no_number_of_main(studied):
    alone, both = tabulate(studied), tabulate(studied, "main+table1")
    assert list(both["accuracy"]) == ["contrastive", GUIDED, "simclr", "self_block"]
    assert list(alone) == [key for key in both if key in alone]
    assert both[f"differences_{GUIDED}"] == alone[f"differences_{GUIDED}"]
    for key in ("accuracy", "retrieval", "alignment"):
        assert {name: both[key][name] for name in alone[key]} == alone[key]


def test_the_papers_best_run_is_said_to_be_one(studied):
    report = tabulate(studied, "main+table1")
    numbers = report["accuracy"]["self_block"]
    assert numbers["paper_imagenet_concurrent"] == {"mean": 0.4965}
    assert numbers["paper_minus_baseline"] == pytest.approx(0.4965 - 0.6761)
    assert "| 0.4965 (best run) |" in (studied / "tables/accuracy.md").read_text()
    rows = read_rows(studied / "tables/accuracy.csv")
    assert rows["self_block"]["paper_imagenet_concurrent_se"] == "n/a (best run)"
    assert "paper_imagenet_concurrent" not in report["accuracy"]["simclr"]


def test_a_run_without_a_head_has_nothing_as_trained_and_the_rest(studied):
    for seed in (1, 5):
        path = studied / f"metrics/table1/align_attention/simclr-{seed}.json"
        scores = json.loads(path.read_text())
        write(path, {key: {"refitted": part["refitted"]} for key, part in scores.items()})
        path = studied / f"data/table1/alignment/simclr-{seed}.csv"
        write_cc(path, {"refitted": [0.1, 0.2, 0.6]})
    report = tabulate(studied, "main+table1")
    assert report["alignment"]["simclr_as_trained"] == {}
    assert report["alignment"]["simclr_refitted"]["eye_cc"]["mean"] == pytest.approx(0.3)
    assert report["differences_simclr"]["eye_cc_as_trained"] == {}
    assert "difference" in report["differences_simclr"]["eye_cc_refitted"]
    assert "difference" in report["differences_self_block"]["eye_cc_as_trained"]
    for key in ("cc_above_zero", "cc_differences", "cc_equivalence"):
        of_simclr = [name for name in report[key] if "simclr" in name]
        assert of_simclr and not any("simclr_as_trained" in name for name in of_simclr)
    rows = read_rows(studied / "tables/alignment.csv")
    assert set(rows["simclr_as_trained"].values()) == {""}


def test_what_a_study_does_not_evaluate_is_empty(studied):
    for stage in ("score_retrieval", "align_attention"):
        for path in (studied / "metrics/table1" / stage).iterdir():
            path.unlink()
        (studied / "metrics/table1" / stage).rmdir()
    report = tabulate(studied, "main+table1")
    assert report["retrieval"]["self_block"] == {} != report["retrieval"]["contrastive"]
    assert report["differences_self_block"]["imagenet_map"] == {}
    assert not any("self_block" in name for name in report["cc_above_zero"])
    assert "imagenet" in report["accuracy"]["self_block"]
    (studied / "metrics/table1/probe_linear/simclr-5.json").unlink()
    with pytest.raises(FileNotFoundError, match="run the stage probe_linear"):
        tabulate(studied, "main+table1")


def test_a_number_that_lacks_among_others_is_named(studied):
    for seed in (1, 5):
        write(
            studied / f"metrics/table1/score_retrieval/simclr-{seed}.json",
            {key: {"pr_area": 0.2} for key in ("imagenet", "imagenet_c", "cifar10", "cifar10_c")},
        )
    with pytest.raises(ValueError, match=r"the metrics lack score_retrieval\.imagenet\.map"):
        tabulate(studied, "main+table1")


def test_supervised_runs_are_compared_with_whom_they_are_to_be(studied):
    change_params(
        studied,
        "baselines: {}",
        "baselines: {supervised: null, supervised_resnet18_attn_teacher: supervised_resnet18}",
    )
    report = tabulate(studied, "main+supervised")
    assert [key for key in report if key.startswith("differences_")] == [
        f"differences_{GUIDED}",
        "differences_supervised_resnet18_attn_teacher",
    ]
    numbers = report["differences_supervised_resnet18_attn_teacher"]["concurrent_top1"]
    assert (numbers["difference"], numbers["seeds"]) == (pytest.approx(0.2), 2)
    accuracy = report["accuracy"]["supervised_resnet18_attn_teacher"]
    assert accuracy["paper_minus_baseline"] == pytest.approx(0.0013)
    assert accuracy["concurrent_minus_baseline"]["mean"] == pytest.approx(0.2)
    tables = {each["key"]: each for each in read_tables(studied)}
    assert tables["differences_supervised_resnet18_attn_teacher"]["title"] == (
        "supervised resnet18 attn teacher minus supervised resnet18"
    )
    tabulate(studied)  # of which these are no runs


def test_the_runs_of_a_study_may_have_a_baseline_of_their_own(studied):
    change_params(studied, "baselines: {}", f"baselines: {{ablations: {GUIDED}}}")
    report = tabulate(studied, "main+table1+ablations")
    columns = report["robustness_imagenet_c"]["fog"]
    assert f"nss_alone_minus_{GUIDED}" in columns and "self_block_minus_contrastive" in columns


def read_tables(world):
    return json.loads((world / "tables/tables.json").read_text())


@pytest.mark.parametrize(
    "entry, message",
    [
        ("sel_block: contrastive", "baselines has 'sel_block', which is no run or study"),
        ("self_block: nss_alone", "with 'nss_alone', expected a run of `main.table1`"),
    ],
)
def test_baselines_that_are_no_runs_are_refused(studied, entry, message):
    change_params(studied, "baselines: {}", f"baselines: {{{entry}}}")
    with pytest.raises(ValueError, match=message):
        tabulate(studied, "main+table1")


def test_a_run_that_shares_no_seed_with_its_baseline_is_refused(studied):
    change_params(studied, "study_seeds: [1, 5]", "study_seeds: [5]")
    with pytest.raises(ValueError, match="simclr and contrastive, .* share no seed"):
        tabulate(studied, "main+table1")


def test_ablated_teachers_are_set_beside_the_teacher(studied):
    rows = tabulate(studied, "main+ablations")["teachers"]
    assert list(rows) == ["teacher", "one_tap"]
    assert (rows["teacher"]["eye_cc"], rows["one_tap"]["eye_cc"]) == (0.6, 0.45)
    assert rows["one_tap"].keys() == rows["teacher"].keys()
    assert "teachers" not in tabulate(studied, "main+table1")


def test_other_teachers_are_tested_against_the_teacher_over_images(studied):
    rows = tabulate(studied, "main+ablations")["teachers_cc"]
    assert list(rows) == ["val_one_tap_minus_teacher", "eye_one_tap_minus_teacher"]
    numbers, test = rows["eye_one_tap_minus_teacher"], stats.ttest_rel([4, 2, 7.5], [5, 5, 8])
    assert numbers["difference"] == pytest.approx(-0.15)
    assert (numbers["p"], numbers["p_holm"]) == pytest.approx((test.pvalue, 2 * test.pvalue))
    write_cc(studied / "data/ablations/alignment/teacher-one_tap.csv", {"teacher": [0.4, 0.2]})
    with pytest.raises(ValueError, match="teacher one_tap is not scored on all images of .*'val'"):
        tabulate(studied, "main+ablations")


def test_a_missing_score_of_another_teacher_names_the_stage_to_run(studied):
    (studied / "metrics/ablations/evaluate_teacher/one_tap.json").unlink()
    with pytest.raises(FileNotFoundError, match="run the stage evaluate_teacher"):
        tabulate(studied, "main+ablations")


def test_the_report_finds_every_table_and_cell(studied):
    report = tabulate(studied, "main+table1+ablations")
    tables = read_tables(studied)
    assert [each["key"] for each in tables] == list(report)
    for each in tables:
        assert [row["key"] for row in each["rows"]] == list(report[each["key"]])
        columns = {column["key"] for column in each["columns"]}
        for row in each["rows"]:
            assert row["cells"].keys() <= columns
            for key, cell in row["cells"].items():
                number = report[each["key"]][row["key"]].get(key)
                if isinstance(number, dict):
                    assert (cell["value"], cell["se"]) == (number["mean"], number.get("se"))
                else:
                    assert (cell["value"], cell["se"]) == (number, None)
        caption = (studied / f"tables/{each['key']}.md").read_text().split("\n\n")[0]
        assert each["title"] and caption == each["caption"] and "{" not in caption
