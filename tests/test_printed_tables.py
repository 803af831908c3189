"""The tables that pages print are those of the metrics in git, each number rounded once."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
METRICS = ROOT / "metrics"
NUMBER = re.compile(r"[-+]?\d+\.\d+")


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A table of a page: the rows of a CSV by what the page calls them, its columns by their names.

    A cell may have several of them, apart by " / ", each with its standard error or without.
    """

    page: str
    head: str  # how the line of its columns' names begins
    table: str
    rows: dict[str, str]
    columns: tuple[str, ...]  # of the cells behind the row's name; "": not of this CSV


GUIDED = {
    "Barlow Twins": "barlow_twins_attn_teacher",
    "VICReg": "vicreg_attn_teacher",
    "SimSiam": "simsiam_attn_teacher",
    "BYOL": "byol_attn_teacher",
    "MoCo v3": "moco_attn_teacher",
    "SimCLR, ConvNeXt": "convnext_attn_teacher",
    "SimCLR, ViT": "vit_attn_teacher",
    "the same, held to a centre prior": "vit_centre_labels",
    "the same, to other images' labels": "vit_shuffled_labels",
    "SimCLR, EfficientNet": "efficientnet_attn_teacher",
}
LONGER = {
    "probe": "probe",
    "retrieval, mAP": "mAP",
    "corrupted accuracy": "corrupted",
    "of clean accuracy retained": "retained",
    "CC with eye fixations, refitted": "CC refitted",
    "concurrent probe after 5 epochs": "top-1 after 5",
    "after 10": "top-1 after 10",
    "after 20": "top-1 after 20",
    "after 40": "top-1 after 40",
}
GALA = {
    "ResNet": "resnet",
    "SE": "se",
    "GALA": "gala",
    "as many numbers as GALA, no attention": "unattended",
    "GALA + maps": "gala_maps",
    "GALA + boxes": "gala_boxes",
    "GALA + maps of 16 % of the images": "gala_sixth",
    "GALA + maps of other images": "gala_shuffled",
    "GALA + a Gaussian at the centre": "gala_centre",
    "features + maps, no module": "features_maps",
    "side head + maps": "side_head_maps",
    "input gradient + maps": "gradient_maps",
}
BOTTLENECKS = ("plain", "code", "mask", "drawn", "aib", "aib_1e_2", "aib_1e_1", "aib_mask")
BOTTLENECKS += ("aib_repository", "aib_quantised", "aib_centre", "aib_guided", "aib_side")
TABLES = (
    Printed(
        page="README.md",
        head="| | probe top-1 | retrieval mAP |",
        table="methods/comparison/guidance.csv",
        rows={"difference, paired": "contrastive_attn_teacher"},
        columns=(
            "probe_difference",
            "map_difference",
            "corrupted_difference",
            "cc_as_trained_difference / cc_difference",
        ),
    ),
    Printed(
        page="README.md",
        head="| | probe top-1 | retrieval mAP |",
        table="methods/comparison/guidance.csv",
        rows={"contrastive": "contrastive_attn_teacher"},
        columns=(
            "probe_baseline",
            "map_baseline",
            "corrupted_baseline",
            "cc_as_trained_baseline / cc_baseline",
        ),
    ),
    Printed(
        page="RESULTS.md",
        head="| | probe, baseline | probe | mAP |",
        table="methods/comparison/guidance.csv",
        rows={"SimCLR, ResNet-10 (the main chain)": "contrastive_attn_teacher", **GUIDED},
        columns=(
            "probe_baseline",
            "probe_difference",
            "map_difference",
            "corrupted_difference",
            "cc_baseline",
            "cc_difference",
        ),
    ),
    Printed(
        page="RESULTS.md",
        head="| | baseline | guided | difference | p |",
        table="real/photographs/tables/guided_minus_baseline.csv",
        rows=LONGER,
        columns=("", "", "difference", "", "", "could have been seen"),
    ),
    Printed(
        page="RESULTS.md",
        head="| | accuracy | bits of the code | IoU, mask |",
        table="bottleneck/tables/networks.csv",
        rows={each.replace("_", " "): each for each in BOTTLENECKS},
        columns=("accuracy", "", "IoU mask", "IoU gradient", ""),
    ),
    Printed(
        page="docs/gala.md",
        head="| | top-1 error | ρ of the gradient | ρ of the attention |",
        table="clickme/tables/networks.csv",
        rows=GALA,
        columns=("top-1 error", "rho gradient", "rho attention", "IoU part", "paper top-1 error"),
    ),
)


def cells_of(page: str, head: str) -> dict[str, list[str]]:
    """The cells of the page's table by the first of their row, without their marks."""
    lines = iter((ROOT / page).read_text().splitlines())
    assert any(line.startswith(head) for line in lines), f"{page} has no table {head}"
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip().strip("*") for cell in line.strip("|").split("|"))
        rows[name] = cells
    return rows


def table_of(name: str) -> dict[str, dict[str, str]]:
    """The rows of a CSV of the metrics, by their names."""
    with (METRICS / name).open(newline="") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def rounded(value: str, like: str) -> float:
    return float(f"{float(value):.{len(like.partition('.')[2])}f}")


@pytest.mark.parametrize("printed", TABLES, ids=lambda each: f"{each.page}-{each.columns[0]}")
def test_each_number_is_that_of_the_csv_rounded_once(printed):
    table, page = table_of(printed.table), cells_of(printed.page, printed.head)
    wrong, compared = [], 0
    for label, row in printed.rows.items():
        for cell, columns in zip(page[label], printed.columns, strict=True):
            parts = zip(cell.split(" / "), columns.split(" / ")) if columns else ()
            for part, column in parts:
                values = [table[row][column], table[row].get(f"{column}_se", "")]
                for found, value in zip(NUMBER.findall(part), values):
                    compared += 1
                    if float(found) != rounded(value, found):
                        wrong.append(f"{label}, {column}: {found}, but {value}")
    assert not wrong
    assert compared >= len(printed.rows)


def test_the_two_runs_beside_that_difference_too():
    runs = table_of("real/photographs/tables/runs.csv")
    for label, key in LONGER.items():
        cells = cells_of("RESULTS.md", "| | baseline | guided | difference | p |")[label]
        for cell, run in zip(cells, ("contrastive", "contrastive_attn_teacher")):
            mean, se = NUMBER.findall(cell)
            values = runs[run][key], runs[run][f"{key}_se"]
            assert (float(mean), float(se)) == (rounded(values[0], mean), rounded(values[1], se))
