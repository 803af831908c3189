"""The pipeline files fit the code and the parameters, and the whole chain runs as they say."""

import ast
import copy
import functools
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import attnlabels
from attnlabels.pipeline import machine
from attnlabels.pipeline.code import SLOTS, closure, find_module, imports_of, names_in
from attnlabels.pipeline.params import read
from attnlabels.reporting.provenance import parameters_of
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA
from pipeline_files import FILES, PIPELINES, ROOT, bodies_of, params_files_of

SOURCES = ROOT / "src"
SCRIPTS = {path.stem: path for path in sorted(SOURCES.glob("*.py"))}
MODULES = [path for path in sorted(SOURCES.rglob("*.py")) if path.stem != "__init__"]
PARAMS = {path.stem: read(path) for path in FILES}
UP = "../../"  # to the root from the folder of a study that has parameters of its own
# The library's rooms, from the ground up: a room imports from lower floors alone.
FLOORS = (
    {"files"},
    {"pretrained"},
    {
        "blocks",
        "images",
        "losses",
        "metrics",
        "models",
        "pipeline",
        "unit_attention",
    },
    {"processes"},
    {"masks", "serving", "shards", "teachers", "testsets"},
    {"recordings", "reporting", "training"},
    {"clickmaps", "readouts", "tasks"},
    {"evaluation", "interpretation", "psychophysics", "scenes"},
    {"collecting", "labelling", "sessions", "studies"},
    {"bottleneck", "gathered"},
    {"simulated"},
    {"commands"},
)
# Rooms of what is imported by name, by a row's key that has it; list_runs watches their code.
ROOMS = {slot: room.relative_to(SOURCES.parent).as_posix() for slot, room in SLOTS.items()}
LOOP = re.compile(r"\$\{(key|item[.\w]*)\}")


@functools.cache
def stages_of(pipeline: Path) -> dict[str, dict[str, Any]]:
    """A stage's body by its name, as from the root, that of a `foreach` from below its `do`."""
    stages = YAML(typ="safe").load(pipeline.read_text().replace(UP, ""))["stages"]
    return {name: body.get("do", body) for name, body in stages.items()}


def named(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


def params_of(pipeline: Path) -> dict[str, dict[str, Any]]:
    """The parameter files that a pipeline may be run with, by their names."""
    files = params_files_of(pipeline)
    return PARAMS if files is FILES else {named(path): read(path) for path in files}


STAGES = [
    pytest.param(name, body, id=f"{pipeline.parent.name}-{name}")
    for pipeline in PIPELINES
    for name, body in stages_of(pipeline).items()
]
each_stage = pytest.mark.parametrize(("name", "body"), STAGES)
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(SOURCES))
)


def paths_in(entries: list[Any]) -> list[str]:
    """The paths of a list of dependencies or outputs, without what is said of each."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


# Of all pipelines, those of the root and its studies once for each file that they may be run with.
TREES = [*PARAMS.values()]
TREES += [
    tree for each in PIPELINES if params_of(each) is not PARAMS for tree in params_of(each).values()
]


def runs_in(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of all tables of runs: what has labels and weights."""
    for table in tree.values():
        if isinstance(table, dict):
            for row in table.values():
                if isinstance(row, dict) and {"labels", "weights"} <= row.keys():
                    yield row


def commands_of(body: dict[str, Any]) -> list[list[str]]:
    """The words of each command of a stage; most have one."""
    commands = body["cmd"] if isinstance(body["cmd"], list) else [body["cmd"]]
    return [command.split() for command in commands]


def scripts_of(body: dict[str, Any]) -> list[str]:
    return [Path(script).stem for _, script, *_ in commands_of(body)]


def sections_of(pipeline: Path) -> set[str]:
    """The sections of the parameters that a pipeline uses; and `key` and `item` of its loops."""
    used = {*re.findall(r"\$\{(\w+)", pipeline.read_text())}
    for body in stages_of(pipeline).values():
        used |= {key.split(".")[0] for key in body.get("params", [])}
    return used


def outputs_of(body: dict[str, Any]) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in paths_in(body.get(kind, []))]


def test_every_script_is_a_stage_and_every_stage_a_script():
    bodies = [body for _, body in (param.values for param in STAGES)]
    assert {script for body in bodies for script in scripts_of(body)} == set(SCRIPTS)


def test_every_script_has_a_test_of_its_own():
    assert {path.stem for path in (ROOT / "tests").glob("test_*.py")} >= {
        f"test_{name}" for name in SCRIPTS
    }


@each_stage
def test_a_stage_says_in_a_sentence_what_it_does(name, body):
    assert re.fullmatch(r"[A-Z][^\n]+\.", body["desc"])


@each_stage
def test_a_stage_runs_the_script_of_its_name_or_several(name, body):
    scripts = scripts_of(body)
    assert name not in SCRIPTS if len(scripts) > 1 else scripts == [name]


@each_stage
def test_a_script_gets_as_many_words_as_it_takes(name, body):
    for python, path, *words in commands_of(body):
        script = Path(path).stem
        assert (python, path) == ("python", f"src/{script}.py")
        (main,) = (
            node
            for node in ast.parse(SCRIPTS[script].read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name == "main"
        )
        assert len(words) == len(main.args.args)


@each_stage
def test_a_stage_depends_on_its_data_and_on_the_lists_of_its_scripts_code_alone(name, body):
    # What that list holds, tests/attnlabels/pipeline/test_code.py tests.
    code = [path for path in paths_in(body["deps"]) if path.startswith(("src", "data/code"))]
    rooms = {f"data/code/{room.name}" for room in SLOTS.values()}
    filling = [path for path in code if path in rooms]
    assert not filling or name == "list_runs"
    own = [f"data/code/{script}.json" for script in scripts_of(body)]
    assert code == (["src"] if name == "list_code" else [*own, *filling])


def test_the_code_of_every_stage_is_listed():
    body = stages_of(PIPELINES[0])["list_code"]
    listed = {f"data/code/{name}.json" for name in SCRIPTS if name != "list_code"}
    rooms = {f"data/code/{room.name}" for room in SLOTS.values()}
    assert sorted(outputs_of(body)) == sorted(listed | rooms)


def looped(over: Any, tree: dict[str, Any]) -> list[str]:
    """The keys of what a `foreach` or an axis of a `matrix` goes through."""
    if isinstance(over, str):
        over = functools.reduce(lambda node, key: node[key], over[2:-1].split("."), tree)
    return [str(each) for each in over]  # of a mapping, its keys


def names_of(pipeline: Path, tree: dict[str, Any]) -> set[str]:
    """The stages of a pipeline as DVC names them, those of each parameter with `@` and its key."""
    names = set[str]()
    for name, body in bodies_of(pipeline).items():
        if "matrix" in body:
            axes = [looped(axis, tree) for axis in body["matrix"].values()]
            names |= {f"{name}@{'-'.join(keys)}" for keys in itertools.product(*axes)}
        elif "foreach" in body:
            names |= {f"{name}@{key}" for key in looped(body["foreach"], tree)}
        else:
            names.add(name)
    return names


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.parent.name)
def test_a_lock_has_the_stages_of_its_pipeline_and_no_others(pipeline):
    own = pipeline.with_name("params.yaml")
    tree = read(own if own.exists() else ROOT / "params.yaml")
    locked = YAML(typ="safe").load(pipeline.with_name("dvc.lock").read_text())["stages"]
    assert set(locked) == names_of(pipeline, tree)


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.parent.name)
def test_a_pipeline_file_can_be_read_aloud(pipeline):
    lines = pipeline.read_text().splitlines()
    assert len(lines) <= (300 if pipeline.parent == ROOT else 180)
    assert max(map(len, lines)) <= 100
    head = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    assert 1 <= head <= 6


@each_stage
def test_every_path_of_a_command_is_a_dependency_or_an_output_and_every_output_is_in_it(name, body):
    words = [word for _, _, *own in commands_of(body) for word in own]
    declared = paths_in(body["deps"]) + outputs_of(body)
    for word in words:
        if word.startswith(("data/", "metrics")):
            assert any(f"{path}/".startswith(f"{word}/") for path in declared), word
    if name != "list_code":  # a file for each script, in one folder
        assert not set(outputs_of(body)) - set(words)


@each_stage
def test_metrics_are_small_files_kept_in_git(name, body):
    for metric in body.get("metrics", []):
        ((path, options),) = metric.items()
        assert path.startswith("metrics/") and path.endswith(".json")
        assert options == {"cache": False}


each_file = pytest.mark.parametrize(
    ("pipeline", "file"),
    [(path, file) for path in PIPELINES for file in params_of(path)],
    ids=lambda each: each.parent.name if isinstance(each, Path) else each,
)


@each_file
def test_every_parameter_of_a_stage_is_in_every_parameter_file(pipeline, file):
    for body in stages_of(pipeline).values():
        for key in body.get("params", []):
            node = params_of(pipeline)[file]
            for part in LOOP.split(key)[0].rstrip(".").split("."):
                assert isinstance(node, dict) and part in node, f"{file} has no {key}"
                node = node[part]


@each_file
def test_every_value_that_a_pipeline_takes_is_in_every_parameter_file(pipeline, file):
    taken = set(re.findall(r"\$\{([^}]+)\}", pipeline.read_text()))
    for key in (key for key in taken if not re.match(r"(key|item)\b", key) and key != "..."):
        node = params_of(pipeline)[file]
        for part in key.split("."):
            assert part in node, f"{file} has no ${{{key}}}"
            node = node[part]


@each_file
def test_every_section_of_the_parameters_is_used(pipeline, file):
    tree = params_of(pipeline)[file]
    those = [each for each in PIPELINES if params_of(each).keys() == params_of(pipeline).keys()]
    assert set(tree) <= set().union(*map(sections_of, those))


@each_stage
def test_a_report_is_made_again_when_a_parameter_in_it_changes(name, body):
    if name == "make_report":
        ((_, _, studies, *_),) = commands_of(body)
        assert set(body["params"]) == set(parameters_of(studies.split("+"), PARAMS["embedded"]))


@pytest.mark.parametrize("file", PARAMS)
def test_what_a_row_is_watched_by_is_what_its_stage_depends_on(file):
    # A row that read one set and watched another would go stale without being seen to.
    corrupted, benchmarks = PARAMS[file]["corrupt_images"], PARAMS[file]["benchmarks"]
    for name in corrupted:
        assert benchmarks[name] == {
            "layout": "arrays",
            "path": f"data/corrupted/{name}",
            "watch": f"data/corrupted/{name}",
        }


def test_a_study_runs_at_the_root_with_its_parameters_or_in_its_folder_with_own_ones():
    for pipeline in PIPELINES[1:]:
        tree = YAML(typ="safe").load(pipeline)
        bodies = stages_of(pipeline).values()
        if params_of(pipeline) is PARAMS:
            assert tree["vars"] == ["../../params.yaml"]
            assert all(body["wdir"] == "../.." for body in bodies)
        else:
            assert "vars" not in tree and not any("wdir" in body for body in bodies)


def floor_of(room: str) -> int:
    (floor,) = (number for number, rooms in enumerate(FLOORS) if room in rooms)
    return floor


@each_module
def test_imports_go_one_way(path):
    room, *below = path.relative_to(SOURCES).with_suffix("").parts[1:-1] or [None]
    assert not names_in(path) & SCRIPTS.keys(), "nothing imports a script"
    imported = [each.relative_to(SOURCES).parts for each in imports_of(path)]
    if room is None:  # a script, or the command
        return
    assert not below, "a room has no rooms"
    for _, *other in imported:
        assert len(other) == 2, "nothing imports the command"
        assert other[0] == room or floor_of(other[0]) < floor_of(room), f"{path} imports {other}"


def test_rooms_are_those_of_the_plan_and_none_is_crowded():
    rooms = [each for each in (SOURCES / "attnlabels").iterdir() if any(each.glob("*.py"))]
    assert {each.name for each in rooms} == set().union(*FLOORS)
    crowded = [each.name for each in rooms if len([*each.glob("[!_]*.py")]) > 12]
    assert not crowded


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    """The functions of a file and how many lines each has."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@each_module
def test_no_function_is_long(path):
    if path.parent.name != "commands":  # whose declarations of options are long
        assert not [name for name, n in functions_of(path) if n > 50]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short(name):
    assert len(SCRIPTS[name].read_text().splitlines()) <= 140


def test_every_module_of_the_library_is_imported_by_a_script_or_the_command():
    names = ("attnlabels.cli", *attnlabels.MODULES.values())
    commands = {find_module(name, root=SOURCES) for name in names}
    users = [*SCRIPTS.values(), *filter(None, commands)]
    filling = {path for path in MODULES if path.parent in SLOTS.values()}
    # Who trains all runs in one stage may import what fills a slot (attnlabels.tasks.network).
    assert set(MODULES) - filling == {file for user in users for file in closure(user)} - filling
    trees = [*TREES, *map(read, sorted((ROOT / "benchmarks").glob("*.yaml")))]
    for slot, room in SLOTS.items():
        named = {row.get(slot) for tree in trees for row in runs_in(tree)}
        assert {path.stem for path in room.glob("[!_]*.py")} <= named


@each_stage
def test_a_run_is_stale_with_its_own_labels_and_block_and_with_no_others(name, body):
    # list_runs writes a digest of what a row names to the run's file (tests/test_list_runs.py).
    words, deps = commands_of(body)[0], paths_in(body["deps"])
    if name == "list_runs":
        study = words[2]
        rows = [row for tree in TREES if study in tree for row in tree[study].values()]
        for slot, room in SLOTS.items():
            assert any(slot in row for row in rows) is (f"data/code/{room.name}" in deps)
        watched = [path for path in deps if path.startswith("data/")]
        for row in rows:
            folders = [row["labels"], *([row["cotrain"]["shards"]] if row.get("cotrain") else [])]
            for folder in (each.removeprefix(UP) for each in folders):
                assert any(f"{folder}/".startswith(f"{path}/") for path in watched), folder
    elif words[2].startswith("data/runs/"):
        assert words[2] in deps and words[2].endswith("/${item.run}.json")
        rooms = tuple(f"data/code/{room.name}" for room in SLOTS.values())
        assert not [path for path in deps if path.startswith(("data/labels", *rooms))]


def tracked() -> Iterator[tuple[str, str]]:
    """The name and text of every text file that git holds."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout, so it is not known which files are the project's")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; removed but not yet in git
            continue


def test_no_file_names_a_place_outside_the_project():
    absolute = re.compile(
        r"(?<![\w.:/~$}-])/(?:home|root|tmp|usr|opt|mnt|work|var|srv|scratch|Users)/\w"
    )
    upwards = re.compile(r"(?<![\w.])\.\./|(?<!\))/\.\.(?![\w.])")  # but not $(dirname ...)/..
    for name, text in tracked():
        if name == f"tests/{Path(__file__).name}":
            continue
        is_study = re.fullmatch(r"stages/\w+/\w+\.(yaml|lock)", name)
        for number, line in enumerate(text.removeprefix("#!/usr/bin/env").splitlines(), 1):
            assert not absolute.search(line), f"{name}:{number}: {line.strip()}"
            told = line.replace("wdir: ../..", "")  # a study's, also where a test writes one
            assert is_study or not upwards.search(told), f"{name}:{number}: {line.strip()}"


def test_what_python_an_installation_and_tools_leave_behind_is_no_part_of_a_dependency():
    left = {"__pycache__/", "*.egg-info/", ".mypy_cache/", ".ruff_cache/"}  # by tools called in src
    assert left <= {*(ROOT / ".dvcignore").read_text().split()}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_imports_torch_through_the_package_alone(script):
    # The package says how threads wait before torch is imported, and torch asks then.
    named = names_in(SCRIPTS[script])
    assert named and not [name for name in named if name.partition(".")[0] == "torch"]


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name.startswith("train_")])
def test_a_training_starts_without_what_takes_long_to_import(script):
    named = {name for file in closure(SCRIPTS[script]) for name in names_in(file)}
    slow = {"pandas", "matplotlib", "sklearn", "scipy.stats"}
    assert not {name for name in named for each in slow if f"{name}.".startswith(f"{each}.")}


def test_stages_that_need_no_network_of_others_start_without_timm_and_torchvision():
    # They bring torch's compiler: two seconds at the start of each of hundreds of stages.
    of_networks = [name for name in SCRIPTS if name.startswith(("train_", "score_", "extract_"))]
    code = f"import sys, {', '.join([*of_networks, 'align_attention', 'label_images'])}\n"
    code += "print({'timm', 'torchvision', 'torch._dynamo'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SOURCES, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["set()"]


def test_the_readme_is_short_and_names_only_what_there_is():
    readme = ROOT / "README.md"
    text = readme.read_text()
    assert len(text.splitlines()) <= 125
    for name in re.findall(r"`(?:dvc repro )?((?:src|tests|params|benchmarks)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`dvc repro (\w+)`", text):
        assert name in SCRIPTS, name
    sections = PARAMS["embedded"]
    for section, key in re.findall(r"`(\w+)\.(\w+)(?:: \w+)?`", text):
        if section in sections and section not in ("main", "params"):
            assert key in sections[section], f"{section}.{key}"


# From here on: the chain itself, in a copy of the project.


BUILT = shutil.ignore_patterns("__pycache__", "*.egg-info")


class Copy:
    """A copy of the project outside of git, with small parameters, and the Python that runs it."""

    def __init__(
        self, folder: Path, write: Callable[..., None], python: str = sys.executable
    ) -> None:
        self.folder, self.write, self.executable = folder, write, python
        for name in ("src", "params"):
            shutil.copytree(ROOT / name, folder / name, ignore=BUILT)
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, folder / name)
        own = {
            f"DVC_{kind}_DIR": str(folder.with_suffix(f".{kind.lower()}"))
            for kind in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")
        }
        self.environment = (
            os.environ
            | own
            | {
                "ATTNLABELS_SCRATCH": str(folder.with_suffix(".scratch")),
                "CUDA_VISIBLE_DEVICES": "",
                "OMP_NUM_THREADS": "1",
                "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
            }
        )
        self.set({})
        self.dvc("init", "--no-scm", "--quiet")
        (folder / ".dvc" / "config").write_text(
            "[core]\n    analytics = false\n    check_update = false\n    no_scm = true\n"
        )

    def set(self, changes: dict[str, Any]) -> None:
        """Write the parameters that the pipelines here use: DVC reads them for every stage."""
        pipelines = [self.folder / "dvc.yaml", *self.folder.glob("stages/*/dvc.yaml")]
        used = set().union(*map(sections_of, pipelines))
        self.write(self.folder, SMALL | changes, only=used)

    def python(self, *words: str, status: int = 0) -> str:
        """What Python says, called so; it must leave with `status`."""
        process = subprocess.run(
            [self.executable, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.returncode == status, process.stdout
        return process.stdout

    def dvc(self, *words: str, status: int = 0) -> str:
        """What a command of DVC says."""
        return self.python("-m", "dvc", *words, status=status)

    def metrics(self) -> dict[str, bytes]:
        files = sorted((self.folder / "metrics").rglob("*"))
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in files
            if path.is_file()
        }


SMALL = {  # of six classes, as the top 5 is a score, and without studies
    "make_tables.baselines": {},
    "make_scenes.scenes.n_classes": 6,
    "make_scenes.scenes.n_val": 18,
    "list_images.train.classes": 6,
    "list_images.val.classes": 6,
    "list_images.val.count": 18,
}


# The commands of a whole run, in one process: a fifth of the time, most of which is imports.
ALL_COMMANDS = """
import importlib, sys
from pathlib import Path

from attnlabels.pipeline.script import run

for command in Path("commands").read_text().splitlines():
    _, script, *words = command.split()
    sys.argv = [script, *words]
    run(importlib.import_module(Path(script).stem).main)
"""


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory, tiny_params, warm_python) -> tuple[Copy, list[str]]:
    """A copy in which the whole chain ran once, and the commands that DVC ran."""
    made = Copy(tmp_path_factory.mktemp("chain") / "first", tiny_params, warm_python)
    said = made.dvc("repro")
    return made, [line[2:] for line in said.splitlines() if line.startswith("> ")]


@pytest.fixture
def chain(reproduced) -> Iterator[Copy]:
    """The copy in which the chain ran, whose parameters a test may change."""
    yield reproduced[0]
    reproduced[0].set({})


@pytest.fixture
def edited(chain, tmp_path) -> Iterator[Copy]:
    """The copy whose code a test may edit and whose runs it may list; all is put back after it."""
    folders = ("src", "data/code", "data/runs")
    for name in folders:
        shutil.copytree(chain.folder / name, tmp_path / name)
    shutil.copy2(chain.folder / "dvc.lock", tmp_path)
    yield chain
    for name in folders:
        shutil.rmtree(chain.folder / name)
        shutil.copytree(tmp_path / name, chain.folder / name)
    shutil.copy2(tmp_path / "dvc.lock", chain.folder)


def stale_in(made: Copy) -> set[str]:
    return set(json.loads(made.dvc("status", "--json")))


def test_a_second_repro_runs_nothing(chain):
    said = chain.dvc("repro")
    assert "Running" not in said and "up to date" in said
    assert json.loads(chain.dvc("status", "--json")) == {}


def test_a_second_copy_leaves_the_same_metrics_tables_and_figures(
    reproduced, tmp_path, tiny_params
):
    first, commands = reproduced
    second = Copy(tmp_path / "second", tiny_params)
    (second.folder / "commands").write_text("\n".join(commands))
    second.environment |= {"PYTHONPATH": "src", "PYTHONHASHSEED": "7"}
    second.python("-c", ALL_COMMANDS)
    ours, theirs = first.metrics(), second.metrics()
    assert ours.keys() == theirs.keys() and len(ours) > len(commands)
    assert [name for name in ours if ours[name] != theirs[name]] == []


def flat(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def keys(*names: str, of: str = "") -> set[str]:
    return {f"{of}{name}" for name in names}


SCORES = ("cc", "nss", "kl", "sim", "auc", "sauc")
BY_CORRUPTION = {
    f"{name}.{part}" for name in (*CORRUPTIONS, *EXTRA) for part in ("mean", *map(str, range(1, 6)))
}
PROBED = ("l2", "l2_at_end", "development_top1", "n", "top1", "top5")
RETRIEVED = ("map", "pr_area", "precision_at_10", "n_queries", "n_gallery")
ROBUST = ("generated", "clean", "mean", "mean_extra", "retained", *BY_CORRUPTION)
KEYS = {
    "train_teacher": keys("dev_cc", "epoch", "fitted_sigma", "loss"),
    "evaluate_teacher": {
        f"{name}.{key}"
        for name in ("val", "eye")
        for key in (
            *keys(*SCORES, "floor", "constant", of="teacher."),
            *keys(*SCORES, "floor", of="centre_prior."),
            *keys("cc", "cc_all_observers", of="split_half."),
            "n",
        )
    },
    "train_simclr": {
        *keys("loss", "contrastive", "kld", "nss", "probe", of="loss."),
        "collapsed",
        "probe.top1",
        "spread",
        "steps",
    },
    "probe_linear": keys(*PROBED, of="imagenet.") | keys(*PROBED, of="cifar10."),
    "score_robustness": keys(*ROBUST, of="imagenet_c.") | keys(*ROBUST, of="cifar10_c."),
    "score_retrieval": {
        *keys(*RETRIEVED, of="imagenet."),
        *keys(*RETRIEVED, of="cifar10."),
        *keys("map", *BY_CORRUPTION, of="imagenet_c."),
        *keys("map", *BY_CORRUPTION, of="cifar10_c."),
    },
    "align_attention": {
        *keys("loss_before", "loss_after", of="refit."),
        *(
            f"{name}.{readout}.{key}"
            for name in ("val", "eye")
            for readout in ("as_trained", "refitted")
            for key in SCORES
        ),
    },
}


def test_metrics_are_shown_with_their_keys_and_finite_numbers(chain):
    (shown,) = json.loads(chain.dvc("metrics", "show", "--json")).values()
    files = {name: dict(flat(found["data"])) for name, found in shown["data"].items()}
    runs = [f"{run}-0" for run in PARAMS["embedded"]["main"]]
    single = {f"metrics/{stage}.json" for stage in ("train_teacher", "evaluate_teacher")}
    by_run = {
        f"metrics/{stage}/{run}.json"
        for stage in KEYS
        for run in runs
        if f"metrics/{stage}.json" not in single
    }
    assert set(files) == single | by_run | {"metrics/make_tables.json"}
    for name, found in files.items():
        made_by = {key for key in found if key.startswith("made_by.")}
        assert all(math.isfinite(found[key]) for key in found.keys() - made_by), name
        stage = Path(name).stem if name.count("/") == 1 else Path(name).parent.name
        if stage != "make_tables":
            ended_early = {"refit.converged"}  # there, and false, after as few steps as here
            assert set(found) - made_by - ended_early == KEYS[stage], name
            assert made_by == keys(*machine.made_by(1), of="made_by."), name
    assert {key.split(".")[0] for key in files["metrics/make_tables.json"]} == {
        path.stem for path in (chain.folder / "metrics/tables").glob("*.md")
    }


def test_another_seed_trains_itself_and_no_other(chain):
    chain.set({"seeds": [0, 1]})
    by_run = {name for name, body in stages_of(ROOT / "dvc.yaml").items() if "matrix" in body}
    assert by_run == {"extract_features", *KEYS} - {"train_teacher", "evaluate_teacher"}
    assert set(json.loads(chain.dvc("status", "--json"))) == {
        *(f"{stage}@{run}-1" for stage in by_run for run in PARAMS["embedded"]["main"]),
        "make_tables",
        "draw_figures",
        "make_report",
    }


def test_a_run_without_attention_is_in_tables_figures_and_report(chain, tmp_path):
    # The chain of params/real.yaml and paper.yaml has one, the embedded chain has none.
    rows = read(chain.folder / "params.yaml")["main"]
    weights = {"contrastive": 1.0, "probe": 1.0}
    rows["simclr"] = rows["contrastive"] | {"attention": "none", "weights": weights}
    own = copy.copy(chain)
    own.folder = Path(shutil.copytree(chain.folder, tmp_path / "own"))
    own.set({"main": rows})
    said = own.dvc("repro")
    assert said.count("Running stage 'train_simclr@") == 1
    shown = {"tables/accuracy.md": "| simclr |", "tables/alignment.md": "| simclr refitted |"}
    for place, row in {**shown, "report.html": "simclr refitted"}.items():
        assert row in (own.folder / "metrics" / place).read_text()


def test_a_parameter_makes_only_what_reads_it_stale(edited):
    edited.set({"score_retrieval.queries": 0.3})
    assert set(json.loads(edited.dvc("status", "--json"))) == {
        *(f"score_retrieval@{run}-0" for run in PARAMS["embedded"]["main"]),
        "make_report",
    }
    edited.set({"main.contrastive.weights.kld": 2.0})
    changed = set(json.loads(edited.dvc("status", "--json")))
    assert changed == {"list_runs", "make_tables", "draw_figures", "make_report"}
    edited.dvc("repro", "list_runs")
    changed = set(json.loads(edited.dvc("status", "--json")))
    assert changed == {
        "train_simclr@contrastive-0",
        "make_tables",
        "draw_figures",
        "make_report",
    }


def test_an_edited_block_makes_its_own_runs_stale(edited):
    edited.set({"main.contrastive.block": "mask"})
    edited.dvc("repro", "list_runs")
    others = edited.dvc("status", "train_simclr@contrastive_attn_teacher-0", "--json")
    assert json.loads(others) == {}
    runs = {path: path.read_bytes() for path in (edited.folder / "data/runs/main").iterdir()}
    block = edited.folder / ROOMS["block"] / "mask.py"
    shutil.copy(block, block.with_name("another.py"))
    edited.dvc("repro", "list_runs")
    assert {path: path.read_bytes() for path in runs} == runs
    block.write_text(block.read_text() + "\nEDITED = True\n")
    edited.dvc("repro", "list_code")
    assert set(json.loads(edited.dvc("status", "list_runs", "--json"))) == {"list_runs"}
    edited.dvc("repro", "list_runs")
    changed = {path.stem for path, before in runs.items() if path.read_bytes() != before}
    assert changed == {"contrastive"}
    assert (
        json.loads(edited.dvc("status", "train_simclr@contrastive_attn_teacher-0", "--json")) == {}
    )


def reword(path: Path) -> None:
    """Another docstring of a module, and a comment."""
    text = path.read_text()
    assert text.startswith('"""')
    path.write_text(f'"""In other words. {text[3:]}# and a comment\n')


def edit_a_function(path: Path) -> None:
    text = path.read_text()
    changed = text.replace("\n    return ", "\n    ...\n    return ", 1)
    assert changed != text
    path.write_text(changed)


def test_words_about_the_code_make_no_stage_stale_but_the_one_that_lists_it(edited):
    library = edited.folder / "src/attnlabels"
    for path in (library / "metrics/retrieval.py", library / "images/decoding.py"):
        reword(path)
    reword(edited.folder / "src/train_simclr.py")
    assert stale_in(edited) == {"list_code"}
    edited.dvc("repro", "list_code")
    assert stale_in(edited) == set()


@pytest.mark.parametrize("module", ["metrics/retrieval.py", "images/decoding.py"])
def test_an_edited_function_makes_stale_exactly_the_stages_that_reach_it(edited, module):
    name = f"attnlabels/{module}"
    reaching = {
        stage
        for stage in stages_of(ROOT / "dvc.yaml")
        if stage != "list_code" and SOURCES / name in closure(SCRIPTS[stage])
    }
    assert ("score_retrieval" in reaching) is (module == "metrics/retrieval.py")
    edit_a_function(edited.folder / "src" / name)
    assert stale_in(edited) == {"list_code"}
    edited.dvc("repro", "list_code")
    assert {stage.split("@")[0] for stage in stale_in(edited)} == reaching


def test_a_docstring_that_is_output_makes_its_stage_stale(edited):
    reword(edited.folder / "src/attnlabels/scenes/observers.py")
    edited.dvc("repro", "list_code")
    assert stale_in(edited) == {"make_scenes@scenes"}


@pytest.fixture
def teachers(chain) -> Iterator[dict[str, Any]]:
    """The parameters of a chain in which a table of two teachers was trained and scored too."""
    shutil.copytree(ROOT / "stages/ablations", chain.folder / "stages/ablations")
    changes: dict[str, Any] = {
        "teachers": {
            "one": {"taps": [7], "output": "learnt_offset"},
            "other": {"taps": [3, 9], "output": "literal"},
        },
    }
    chain.set(changes)
    said = chain.dvc("repro", "stages/ablations/dvc.yaml:evaluate_teacher")
    assert said.count("Running stage") == 4  # and none of the main chain
    yield changes
    for folder in ("stages", "data/ablations", "metrics/ablations"):
        shutil.rmtree(chain.folder / folder)


def test_a_teachers_row_makes_only_its_own_training_stale(chain, teachers):
    stages = [f"stages/ablations/dvc.yaml:{name}" for name in ("train_teacher", "evaluate_teacher")]
    for name in teachers["teachers"]:
        for stage in ("train_teacher", "evaluate_teacher"):
            report = chain.folder / f"metrics/ablations/{stage}/{name}.json"
            scores = json.loads(report.read_text())
            assert scores.pop("made_by") == machine.made_by(1)
            found = dict(flat(scores))
            assert set(found) == KEYS[stage] and all(map(math.isfinite, found.values()))
    assert json.loads(chain.dvc("status", "--json", "dvc.yaml", *stages)) == {}
    chain.set(teachers | {"teachers.one.taps": [5]})
    changed = json.loads(chain.dvc("status", "--json", "dvc.yaml", *stages))
    assert set(changed) == {f"{stages[0]}@one"}
    chain.set(teachers | {"teacher.taps": [5]})
    changed = json.loads(chain.dvc("status", "--json", "dvc.yaml", *stages))
    assert set(changed) == {"train_teacher", "make_report"}


def test_no_seeds_are_one_clear_error(chain):
    chain.set({"seeds": []})
    said = chain.dvc("repro", "draw_figures", "--single-item", status=255)
    assert "src/draw_figures.py: error: params.yaml.seeds: " in said and "Traceback" not in said


@pytest.mark.parametrize("file", PARAMS)
def test_every_parameter_file_gives_a_pipeline(chain, file):
    shutil.copy(chain.folder / "params" / f"{file}.yaml", chain.folder / "params.yaml")
    names = chain.dvc("stage", "list", "--name-only").split()
    tree = PARAMS[file]
    for stage in (
        "make_scenes",
        "unpack_images",
        "list_images",
        "prepare_attention",
        "corrupt_images",
    ):
        assert {name for name in names if name.startswith(f"{stage}@")} == {
            f"{stage}@{key}" for key in tree[stage]
        }
    assert sum(name.startswith("train_simclr@") for name in names) == len(tree["main"]) * len(
        tree["seeds"]
    )
