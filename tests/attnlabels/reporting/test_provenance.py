import re
import subprocess
from pathlib import Path

import pytest

from attnlabels.pipeline.params import read
from attnlabels.reporting.provenance import (
    as_words,
    code_version,
    describe_data,
    describe_row,
    describe_scale,
    is_synthetic,
)

ROOT = Path(__file__).resolve().parents[3]
BASELINE = {"block": "none", "stop_gradient": True, "weights": {"kld": 3.0, "probe": 1.0}}
GUIDED = BASELINE | {"stop_gradient": False}
OTHERS = {"baseline": BASELINE, "guided": GUIDED}


def test_a_row_alone_is_described_in_full():
    expected = "block none; stop gradient yes; weights kld 3; weights probe 1"
    assert describe_row(BASELINE, {}) == expected


def test_a_row_among_others_is_described_by_what_it_changes_of_the_nearest():
    assert describe_row(GUIDED | {"block": "mask"}, OTHERS) == "as guided but block mask"
    without = BASELINE | {"weights": {"probe": 1.0}, "map_size": 3}
    assert describe_row(without, OTHERS) == "as baseline but map size 3; weights kld none"
    assert describe_row(GUIDED, OTHERS) == "as guided"


@pytest.mark.parametrize("file", ["embedded", "real", "paper"])
def test_every_parameter_file_has_a_scale_and_data(file):
    tree = read(ROOT / "params" / f"{file}.yaml")
    assert is_synthetic(tree) == (file == "embedded")
    scale = {what: (ours, theirs) for what, ours, theirs in describe_scale(tree)}
    alike = {what for what, (ours, theirs) in scale.items() if ours == theirs}
    if file == "paper":
        assert alike >= {"image size", "training images", "batch", "seeds"}
    else:
        assert not alike & {"image size", "training images", "batch", "backbone"}
    assert all(where.startswith("data/") for _, where in describe_data(tree))


def git(*words, cwd):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True)


def test_the_code_is_that_of_the_last_commit_that_changed_it(tmp_path, monkeypatch):
    source = tmp_path / "src"
    source.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_version(source) == "not known: the code is in no git repository"
    git("init", "-q", cwd=tmp_path)
    (source / "a.py").write_text("1")
    git("add", ".", cwd=tmp_path)
    git("commit", "-qm", "code", cwd=tmp_path)
    first = code_version(source)
    assert re.fullmatch(r"commit [0-9a-f]{12} of \d{4}-\d\d-\d\d", first)
    (tmp_path / "results.json").write_text("{}")
    git("add", ".", cwd=tmp_path)
    git("commit", "-qm", "results", cwd=tmp_path)
    assert code_version(source) == first
    (source / "a.py").write_text("2")
    assert code_version(source) == f"{first}, and changes since that are not committed"
    git("commit", "-qam", "more code", cwd=tmp_path)
    assert code_version(source) not in (first, f"{first}, and changes since")


def test_where_there_is_no_git_the_code_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_version(tmp_path).startswith("not known")


def test_values_are_put_into_words():
    values = [None, True, 1e-4, [0.3, 0.1], {"images": 64, "mirror": False}, "stages"]
    assert [*map(as_words, values)] == [
        "none",
        "yes",
        "0.0001",
        "0.3, 0.1",
        "images 64, mirror no",
        "stages",
    ]
