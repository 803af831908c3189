"""Tables of results: rows of named cells, as CSV, as Markdown and as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attnlabels.files.damage import NO_TREE, refusing
from attnlabels.metrics.statistics import Mean
from attnlabels.pipeline.params import check, record
from attnlabels.pipeline.writing import write_rows
from attnlabels.reporting.legend import show

ONE_SEED, BEST_RUN = "n/a (1 seed)", "n/a (best run)"
DIGITS = 4  # behind the point
COLUMNS_AT_ONCE = 13  # of Markdown; more go on below


class BestRun(NamedTuple):
    """A published score of the best of some runs, which has no standard error."""

    mean: float


Cell = Mean | BestRun | float | int | str  # an int is a count, a word a remark
Row = dict[str, Cell]  # by column; a cell that is missing is empty
Table = dict[str, Row]


@record
class PrintedCell:
    text: str
    value: float | None
    se: float | None


@record
class PrintedColumn:
    key: str
    label: str


@record
class PrintedRow:
    key: str
    label: str
    cells: dict[str, PrintedCell]


@record
class Printed:
    """A table of tables.json."""

    key: str
    title: str
    caption: str
    columns: list[PrintedColumn]
    rows: list[PrintedRow]


@record
class AllPrinted:
    tables: list[Printed]


def write_tables(
    folder: Path, tables: Mapping[str, Table], *, texts: Mapping[str, tuple[str, str]]
) -> None:
    """Write `<key>.csv` and `<key>.md` for each table, and tables.json for all of them.

    `texts` are titles and captions. tables.json is a list, in order, of {key, title, caption,
    columns: [{key, label}], rows: [{key, label, cells: {column: {text, value, se}}}]}, in which
    `value` is null for a remark and `se` for what has none.
    """
    for key, table in tables.items():
        _write_csv(folder / f"{key}.csv", table)
        (folder / f"{key}.md").write_text(_as_markdown(table, caption=texts[key][1]))
    trees = [
        json.dumps(_as_tree(key, table, *texts[key]), allow_nan=False)
        for key, table in tables.items()
    ]
    (folder / "tables.json").write_text("[\n" + ",\n".join(trees) + "\n]\n")


def read_tables(path: Path) -> list[Printed]:
    """The tables of a tables.json.

    Raises FileNotFoundError, and ValueError for tables of another form.
    """
    with refusing(NO_TREE, path, what="no whole JSON", cure="run the stage make_tables again"):
        tables = json.loads(path.read_bytes())
    return check(AllPrinted, {"tables": tables}, where=str(path)).tables


def print_tables(
    tables: Mapping[str, Table], *, texts: Mapping[str, tuple[str, str]], digits: int
) -> list[Printed]:
    """What `write_tables` writes and `read_tables` reads, with so many digits behind the point."""
    trees = [_as_tree(key, table, *texts[key], digits) for key, table in tables.items()]
    return check(AllPrinted, {"tables": trees}, where="tables").tables


def as_numbers(table: Table) -> dict[str, Any]:
    """The table as nested numbers; what cannot be told is left out."""
    return {
        name: {key: number for key, cell in row.items() if (number := _as_number(cell)) is not None}
        for name, row in table.items()
    }


def _columns_of(table: Table) -> list[str]:
    return list(dict.fromkeys(key for row in table.values() for key in row))


def _write_csv(path: Path, table: Table) -> None:
    """A column a key, and one more, `<key>_se`, for a mean."""
    rows: list[dict[str, float | int | str]] = [
        dict([("row", name), *(pair for item in row.items() for pair in _spread(*item))])
        for name, row in table.items()
    ]
    write_rows(path, rows, columns=list(dict.fromkeys(key for row in rows for key in row)))


def _spread(key: str, cell: Cell) -> list[tuple[str, float | int | str]]:
    match cell:
        case Mean(mean=mean, se=se):
            return [(key, mean), (f"{key}_se", ONE_SEED if se is None else se)]
        case BestRun(mean=mean):
            return [(key, mean), (f"{key}_se", BEST_RUN)]
    return [(key, cell)]


def _as_markdown(table: Table, *, caption: str) -> str:
    columns, parts = _columns_of(table), [f"{caption}\n"]
    for start in range(0, len(columns), COLUMNS_AT_ONCE):
        keys = columns[start : start + COLUMNS_AT_ONCE]
        lines = [["", *map(show, keys)], ["---", *("---:" for _ in keys)]]
        for name, row in table.items():
            lines.append([show(name), *(_as_text(row.get(key, "")) for key in keys)])
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def _as_tree(
    key: str, table: Table, title: str, caption: str, digits: int = DIGITS
) -> dict[str, Any]:
    """The table for the report: what to print of a cell, and its number where it is one."""
    columns = [{"key": column, "label": show(column)} for column in _columns_of(table)]
    rows = [
        {
            "key": name,
            "label": show(name),
            "cells": {
                column: {
                    "text": _as_text(cell, digits),
                    "value": _value_of(cell),
                    "se": _se_of(cell),
                }
                for column, cell in row.items()
            },
        }
        for name, row in table.items()
    ]
    return {"key": key, "title": title, "caption": caption, "columns": columns, "rows": rows}


def _value_of(cell: Cell) -> float | int | None:
    match cell:
        case Mean(mean=mean) | BestRun(mean=mean):
            return mean
        case float() | int():
            return cell
    return None


def _as_text(cell: Cell, digits: int = DIGITS) -> str:
    match cell:
        case Mean(mean=mean, se=se):
            return f"{mean:.{digits}f} ± {ONE_SEED if se is None else f'{se:.{digits}f}'}"
        case BestRun(mean=mean):
            return f"{mean:.{digits}f} (best run)"
        case float():
            small = 0 < abs(cell) < 10**-digits
            return f"{cell:.1e}" if small else f"{cell:.{digits}f}"
    return str(cell)


def _as_number(cell: Cell) -> dict[str, float] | float | int | None:
    match cell:
        case Mean(mean=mean, se=se):
            return {"mean": mean} if se is None else {"mean": mean, "se": se}
        case BestRun(mean=mean):
            return {"mean": mean}
        case str():
            return None
    return cell


def _se_of(cell: Cell) -> float | None:
    return cell.se if isinstance(cell, Mean) else None
