"""Choose the teacher that travels with the package, and write its card.

    python src/release_teacher.py TEACHERS SCORES WEIGHTS CARD REPORT

SCORES holds a CSV of `evaluate_teacher` for each of `teachers` and each part of the photographs
that is `tested`: together each once, scored by a teacher that did not see it. WEIGHTS gets the file
of TEACHERS that learnt from all (the part `released`), of the kind whose mean CC with the eye
fixations is best. CARD is Markdown, made of `release_teacher.md` beside this script; REPORT has the
numbers in it.
"""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from attnlabels.metrics.alignment import SCORES
from attnlabels.metrics.statistics import mean_se, spearman_brown
from attnlabels.pipeline.frames import read_csv
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, read, record
from attnlabels.pipeline.places import settle
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing, write_metrics
from attnlabels.shards.shards import sha256_of
from attnlabels.teachers.trained import read_trained

TEMPLATE = Path(__file__).with_suffix(".md")
SET = "eye"  # what people's attention is in the end


@record
class ReleaseTeacher:
    """The section `release_teacher` of params.yaml."""

    teachers: dict[str, str]  # of which the best is released, with what they are in words
    tested: tuple[str, ...]  # parts of the photographs, disjoint
    released: str  # the part whose teacher learnt them all
    photographs: int  # that the parts hold together


def main(teachers: Path, scores: Path, weights: Path, card: Path, report: Path) -> None:
    settle(weights, card, report)
    threads = take_threads()
    p = load(ReleaseTeacher, "release_teacher")
    tables = {name: read_scores(scores, name, p) for name in p.teachers}
    found: dict[str, Any] = {name: summary_of(table) for name, table in tables.items()}
    best = max(p.teachers, key=lambda name: found[name]["teacher"]["cc"]["mean"])
    copy_file(teachers / f"{best}-{p.released}.safetensors", weights)
    found |= {"released": best, "n": p.photographs, "sha256": sha256_of(weights)}
    for a, b in pairs(p.teachers):
        gains = tables[a]["teacher"] - tables[b]["teacher"]
        found[f"{a}-{b}"] = {key: with_error(gains[key]) for key in ("cc", "nss")}
    with replacing(card) as aside:
        aside.write_text(render(found, weights))
    write_metrics(report, found, threads=threads)


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Each two teachers that are compared, the later one first."""
    return [*combinations(reversed([*names]), 2)]


def read_scores(folder: Path, teacher: str, p: ReleaseTeacher) -> pd.DataFrame:
    """The scores of all parts' photographs: [images] x (readout, score).

    Raises ValueError if a photograph is scored twice or some are missing.
    """
    files = [folder / f"{teacher}-{part}.csv" for part in p.tested]
    columns = ("set", "image", "readout", *SCORES)
    parts = [read_csv(file, columns=columns, stage="evaluate_teacher") for file in files]
    rows = pd.concat(parts).query("set == @SET")
    if twice := [*rows[rows.duplicated(["image", "readout"])]["image"]]:
        raise ValueError(f"{folder}: {twice[0]} is in two parts; split the attention again")
    table = rows.pivot(index="image", columns="readout", values=[*SCORES])
    if len(table) != p.photographs:
        raise ValueError(
            f"{folder}: {len(table)} photographs scored, {p.photographs} expected; complete the "
            "data, or mend release_teacher.photographs in params.yaml"
        )
    return table.swaplevel(axis=1).sort_index(axis=1)


def summary_of(table: pd.DataFrame) -> dict[str, Any]:
    """Mean and standard error over photographs of each readout's scores, and the teacher's gain."""
    found: dict[str, Any] = {
        readout: {
            key: with_error(table[readout][key])
            for key in SCORES
            if table[readout][key].notna().all()
        }
        for readout in table.columns.levels[0]
    }
    half = found["split_half"]["cc"]["mean"]
    found["split_half"]["cc_all_observers"] = spearman_brown(half)
    found["cc_above_prior"] = with_error(table["teacher"]["cc"] - table["centre_prior"]["cc"])
    return found


def copy_file(path: Path, to: Path) -> None:
    with replacing(to) as aside:
        aside.write_bytes(path.read_bytes())


def count_parameters(weights: Path) -> int:
    """How many numbers of a teacher are learnt."""
    return sum(each.numel() for each in read_trained(weights).teacher.parameters())


def with_error(values: "pd.Series[float]") -> dict[str, float | None]:
    """Mean and standard error, also of the differences of two scores of the same photographs."""
    _, mean, se = mean_se(values.to_numpy())
    return {"mean": mean, "se": se}


def render(found: dict[str, Any], weights: Path) -> str:
    """The card in Markdown: REPORT's numbers, and the released file's."""
    params = read()
    titles = params["release_teacher"]["teachers"]
    about = {
        "found": found,
        "titles": titles,
        "differences": {f"{a}-{b}": found[f"{a}-{b}"] for a, b in pairs(titles)},
        "scores": SCORES,
        "params": params,
        "n_parameters": count_parameters(weights),
        "n_bytes": weights.stat().st_size,
    }
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text: str = environment.from_string(TEMPLATE.read_text()).render(about)
    return text.rstrip() + "\n"


if __name__ == "__main__":
    run(main)
