"""Gather what there is of some studies into one page to look at.

    python src/make_report.py STUDIES METRICS DATA REPORT

STUDIES are tables of runs joined by "+", such as main+table1. METRICS and DATA are the roots of all
studies, REPORT an HTML file that needs nothing beside it and no network; the tables that are put
into it are those in `tables` beside it. What a figure lacks is no error: the page says what to run.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from attnlabels.pipeline.gaps import Results
from attnlabels.pipeline.params import load, read, record
from attnlabels.pipeline.results import runs_of
from attnlabels.pipeline.script import run
from attnlabels.reporting.page import gather, write_page
from attnlabels.reporting.provenance import code_version


@record
class Shown:
    """What is shown first: the section `draw_figures` of params.yaml, the paper's own choices."""

    alignment_set: Literal["eye", "val"]
    retrieval_corruption: str
    examples: Annotated[int, Field(ge=1, le=8)]


def main(studies: str, metrics: Path, data: Path, report: Path) -> None:
    p = load(Shown, "draw_figures")
    tree = read()
    results = Results(metrics, data, runs_of(studies, tree))
    page = gather(
        results,
        tree,
        beside=report.parent,
        alignment_set=p.alignment_set,
        retrieval_corruption=p.retrieval_corruption,
        examples=p.examples,
    )
    # Of src/ alone: a commit of results or of words leaves the page's bytes as they are. DVC
    # does not watch the commit: one that changes no number here asks for no other page.
    write_page(report, page | {"code": code_version(Path(__file__).parent)})


if __name__ == "__main__":
    run(main)
