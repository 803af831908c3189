import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import list_runs

PLAIN: dict[str, Any] = {"labels": "labels/a", "block": "none", "cotrain": None}
RUNS = {
    "plain": PLAIN,
    "other_labels": PLAIN | {"labels": "labels/b"},
    "masked": PLAIN | {"block": "mask"},
    "around": PLAIN | {"block": "residual_mask"},
    "cotrained": PLAIN | {"cotrain": {"shards": "people", "images": 3}},
    "supervised": {"labels": "labels/a", "backbone": "resnet18"},
    "plain_units": {"labels": "labels/a", "unit_attention": None},
    "gala": {"labels": "labels/a", "unit_attention": "gala"},
}
Lists = Callable[..., dict[str, bytes]]


@pytest.fixture
def lists(tmp_path, monkeypatch) -> Lists:
    """What is listed, by run, of a table in a project with modules of its own for the slots."""
    monkeypatch.chdir(tmp_path)
    for folder in ("labels/a", "labels/b", "people"):
        Path(folder).mkdir(parents=True)
        Path(folder, "index.json").write_text(folder)
    library = tmp_path / "attnlabels"
    rooms = {slot: library / room.name for slot, room in list_runs.SLOTS.items()}
    for slot, room in list_runs.SLOTS.items():
        shutil.copytree(room, rooms[slot])
    (library / "__init__.py").touch()
    monkeypatch.setattr(list_runs, "SLOTS", rooms)

    def call(table: dict[str, Any] = RUNS) -> dict[str, bytes]:
        Path("params.yaml").write_text(json.dumps({"study": table}))
        list_runs.main("study", Path("runs"))
        return {path.stem: path.read_bytes() for path in Path("runs").glob("*.json")}

    return call


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_run_is_listed_with_its_row_and_what_it_is_made_of(lists):
    listed = {name: json.loads(text) for name, text in lists().items()}
    assert {name: each["row"] for name, each in listed.items()} == RUNS
    assert all(each["run"] == name for name, each in listed.items())
    mask, none, around = (
        f"attnlabels/blocks/{name}.py" for name in ("mask", "none", "residual_mask")
    )
    assert set(listed["plain"]["sha256"]) == {"labels/a", none}
    assert set(listed["around"]["sha256"]) == {"labels/a", around, mask}
    assert set(listed["cotrained"]["sha256"]) == {"labels/a", "people", none}
    assert set(listed["supervised"]["sha256"]) == {"labels/a"}
    assert set(listed["plain_units"]["sha256"]) == {"labels/a"}
    gala = (f"attnlabels/unit_attention/{name}.py" for name in ("_norms", "gala", "se"))
    assert set(listed["gala"]["sha256"]) == {"labels/a", *gala}


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("attnlabels/blocks/mask.py", {"masked", "around"}),  # the other one imports it
        ("attnlabels/blocks/residual_mask.py", {"around"}),
        ("attnlabels/unit_attention/se.py", {"gala"}),  # whose G is that of SE
        ("attnlabels/unit_attention/side_head.py", set()),
        ("labels/b/index.json", {"other_labels"}),
        ("people/index.json", {"cotrained"}),
    ],
)
def test_an_edited_block_or_set_of_labels_makes_only_its_own_runs_stale(lists, edited, stale):
    before = lists()
    text = Path(edited).read_text()
    Path(edited).write_text(text + "\nEDITED = 1\n")
    assert changed(before, lists()) == stale
    Path(edited).write_text(text + "\n# edited\n")
    if edited.endswith(".py"):
        assert lists() == before


def test_a_new_row_or_a_changed_one_leaves_the_others_as_they_were(lists):
    before = lists()
    assert changed(before, lists({"first": PLAIN} | RUNS)) == {"first"}
    assert changed(before, lists(RUNS | {"plain": PLAIN | {"stop": True}})) == {"plain"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"labels": "labels/c", "block": "none"},
            r"labels/c/index\.json is missing: .*'new' needs",
        ),
        (
            PLAIN | {"block": "maks"},
            "the run 'new' has the block 'maks'; expected one of: mask, none",
        ),
        (
            {"labels": "labels/a", "unit_attention": "cbam"},
            "the run 'new' has the unit_attention 'cbam'; expected one of: features, gala, gala_r",
        ),
        (PLAIN | {"cotrain": {"shards": "folk", "images": 3}}, r"folk/index\.json is missing"),
        ({"block": "none"}, "the run 'new' has no `labels`"),
        (None, "the run 'new' has no `labels`"),
    ],
)
def test_what_a_row_names_and_is_not_there_is_named(lists, row, message):
    with pytest.raises((ValueError, OSError), match=message):
        lists(RUNS | {"new": row})
    assert not Path("runs").exists()


def test_a_table_that_is_not_there_is_named(lists, fail):
    lists()
    assert "params.yaml: no table of runs 'else'" in fail(list_runs, "else", "runs")
