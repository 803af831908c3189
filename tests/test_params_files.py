"""The three parameter files fit every script's record, and params.yaml is one of them."""

import ast
import copy
import importlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides

import list_runs
import train_teacher
from attnlabels.losses.objective import TERMS
from attnlabels.pipeline.code import SLOTS
from attnlabels.pipeline.params import check, load, read
from attnlabels.pipeline.results import runs_of
from attnlabels.teachers.network import OUTPUT, Teacher
from attnlabels.training.teachers import architecture
from pipeline_files import FILES, PIPELINES, ROOT, bodies_of, params_files_of


def scripts_by_file() -> dict[Path, set[str]]:
    """The scripts that run with each parameter file."""
    found: dict[Path, set[str]] = {}
    for pipeline in PIPELINES:
        for file in params_files_of(pipeline):
            found.setdefault(file, set()).update(bodies_of(pipeline))
    return found


def tables_of_runs(pipelines: Iterable[Path]) -> dict[str, str]:
    """The tables of runs and the script that trains each, as the pipeline files have it."""
    found = {}
    for pipeline in pipelines:
        for script, body in bodies_of(pipeline).items():
            if script.startswith("train_") and "run" in body.get("matrix", {}):
                found[body["matrix"]["run"].strip("${}")] = script
    return found


# Where labels lie: as seen from the root, and from studies that make their own.
OWN = {
    "stages/bottleneck": "data/bottleneck/maps",
    "stages/clickme": "data/clickme/maps",
    "stages/collect": "data/collect/revealed",
    "stages/psychophysics": "data/psychophysics/revealed",
}
LABELS = ("data/labels", *(os.path.relpath(path, start=study) for study, path in OWN.items()))
MAKERS = ("relabel_images", "prepare_clickme", "reveal_images")  # of labels, a folder a row
ROOTS = [each for each in PIPELINES if params_files_of(each) == FILES]
TABLES = tables_of_runs(ROOTS)
# Each table in each parameter file that has it: those of the root, and those of a study's own.
PLACES = [(file, table, script) for table, script in TABLES.items() for file in FILES]
PLACES += [
    (file, table, script)
    for study in PIPELINES
    if study not in ROOTS
    for table, script in tables_of_runs([study]).items()
    for file in params_files_of(study)
]
each_table = pytest.mark.parametrize(
    ("file", "table", "script"),
    [pytest.param(*each, id=f"{each[1]}-{each[0].parent.name}-{each[0].stem}") for each in PLACES],
)

Loaded = tuple[str, str, tuple[str | None, ...]]


def loads_of(script: Path) -> Iterator[Loaded]:
    """Each `load(Record, key, ...)` of a script; a key that is no literal is None.

    Not `load(Record, *path)`, whose keys are as many as the command line says.
    """
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "load":
            kind, *keys = node.args
            assert isinstance(kind, ast.Name)
            if any(isinstance(each, ast.Starred) for each in keys):
                continue
            values = (each.value if isinstance(each, ast.Constant) else None for each in keys)
            yield script.stem, kind.id, tuple(values)


LOADS = [each for script in sorted((ROOT / "src").glob("*.py")) for each in loads_of(script)]


def sections(tree: Any, keys: tuple[str | None, ...]) -> list[tuple[str, ...]]:
    """The keys, each None of them replaced by every name that stands there."""
    if not keys:
        return [()]
    first, *rest = keys
    names = (first,) if first else tuple(tree)
    return [(name, *below) for name in names for below in sections(tree[name], tuple(rest))]


def test_the_pipeline_files_name_every_table_of_runs():
    assert TABLES.items() >= {
        ("main", "train_simclr"),
        ("table1", "train_simclr"),
        ("supervised", "train_supervised"),
        ("ablations", "train_simclr"),
    }


def test_the_three_files_are_there():
    assert [each.stem for each in FILES] == ["embedded", "paper", "real"]


def test_params_yaml_is_the_embedded_file():
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "params" / "embedded.yaml").read_bytes()


def test_most_scripts_load_parameters():
    assert {script for script, *_ in LOADS} >= {
        "train_teacher",
        "label_images",
        "train_simclr",
        "align_attention",
        "probe_linear",
        "extract_features",
        "score_retrieval",
        "prepare_attention",
        "make_scenes",
    }


@pytest.mark.parametrize(
    ("file", "script", "kind", "keys"),
    [
        pytest.param(file, *each, id=f"{file.parent.name}-{file.stem}-{'-'.join(map(str, each))}")
        for file, scripts in scripts_by_file().items()
        for each in LOADS
        if each[0] in scripts
    ],
)
def test_every_section_fits_its_scripts_record(file, script, kind, keys):
    record = getattr(importlib.import_module(script), kind)
    for section in sections(read(file), keys):
        load(record, *section, path=file)


@each_table
def test_every_row_of_a_table_fits_the_script_that_trains_it(file, table, script):
    module, tree = importlib.import_module(script), read(file)
    made = {"train", *(row for maker in MAKERS for row in tree.get(maker, {}))}
    for name, row in tree[table].items():
        fitted = check(module.Row, row, where=f"{file}: {table}.{name}")
        assert fitted.weights.keys() <= TERMS.keys(), name
        folder, _, labels = fitted.labels.rpartition("/")
        assert folder in LABELS and labels in made, name
        if script == "train_simclr":
            module.require_one_meaning(load(module.TrainSimclr, "train_simclr", path=file), fitted)
        else:
            module.require_one_meaning(fitted)
        for slot, room in SLOTS.items():
            if row.get(slot) is not None:
                assert list_runs.find_module(slot, room, row[slot], name=name).is_file()


@each_table
def test_an_override_of_a_sweep_changes_that_value_and_no_other(file, table, script, tmp_path):
    # DVC writes an override into the file's tree, in which rows may share what `<<` merges.
    name = [*read(file)[table]][-1]
    expected = read(file)
    expected[table][name] = copy.deepcopy(expected[table][name])
    term = next(iter(expected[table][name]["weights"]))
    expected[table][name]["weights"][term] = 7.5
    shutil.copy(file, tmp_path / "params.yaml")
    apply_overrides(tmp_path / "params.yaml", [f"{table}.{name}.weights.{term}=7.5"])
    assert read(tmp_path / "params.yaml") == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_two_runs_of_all_tables_share_a_name(file):
    names = [name for table in TABLES for name in read(file)[table]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_runs_of_the_main_chain_take_the_teachers_labels(file):
    # dvc.yaml makes no others before they are trained.
    assert {row["labels"] for row in read(file)["main"].values()} == {"data/labels/train"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_teacher_can_be_built_of_every_row(file):
    recipe = load(train_teacher.TrainTeacher, "train_teacher", path=file)
    table = read(file)["teachers"]
    for keys in (("teacher",), *(("teachers", name) for name in table)):
        Teacher(**architecture(recipe, load(train_teacher.Row, *keys, path=file)))
    default = read(file)["teacher"]
    alone = {f"taps_{tap}": {**default, "taps": [tap]} for tap in default["taps"]}
    forms = {f"output_{form}": {**default, "output": form} for form in OUTPUT}
    assert table == alone | {key: row for key, row in forms.items() if row != default}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_table_of_runs_and_the_seeds_fit_who_reads_them_all(file):
    tree = read(file)
    runs = {key: tree[key] for key in ("main", "seeds")}
    check(importlib.import_module("draw_figures").Runs, runs, where=str(file))
    assert runs_of("main", tree).keys() == tree["main"].keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_tables_find_their_baselines_and_the_scale(file):
    make_tables, tree = importlib.import_module("make_tables"), read(file)
    section = tree["make_tables"]
    runs = runs_of("+".join(TABLES), tree)
    baselines = make_tables.baselines_of(
        runs, tree, default=section["baseline"], others=section["baselines"]
    )
    alone = [name for name in runs if name not in baselines]
    assert alone[0] == "contrastive" and not any("attn_teacher" in name for name in alone)
    of_methods = sum(row["stop_gradient"] for row in tree["methods"].values())
    assert len(alone) == 3 + of_methods  # and two supervised ones, and each method's and network's
    assert f"of width {tree['train_simclr']['width']} " in make_tables.scale_of(tree)


def test_all_files_have_the_same_sections_and_runs():
    trees = [read(file) for file in FILES]
    assert all(tree.keys() == trees[0].keys() for tree in trees)
    for tree in trees:  # on real data two of Table 1's rows have as many seeds as the main runs
        assert {*tree["main"], *tree["table1"]} >= {*trees[0]["main"], "simclr", "cotrain"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_section_that_lost_a_key_does_not_load(file, tmp_path):
    whole = file.read_text()
    assert whole.count("\n  temperature: ") == 1
    (tmp_path / "params.yaml").write_text(whole.replace("\n  temperature: ", "\n  temp: "))
    record = importlib.import_module("train_simclr").TrainSimclr
    with pytest.raises(ValueError, match="train_simclr.temperature is missing"):
        load(record, "train_simclr", path=tmp_path / "params.yaml")
