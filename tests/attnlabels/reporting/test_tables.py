import csv
import json

import pytest

from attnlabels.metrics.statistics import Mean
from attnlabels.reporting.tables import COLUMNS_AT_ONCE, BestRun, as_numbers, write_tables

TABLE = {
    "self_block": {
        "top1": Mean(3, 0.5, 0.01),
        "paper_top1": BestRun(0.4965),
        "p": 1.5e-12,
        "seeds": 3,
    },
    "simclr": {},
    "cotrain": {"top1": Mean(1, 0.25, None), "p": "n/a (1 seed)", "seeds": 1, "images": 150},
}


@pytest.fixture
def folder(tmp_path):
    write_tables(tmp_path, {"accuracy": TABLE}, texts={"accuracy": ("Table 1", "Top-1.")})
    return tmp_path


def test_markdown_has_a_column_a_key_and_empty_cells(folder):
    assert (folder / "accuracy.md").read_text() == (
        "Top-1.\n\n"
        "|  | top1 | paper top1 | p | seeds | images |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| self block | 0.5000 ± 0.0100 | 0.4965 (best run) | 1.5e-12 | 3 |  |\n"
        "| simclr |  |  |  |  |  |\n"
        "| cotrain | 0.2500 ± n/a (1 seed) |  | n/a (1 seed) | 1 | 150 |\n"
    )


def test_csv_has_the_errors_in_columns_of_their_own(folder):
    with open(folder / "accuracy.csv", newline="") as file:
        rows = {row.pop("row"): row for row in csv.DictReader(file)}
    assert rows["self_block"] == {
        "top1": "0.5",
        "top1_se": "0.01",
        "paper_top1": "0.4965",
        "paper_top1_se": "n/a (best run)",
        "p": "1.5e-12",
        "seeds": "3",
        "images": "",
    }
    assert set(rows["simclr"].values()) == {""}
    assert rows["cotrain"]["top1_se"] == rows["cotrain"]["p"] == "n/a (1 seed)"


def test_json_has_what_to_print_and_the_numbers(folder):
    (table,) = json.loads((folder / "tables.json").read_text())
    assert (table["key"], table["title"], table["caption"]) == ("accuracy", "Table 1", "Top-1.")
    assert table["columns"][1] == {"key": "paper_top1", "label": "paper top1"}
    first, empty, last = table["rows"]
    assert (first["key"], first["label"]) == ("self_block", "self block")
    assert first["cells"] == {
        "top1": {"text": "0.5000 ± 0.0100", "value": 0.5, "se": 0.01},
        "paper_top1": {"text": "0.4965 (best run)", "value": 0.4965, "se": None},
        "p": {"text": "1.5e-12", "value": 1.5e-12, "se": None},
        "seeds": {"text": "3", "value": 3, "se": None},
    }
    assert empty["cells"] == {}
    assert last["cells"]["p"] == {"text": "n/a (1 seed)", "value": None, "se": None}
    assert last["cells"]["top1"]["se"] is None


def test_numbers_are_without_what_cannot_be_told():
    assert as_numbers(TABLE) == {
        "self_block": {
            "top1": {"mean": 0.5, "se": 0.01},
            "paper_top1": {"mean": 0.4965},
            "p": 1.5e-12,
            "seeds": 3,
        },
        "simclr": {},
        "cotrain": {"top1": {"mean": 0.25}, "seeds": 1, "images": 150},
    }


def test_a_wide_table_goes_on_below(tmp_path):
    row = {f"run_{i}": i for i in range(COLUMNS_AT_ONCE + 2)}
    write_tables(tmp_path, {"wide": {"fog": row}}, texts={"wide": ("Wide", "Much.")})
    _, first, second = (tmp_path / "wide.md").read_text().split("\n\n")
    assert first.splitlines()[2].startswith("| fog | 0 | 1 | 2 |")
    assert second == (
        f"|  | run {COLUMNS_AT_ONCE} | run {COLUMNS_AT_ONCE + 1} |\n| --- | ---: | ---: |\n"
        f"| fog | {COLUMNS_AT_ONCE} | {COLUMNS_AT_ONCE + 1} |\n"
    )


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(ValueError, match="p is nan"):
        write_tables(tmp_path, {"a": {"b": {"p": float("nan")}}}, texts={"a": ("", "")})
