"""Train and score the networks of a task, with attention of their own, of people and of neither.

    python src/train_tasks.py TASK SEED FOLDER NETWORKS EXAMPLES REPORTS

TASK is a row of `tasks` in params.yaml, and a module of `attnlabels.tasks`; FOLDER has its shards,
`{train,test}_<people>`. NETWORKS gets each run's weights, EXAMPLES what it attends to in a few test
examples, REPORTS a file a run. A share of the training examples (`development`) is held out to
choose λ by. The last epoch is reported. Several processes share the runs, each of which one trains.
A stage that was killed goes on to the same weights.
"""

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from attnlabels.models.files import write_weights
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_arrays, write_metrics
from attnlabels.processes.sharing import share_out, sharers
from attnlabels.processes.world import World, joined
from attnlabels.tasks import training
from attnlabels.tasks.closeness import closeness
from attnlabels.tasks.examples import Examples, centres, divide, maps_given, set_of
from attnlabels.tasks.training import TASKS, Setting, Trained, ask, require_runs, train
from attnlabels.training.step import set_determinism

TrainTasks = record(training.Recipe)  # what all tasks share
SHOWN = 8  # examples that are kept to be looked at
Scored = dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]  # a run's report and arrays


def main(name: str, seed: int, folder: Path, networks: Path, examples: Path, reports: Path) -> None:
    threads, p = take_threads(), load(TrainTasks, "train_tasks")
    setting = load(Setting, "tasks", name)
    require_runs(name, setting)
    task = TASKS[name]
    masks = Path(setting.masks) if setting.masks else None

    @cache
    def read(split: str, people: str, shown: str) -> Examples:
        return task.read(set_of(folder, split, people), shown=shown, size=setting.size, masks=masks)

    set_determinism(p.deterministic)
    made_of = [name, setting.size, setting.masks, code_of(Path(__file__))]
    with joined() as world:
        world.agree("the training", repr([seed, setting, p]))

        def train_run(each: str) -> Trained:
            row = setting.runs[each]
            whole = read("train", row.people, row.shown)
            own, _ = divide(len(whole), share=p.development, seed=seed)
            return train(
                task,
                row,
                whole.chosen(own),
                p,
                channels=setting.channels,
                seed=seed,
                title=f"{name} {each} {seed}",
                marked=made_of,
                files=[set_of(folder, "train", row.people) / "index.json"],
                world=world.alone,
                quiet=not world.first,
            )

        trained = share_out([*setting.runs], train_run, world)
        if world.first:
            scored = score(name, setting, trained, read, p.development, seed=seed, world=world)
            write(trained, scored, [networks, examples, reports], threads=threads)
            for done in trained.values():
                done.scratch.clear()


def score(
    name: str,
    setting: Setting,
    trained: dict[str, Trained],
    read: Any,
    development: float,
    *,
    seed: int,
    world: World,
) -> Scored:
    """What is reported of each run, and what it attends to in the first test examples."""
    task, found, answered = TASKS[name], {}, {}
    shown = next(iter(setting.runs.values())).shown  # any will do: people's maps are the same
    people = {key: read("test", key, shown) for key in setting.people}
    prior = {key: closeness(centres(each), each) for key, each in people.items()}
    for each, row in setting.runs.items():
        network, whole = trained[each].network, read("train", row.people, row.shown)
        report: dict[str, Any] = {"task": name, "run": each, "seed": seed, **vars(row)}
        report["given"] = row.given or "none"
        _, held = divide(len(whole), share=development, seed=seed)
        test = read("test", row.people, row.shown)
        for key, asked in (("development", whole.chosen(held)), ("test", test)):
            maps = maps_given(asked, row.given or "people", seed=seed)
            answers, masks = ask(task, network, asked, maps, world)
            report[key] = task.scores(answers, asked.target)
        answered[each] = answers
        report["centre_prior"] = prior
        pictured = {"pictures": test.pictures[:SHOWN], "people": test.maps[:SHOWN]}
        if masks is not None:
            report["closeness"] = {key: closeness(masks, each) for key, each in people.items()}
            pictured["masks"] = masks[:SHOWN]
        loss = dict(trained[each].history[-1])
        report |= {"steps": loss.pop("step"), "loss": loss}
        found[each] = report, pictured
    if setting.fused is not None:
        for each, (report, _) in found.items():
            both = (answered[each] + answered[setting.fused]) / 2
            report["fused"] = task.scores(both, test.target)
    return found


def write(trained: dict[str, Trained], scored: Scored, outs: list[Path], *, threads: int) -> None:
    """All runs' weights, examples and reports, in folders that are written whole."""
    with ExitStack() as stack:
        asides = [stack.enter_context(replacing_folder(each)) for each in outs]
        for aside in asides:
            aside.mkdir()
        weights, pictures, told = asides
        for name, (report, pictured) in scored.items():
            each = trained[name]
            about = {key: report[key] for key in ("task", "run", "seed", "block")}
            write_weights(weights / f"{name}.safetensors", each.network, about)
            write_arrays(pictures / f"{name}.npz", **pictured)
            write_metrics(told / f"{name}.json", report, threads=threads, **each.measured)


if __name__ == "__main__":
    run(main, before=lambda: launch(sharers(load(TrainTasks, "train_tasks").processes)))
