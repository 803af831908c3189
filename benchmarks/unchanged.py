"""Show that a change of the code leaves every output as it was, to the byte.

    python benchmarks/unchanged.py REVISION [FOLDER]

Runs the main chain and every study of its data twice with the tests' small parameters
(tests/conftest.py): with the code of REVISION and with that of the working tree, each in a copy
below FOLDER, or below a temporary folder. Compares all that they left in data/ and metrics/, and
prints what differs or is there once only. Leaves with status 1 if there is any. Takes some minutes
of one core; both are run on one thread, in one process each, so that most of it is not imports.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COPIED = ("src", "params", "stages", "tests", "dvc.yaml", ".dvcignore")
SMALL = """
from pathlib import Path
from conftest import write_params

supervised = {
    "width": 8, "image_size": 24, "batch_size": 6, "epochs": 2, "precision": "fp32", "workers": 0
}
vits = [f"vit{rest}" for rest in ("", "_attn_teacher", "_centre_labels", "_shuffled_labels")]
write_params(Path.cwd(), {
    **{f"methods.{vit}.network.options.img_size": 24 for vit in vits},
    "table1.cotrain.cotrain.images": 6,
    "make_scenes.scenes.n_cifar_test": 60,  # of 20, some run classifies none
    **{f"train_supervised.{key}": value for key, value in supervised.items()},
})
"""
COMMANDS = """
import os
import networkx
from dvc.repo import Repo

for stage in networkx.dfs_postorder_nodes(Repo().index.graph):  # what a stage needs comes first
    # A study of other data, which may not be here, runs in a folder of its own.
    if os.path.samefile(stage.wdir, "."):
        print(*([stage.cmd] if isinstance(stage.cmd, str) else stage.cmd), sep="\\n")
"""
RUN = """
import importlib, sys
from pathlib import Path

try:
    from attnlabels.pipeline.script import run
except ModuleNotFoundError:  # of a revision before the library had rooms
    from attnlabels.script import run

commands = Path("commands").read_text().splitlines()
for number, command in enumerate(commands, 1):
    print(f"{number}/{len(commands)} {command}", file=sys.stderr, flush=True)
    _, script, *words = command.split()
    sys.argv = [script, *words]
    run(importlib.import_module(Path(script).stem).main)
"""


def main(revision: str, folder: Path) -> None:
    before, after = folder / "before", folder / "after"
    copy_revision(revision, before)
    copy_working_tree(after)
    for each in (before, after):
        run_all(each)
    differing = compare(before, after)
    n = len(outputs(after))
    print(f"{n - len(differing)} of {n} outputs are those of {revision}, to the byte")
    for name, how in differing.items():
        print(f"{name}: {how}")
    if differing:
        raise SystemExit(1)


def copy_revision(revision: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    with subprocess.Popen(["git", "archive", revision, *COPIED], stdout=subprocess.PIPE) as packed:
        subprocess.run(["tar", "-x", "-C", folder], stdin=packed.stdout, check=True)
    if packed.returncode:
        raise SystemExit(f"benchmarks/unchanged.py: git has no {revision} with {COPIED}")


def copy_working_tree(folder: Path) -> None:
    folder.mkdir(parents=True)
    built = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in COPIED:
        if Path(name).is_dir():
            shutil.copytree(name, folder / name, ignore=built)
        else:
            shutil.copy(name, folder / name)


def run_all(folder: Path) -> None:
    """Run every command of the chain and the studies, with small parameters."""
    environment = os.environ | {
        "ATTNLABELS_SCRATCH": str(folder / ".scratch"),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (folder / "src", folder / "tests"))),
        **{
            f"DVC_{kind}_DIR": str(folder / ".home")
            for kind in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")
        },
    }

    def python(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise SystemExit(f"benchmarks/unchanged.py: {folder}: failed, see above")
        return done.stdout

    python("-c", SMALL)
    python("-m", "dvc", "init", "--no-scm", "--quiet")
    (folder / "commands").write_text(python("-c", COMMANDS))
    python("-c", RUN)


def outputs(folder: Path) -> dict[str, Path]:
    """All files of data/ and metrics/ by name, but the listings of the code."""
    files = [path for top in ("data", "metrics") for path in (folder / top).rglob("*")]
    named = {path.relative_to(folder).as_posix(): path for path in files if path.is_file()}
    return {name: path for name, path in named.items() if not name.startswith("data/code/")}


def compare(before: Path, after: Path) -> dict[str, str]:
    """What is not the same in both, and how."""
    ours, theirs = outputs(before), outputs(after)
    found = dict.fromkeys(ours.keys() - theirs.keys(), "only before")
    found |= dict.fromkeys(theirs.keys() - ours.keys(), "only now")
    for name in ours.keys() & theirs.keys():
        if ours[name].read_bytes() != theirs[name].read_bytes():
            found[name] = "differs"
    return dict(sorted(found.items()))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1], Path(sys.argv[2] if len(sys.argv) == 3 else temporary).resolve())
