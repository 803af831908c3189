from typing import Annotated, Literal

import pytest
from pydantic import Field

from attnlabels.pipeline.params import check, load, read, record

VALID = """
train:
  count: 3
  rate: 1e-6
  mode: fast
  joint: true
  size: [48, 64]
  weights: {kld: 1.0, nss: 0.1}
runs:
  first:
    seed: 0
"""


@record
class Train:
    count: Annotated[int, Field(gt=0)]
    rate: Annotated[float, Field(gt=0, lt=1)]
    mode: Literal["fast", "slow"]
    joint: bool
    size: tuple[int, int]
    weights: dict[str, float]


@record
class Row:
    seed: int


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Writes params.yaml, with `old` replaced by `new`, in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(old="", new=""):
        assert old in VALID
        (tmp_path / "params.yaml").write_text(VALID.replace(old, new, 1) if old else VALID)

    return write


def refused(kind, *keys):
    with pytest.raises(ValueError) as caught:
        load(kind, *keys)
    return str(caught.value)


def test_values_come_typed_and_lists_as_tuples(params):
    params()
    p = load(Train, "train")
    assert (p.count, p.rate, p.mode, p.joint) == (3, 1e-6, "fast", True)
    assert p.size == (48, 64) and isinstance(p.size, tuple)
    assert p.weights == {"kld": 1.0, "nss": 0.1}


def test_a_section_within_a_section_is_found_by_its_keys(params):
    params()
    assert load(Row, "runs", "first") == Row(seed=0)


def test_a_whole_number_serves_as_float(params):
    params("nss: 0.1", "nss: 2")
    value = load(Train, "train").weights["nss"]
    assert value == 2.0 and isinstance(value, float)


def test_a_record_cannot_be_changed(params):
    params()
    with pytest.raises(AttributeError, match="count"):
        load(Train, "train").count = 4  # type: ignore[misc]


def test_a_record_is_checked_where_it_is_built_and_takes_names_only():
    with pytest.raises(ValueError, match="seed"):
        Row(seed="0")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed"):
        Row(0)  # type: ignore[misc]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("  count: 3\n", "", "params.yaml: train.count is missing; add it"),
        ("count:", "counts:", "params.yaml: train.counts is unknown; remove it or mend"),
        ("  mode: fast", "  mode: fast\n  more: 1", "params.yaml: train.more is unknown"),
        ("count: 3", 'count: "3"', "params.yaml: train.count: .*integer.*got '3'"),
        ("count: 3", "count: 3.5", "params.yaml: train.count: .*integer.*got 3.5"),
        ("count: 3", "count: true", "params.yaml: train.count: .*integer.*got True"),
        ("count: 3", "count: null", "params.yaml: train.count: .*integer.*got None"),
        ("count: 3", "count: 0", "params.yaml: train.count: .*greater than 0.*got 0"),
        ("rate: 1e-6", 'rate: "1e-6"', "params.yaml: train.rate: .*number.*got '1e-6'"),
        ("rate: 1e-6", "rate: true", "params.yaml: train.rate: .*number.*got True"),
        ("rate: 1e-6", "rate: 1.0", "params.yaml: train.rate: .*less than 1.*got 1.0"),
        ("rate: 1e-6", "rate: .nan", "params.yaml: train.rate: .*finite number.*got nan"),
        ("rate: 1e-6", "rate: .inf", "params.yaml: train.rate: .*(finite|less than 1).*got inf"),
        ("mode: fast", "mode: Fast", "params.yaml: train.mode: .*'fast' or 'slow'.*got 'Fast'"),
        ("joint: true", "joint: 1", "params.yaml: train.joint: .*boolean.*got 1"),
        ("joint: true", "joint: yes", "params.yaml: train.joint: .*boolean.*got 'yes'"),
        ("[48, 64]", "[48, 64.5]", "params.yaml: train.size.1: .*integer.*got 64.5"),
        ("[48, 64]", "[48]", "params.yaml: train.size.1 is missing"),
        ("[48, 64]", "[48, 64, 3]", "params.yaml: train.size: .*at most 2"),
        ("nss: 0.1", "nss: .nan", "params.yaml: train.weights.nss: .*finite number.*got nan"),
        ("rate: 1e-6", "rate: 2020-01-01", "params.yaml: train: .*date.*quote it"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_full_key(params, old, new, message):
    params(old, new)
    with pytest.raises(ValueError, match=f"(^|; ){message}"):
        load(Train, "train")


def test_every_mistake_is_named_at_once(params):
    params("count: 3\n  rate: 1e-6", "rates: 1e-6")
    message = refused(Train, "train")
    assert len(message.splitlines()) == 1 and message.count("params.yaml: ") == 3
    assert all(f"train.{key} is" in message for key in ("count", "rate", "rates"))


@pytest.mark.parametrize(
    "keys, message",
    [
        (("trains",), "params.yaml: no section 'trains'; expected one of: train, runs"),
        (("runs", "second"), "params.yaml: no section 'runs.second'; expected one of: first"),
        (("train", "count", "x"), "params.yaml: no section 'train.count.x'; expected one of: none"),
    ],
)
def test_a_missing_section_is_named_with_those_there_are(params, keys, message):
    params()
    assert refused(Row, *keys) == message


def test_a_section_that_is_no_mapping_is_refused(params):
    params("    seed: 0", "    7")
    assert refused(Row, "runs", "first").startswith("params.yaml: runs.first: ")


@pytest.mark.parametrize("doubled", ["count: 3\n  count: 4", "count: 3\n  count: 3"])
def test_a_doubled_key_is_refused_by_its_name_and_line(params, doubled):
    params("count: 3", doubled)
    message = refused(Train, "train")
    assert message.startswith("params.yaml is not valid YAML: ") and 'in "params.yaml"' in message
    assert 'duplicate key "count"' in message and "line 4" in message


def test_a_file_that_is_no_yaml_or_no_mapping_is_refused(params, tmp_path):
    params()
    (tmp_path / "params.yaml").write_text("train: [1, 2")
    assert "params.yaml is not valid YAML" in refused(Train, "train")
    (tmp_path / "params.yaml").write_text("- train\n")
    assert "params.yaml holds list, expected sections" in refused(Train, "train")


def test_a_file_is_read_as_it_stands_whatever_was_done_with_what_was_read_before(params):
    params()
    first = read()
    first["train"]["size"].append(0)
    assert read()["train"]["size"] == [48, 64]
    params("[48, 64]", "[64, 48]")
    assert read()["train"]["size"] == [64, 48]


def test_a_missing_file_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="params.yaml: .*run from the project's root"):
        read()


def test_check_begins_its_lines_with_where():
    with pytest.raises(ValueError, match="^other.yaml: row.seed is missing"):
        check(Row, {}, where="other.yaml: row")
