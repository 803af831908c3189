"""The page itself is tested beside its module, in tests/attnlabels/reporting/test_page.py."""

import re
from pathlib import Path

import pytest

import make_report

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path("metrics/report.html")


def report(studies="main"):
    make_report.main(studies, Path("metrics"), Path("data"), PAGE)
    return PAGE.read_text()


def test_a_page_is_left_where_nothing_was_run_and_says_the_code_it_is_of(params):
    text = report()
    assert "run <code>dvc repro</code>" in text
    code = r"<dt>code</dt><dd>(commit [0-9a-f]{12} of [\d-]{10}|not known: )"
    assert re.search(code, text)


def test_what_is_shown_first_is_read_from_the_section_of_the_figures(params):
    params({"draw_figures.alignment_set": "ear"})
    with pytest.raises(ValueError, match=r"params.yaml: draw_figures.alignment_set: .*'eye'"):
        report()
    assert not PAGE.exists()


def test_a_study_without_a_table_of_runs_is_refused(params):
    with pytest.raises(ValueError, match="no table of runs 'table2'"):
        report("main+table2")
