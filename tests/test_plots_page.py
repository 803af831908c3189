"""The page of `dvc plots show`: .dvc/plots.html and the templates in .dvc/plots."""

import re
from pathlib import Path
from typing import Any

import pytest
from dvc_render.html import render_html
from dvc_render.vega import VegaRenderer

ROOT = Path(__file__).parents[1]
ROW = {"set": "cifar10", "corruption": "clean", "recall": "0.5", "precision": "0.25", "rev": "HEAD"}


def fill(template: str) -> dict[str, Any]:
    plot = VegaRenderer(
        [ROW],
        "data/retrieval/a.csv",
        template=template,
        template_dir=ROOT / ".dvc" / "plots",
        x="recall",
        y="precision",
        anchors_y_definitions=[{"filename": "a.csv", "field": "precision"}],
    )
    return plot.get_filled_template()


def test_the_page_asks_nothing_of_the_internet(tmp_path: Path) -> None:
    plot = VegaRenderer([ROW], "a.csv", template="simple", x="recall", y="precision")
    page = render_html([plot], tmp_path / "index.html", ROOT / ".dvc" / "plots.html")
    text = Path(page).read_text(encoding="utf-8")
    assert "vegaEmbed('#a_csv', spec)" in text
    assert "{plot_divs}" not in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)|import\(|fetch\(|@import", text)


@pytest.mark.parametrize("template", ["simple", "clean"])
def test_templates_have_the_parts_that_the_page_draws(template: str) -> None:
    filled = fill(template)
    assert "DVC_METRIC" not in str(filled)
    mark, encoding = filled["mark"], filled["encoding"]
    assert mark["type"] == "line"
    assert (encoding["x"]["field"], encoding["y"]["field"]) == ("recall", "precision")
    assert encoding["color"]["field"] == "rev"
    assert len(encoding["color"]["scale"]["domain"]) == len(encoding["color"]["scale"]["range"])
    assert "strokeDash" in encoding
    for step in filled.get("transform", []):
        assert step["filter"].keys() == {"field", "equal"}
        assert isinstance(step["filter"]["equal"], str)  # as CSV cells are
