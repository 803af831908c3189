"""What was run, in words: the runs, the data, the scale and the code."""

import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from attnlabels.pipeline.results import MAIN, Run
from attnlabels.reporting.legend import show

PIPELINES = {  # beside the root's: what each adds, and the sections of parameters it alone reads
    "table1": (
        "the other rows of Table 1",
        ("table1", "supervised", "relabel_images", "train_supervised"),
    ),
    "methods": ("other self-supervised methods and networks", ("methods", "compare_methods")),
    "ablations": ("ablations of the method and of its teacher", ("ablations", "teachers")),
}
COMMIT_LETTERS = 12

Tree = Mapping[str, Any]  # parameters, or a run's row of them


def describe_runs(runs: Mapping[str, Run], tree: Tree) -> list[dict[str, str]]:
    """Rows of `main` in full, those of other tables by what they change of these."""
    of_main = {show(name): row for name, row in tree[MAIN].items()}
    return [
        {
            "label": show(name),
            "study": show(each.study),
            "seeds": ", ".join(map(str, each.seeds)),
            "built": describe_row(tree[each.study][name], {} if each.study == MAIN else of_main),
        }
        for name, each in runs.items()
    ]


def describe_row(row: Tree, others: Mapping[str, Tree]) -> str:
    """A run's row by what it has unlike the one of `others`, by their labels, that it is nearest.

    In full if there are no others.
    """
    flat = _flatten(row)
    if not others:
        return _list(flat)
    flats = {label: _flatten(other) for label, other in others.items()}
    label = max(flats, key=lambda label: _alike(flat, flats[label]))
    like = flats[label]
    unlike = {
        key: flat.get(key)
        for key in {**flat, **like}
        if key not in like or flat.get(key) != like[key]
    }
    return f"as {label} but {_list(unlike)}" if unlike else f"as {label}"


def is_synthetic(parameters: Tree) -> bool:
    """Whether the training images are drawn by `make_scenes`."""
    images = Path(parameters["list_images"]["train"]["images"])
    return any(images.is_relative_to(f"data/{name}") for name in parameters["make_scenes"])


def describe_scale(parameters: Tree) -> list[tuple[str, str, str]]:
    """What is smaller here than in the paper: its name, ours, the paper's (§3, §4.1)."""
    p, images = parameters["train_simclr"], parameters["list_images"]["train"]
    count = "all the" if images["count"] is None else f"{images['count']:,}"
    return [
        (
            "backbone",
            f"{p['backbone']}, {p['width']} channels at its stem",
            "ResNet-50, 64 channels at its stem",
        ),
        ("image size", f"{p['image_size']} px", "224 px"),
        (
            "training images",
            f"{count} images of {images['classes']:,} classes",
            "1,281,167 images of 1,000 classes",
        ),
        ("batch", f"{p['batch_size']:,}", "2,048"),
        ("epochs", f"{p['epochs']:,}", "not given"),
        ("seeds", f"{len(parameters['seeds'])}", "3"),
    ]


def describe_data(parameters: Tree) -> list[tuple[str, str]]:
    """What each data set is for, and where it is."""
    attention, images = parameters["prepare_attention"], parameters["list_images"]
    corrupted = parameters["benchmarks"]
    return [
        ("images that are labelled and trained on", images["train"]["images"]),
        ("images that are tested on", images["val"]["images"]),
        ("the same, corrupted", corrupted["imagenet_c"]["path"]),
        ("transfer", parameters["cifar10"]["path"]),
        ("the same, corrupted", corrupted["cifar10_c"]["path"]),
        ("people whose attention trains the teacher", attention["train"]["annotations"]),
        ("people compared with: mouse recordings", attention["val"]["annotations"]),
        ("people compared with: eye fixations", attention["eye"]["annotations"]),
    ]


def describe_maker(made_by: Tree) -> str:
    """A machine and its software in words, as make_tables lists them with their `files`."""
    words = dict(made_by)
    files, processor, threads = words.pop("files"), words.pop("processor"), words.pop("threads")
    versions = "".join(f", {name} {version}" for name, version in words.items())
    n_threads = f"{threads} thread{'' if threads == 1 else 's'}"
    n_files = f"{files} file{'' if files == 1 else 's'} of metrics"
    return f"{processor}, {n_threads}{versions}: {n_files}"


def parameters_of(studies: Sequence[str], tree: Tree) -> dict[str, Any]:
    """All but what other studies alone read, which changes nothing here."""
    left_out = {"study_seeds"} if [*studies] == [MAIN] else set()
    for name, (_, sections) in PIPELINES.items():
        if name not in studies:
            left_out |= {*sections}
    return {key: section for key, section in tree.items() if key not in left_out}


def as_yaml(tree: Tree) -> str:
    """The parameters as they are in force, without comments: those make nothing stale."""
    text = io.StringIO()
    writer = YAML()
    writer.representer.ignore_aliases = lambda *_: True
    writer.dump(json.loads(json.dumps(tree)), text)
    return text.getvalue()


def code_version(folder: Path) -> str:
    """The commit that last changed a folder, and whether the folder was changed since."""
    commit = _git("log", "-1", f"--abbrev={COMMIT_LETTERS}", "--format=%h of %as", folder=folder)
    if not commit:
        return "not known: the code is in no git repository"
    changed = _git("status", "--porcelain", folder=folder)
    return f"commit {commit}" + (", and changes since that are not committed" if changed else "")


def as_words(value: Any) -> str:
    """A parameter's value to be read by people."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(map(as_words, value))
        case Mapping():
            return ", ".join(f"{key} {as_words(part)}" for key, part in value.items())
    return str(value)


def _git(*words: str, folder: Path) -> str:
    """What git says of a folder; nothing where there is no git, or no repository."""
    try:
        done = subprocess.run(
            ["git", *words, "--", "."], cwd=folder, capture_output=True, text=True
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _flatten(row: Tree, above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{above}{key} ")
        else:
            flat[f"{above}{key}"] = value
    return flat


def _alike(one: Tree, other: Tree) -> int:
    return sum(key in one and one[key] == value for key, value in other.items())


def _list(row: Tree) -> str:
    return "; ".join(f"{key.replace('_', ' ')} {as_words(value)}" for key, value in row.items())
