import csv
import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import list_runs
import train_simclr
from attnlabels import blocks
from attnlabels.evaluation.students import read_encoder
from attnlabels.losses import objective
from attnlabels.models.files import read_config
from attnlabels.pipeline import code
from attnlabels.pipeline.params import read
from attnlabels.processes.resumable import Resumable
from attnlabels.readouts.students import FrozenStudent, align
from attnlabels.shards import labelled_squares
from attnlabels.training import encoders, probe, samples, step, students
from interrupting import interrupt

SOURCES = Path(train_simclr.__file__).parent
KEPT = Path(__file__).with_name("assets") / "train_simclr.json"
CLASSES = ["n00000001", "n00000002", "n00000003"]
N_STEPS = 6  # 18 images, batches of 6, 2 epochs
RUNS = ("contrastive", "contrastive_attn_teacher")
WEIGHTS = {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0}
TERMS = list(WEIGHTS)
BLOCKS = sorted(path.stem for path in code.SLOTS["block"].glob("[!_]*.py"))
COLUMNS = {field.name for field in dataclasses.fields(train_simclr.Row)}
Train = Callable[..., Path]
Words = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def labels(tmp_path_factory, write_labels) -> Path:
    return write_labels(tmp_path_factory.mktemp("simclr") / "labels", seed=0)


@pytest.fixture
def words(listed, labels, world) -> Words:
    """The arguments that train a run into a folder."""

    def call(
        out: str, *, of: Path = labels, name: str = RUNS[1], seed: int = 0, val: Path = world
    ) -> list[Any]:
        images, manifest = val / "data/scenes/imagenet/val", val / "data/images/val.csv"
        outs = (Path(out) / file for file in ("student.safetensors", "curve.csv", "report.json"))
        return [listed(name, of), seed, images, manifest, *outs]

    return call


@pytest.fixture
def train(params, labels, words) -> Train:
    """Trains a run into a folder, with changes to the section `train_simclr` or to its row."""

    def call(out: str, *, name: str = RUNS[1], seed: int = 0, of: Path = labels, **changed) -> Path:
        params(
            {
                f"main.{name}.{key}" if key in COLUMNS else f"train_simclr.{key}": value
                for key, value in changed.items()
            }
        )
        train_simclr.main(*words(out, of=of, name=name, seed=seed))
        return Path(out)

    return call


@pytest.fixture
def steps(monkeypatch) -> list[int]:
    """The steps made so far, filled while a run trains."""
    made: list[int] = []
    done = Resumable.done

    def noted(self, step: int, state) -> None:
        made.append(step - 1)
        done(self, step, state)

    monkeypatch.setattr(Resumable, "done", noted)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(out: Path) -> list[dict[str, float]]:
    with (out / "curve.csv").open(newline="") as file:
        return [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def report(out: Path) -> dict[str, Any]:
    report = json.loads((out / "report.json").read_text())
    assert report.pop("made_by")["threads"] == 1
    return report


def encoder(out: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(out / "student.safetensors")
    return {key: value for key, value in tensors.items() if key.startswith("encoder.")}


@pytest.mark.parametrize("cure", [{"chunks": 3}, {"batch_size": 2}])
def test_a_step_that_does_not_fit_is_refused_and_what_is_offered_fits(
    train, params, words, fail, small_memory, cure
):
    message = fail(train_simclr, *words("none"))
    (key, value), *_ = cure.items()
    assert "18 images × " in message and f"train_simclr.{key} to {value}" in message
    assert not Path("none").exists()
    assert (train("out", **cure) / "student.safetensors").is_file()


def test_contracam_is_offered_no_chunks(params, words, fail, small_memory):
    params({f"main.{RUNS[1]}.attention": "contracam"})
    message = fail(train_simclr, *words("none"))
    assert "chunks" not in message and "train_simclr.batch_size to 2" in message


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's own
def test_a_compiled_encoder_trains_to_the_same_weights_under_the_same_names(train, monkeypatch):
    compiled = []

    def trace(self: torch.nn.Module) -> None:
        compiled.append(type(self).__name__)
        # The graph is traced, and run as it is: a backend may round otherwise, and takes minutes.
        self._compiled_call_impl = torch.compile(self._call_impl, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", trace)
    plain, traced = train("plain"), train("traced", compile=True)
    assert compiled == ["Encoder"]
    weights, expected = (load_file(each / "student.safetensors") for each in (traced, plain))
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(weights[name], value), name


def test_a_run_leaves_weights_a_curve_and_a_report(train):
    out = train("out")
    assert set(contents(out)) == {"student.safetensors", "curve.csv", "report.json"}
    assert list(rows(out)[0]) == ["epoch", "step", "lr", "loss", *TERMS, "spread"]
    assert [(row["epoch"], row["step"]) for row in rows(out)] == [(1, 3), (2, 6)]
    assert list(report(out)) == ["loss", "steps", "spread", "collapsed", "probe"]
    assert report(out)["loss"] == {key: rows(out)[-1][key] for key in ("loss", *TERMS)}
    assert report(out)["steps"] == N_STEPS and 0 <= report(out)["probe"]["top1"] <= 1
    config = read_config(out / "student.safetensors")
    assert config["run"] == RUNS[1] and config["seed"] == 0 and config["image_size"] == 24


def test_the_loss_is_the_weighted_sum_of_its_terms(train):
    for row in rows(train("out")):
        weighted = row["contrastive"] + row["kld"] + 0.1 * row["nss"] + row["probe"]
        assert row["loss"] == pytest.approx(weighted, rel=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_the_losses_are_those_kept(train, name):
    # They move with a change of behaviour only: then write these to the file and say why.
    found = [{key: row[key] for key in ("loss", *TERMS)} for row in rows(train("out", name=name))]
    kept = json.loads(KEPT.read_text())[name]
    near = [pytest.approx(row, rel=1e-3, abs=1e-4) for row in kept]  # other CPUs round otherwise
    assert found == near, f"the losses of {name} are now {json.dumps(found)}"


def test_two_runs_with_one_seed_are_the_same_to_the_byte_and_another_seed_differs(train):
    first = contents(train("a", seed=3))
    assert contents(train("b", seed=3)) == first
    other = contents(train("c", seed=4))
    assert all(other[name] != first[name] for name in ("student.safetensors", "curve.csv"))


# Python 3.12 warns of any fork beside threads, and torch has some.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_number_of_workers_changes_nothing(train):
    assert contents(train("two", workers=2)) == contents(train("none", workers=0))


@pytest.mark.parametrize("step", range(1, N_STEPS))
def test_a_run_interrupted_at_any_step_goes_on_to_the_same_bytes(train, steps, monkeypatch, step):
    whole = contents(train("whole", checkpoint_minutes=0.0))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, before=step)
        train("cut", checkpoint_minutes=0.0)
    assert not list(Path().glob("cut/*"))
    steps.clear()
    assert contents(train("cut", checkpoint_minutes=0.0)) == whole
    assert steps == list(range(step, N_STEPS))


KILLED = """
import os, signal, sys
from pathlib import Path

import train_simclr

move, n_states = os.replace, 0

def killed_at_the_fourth(old, new):
    global n_states
    n_states += Path(new).name == "state.pt"
    if n_states == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    move(old, new)

os.replace = killed_at_the_fourth
listed, seed, *paths = sys.argv[1:]
train_simclr.main(Path(listed), int(seed), *map(Path, paths))
"""


def test_a_process_killed_while_it_writes_its_state_goes_on_to_the_same_bytes(
    train, steps, words, call_python
):
    whole = contents(train("whole", checkpoint_minutes=0.0))
    process = call_python("-c", KILLED, *map(str, words("cut")))
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(list(Path("scratch").rglob("state.*"))) == 2  # the third, and half of the fourth
    assert not list(Path().glob("cut/*"))
    steps.clear()
    assert contents(train("cut", checkpoint_minutes=0.0)) == whole
    assert steps == [3, 4, 5]


@pytest.mark.parametrize("change", ["parameter", "seed", "run", "labels"])
def test_what_is_changed_does_not_go_on_from_the_old_state(
    train, steps, monkeypatch, tmp_path, write_labels, change
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, before=4)
        train("cut", checkpoint_minutes=0.0)
    steps.clear()
    changed: dict[str, Any] = {
        "parameter": {"temperature": 0.2},
        "seed": {"seed": 1},
        "run": {"name": RUNS[0]},
        "labels": {"of": write_labels(tmp_path / "others", seed=1)},
    }[change]
    train("cut", checkpoint_minutes=0.0, **changed)
    assert steps == list(range(N_STEPS))


@pytest.mark.parametrize("name", ["BYOL", "MoCo v3"])
def test_a_momentum_encoder_is_kept_and_goes_on_to_the_same_bytes(train, steps, monkeypatch, name):
    how = METHODS[name] | {"checkpoint_minutes": 0.0}
    whole = contents(train("whole", **how))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, before=4)
        train("cut", **how)
    steps.clear()
    assert contents(train("cut", **how)) == whole
    assert steps == [4, 5]


def test_a_momentum_encoder_follows_at_the_scheduled_pace(train):
    own = METHODS["BYOL"] | {"projector": HEAD}
    still = {"momentum": {"start": 0.999999, "end": 1.0}}
    tensors = load_file(train("still", **own | still) / "student.safetensors")
    names = [key for key in tensors if key.startswith("momentum.") and key.endswith("weight")]
    assert len(names) > 20
    far = [(tensors[key] - tensors[key.removeprefix("momentum.")]).abs().max() for key in names]
    assert max(far) > 1e-3  # the student went on from the weights that both began with
    tensors = load_file(
        train("led", **own | {"momentum": {"start": 0.0, "end": 0.0}}) / "student.safetensors"
    )
    assert all(torch.equal(tensors[key], tensors[key.removeprefix("momentum.")]) for key in names)


def test_the_learning_rate_of_a_run_is_so_many_times_that_of_all(train):
    rates = [[row["lr"] for row in rows(train(f"{n}", learning_rate_times=n))] for n in (1.0, 0.5)]
    assert rates[1] == [pytest.approx(rate / 2) for rate in rates[0]]


def test_a_finished_run_leaves_no_state(train):
    train("out", checkpoint_minutes=0.0)
    assert not list(Path("scratch").iterdir())


@pytest.mark.parametrize(("name", "feels"), list(zip(RUNS, (False, True))))
def test_the_baselines_encoder_does_not_feel_the_labels_and_the_other_does(train, name, feels):
    weak, strong = (
        encoder(train(f"kld{kld}", name=name, weights=WEIGHTS | {"kld": kld})) for kld in (1.0, 5.0)
    )
    assert all(torch.equal(weak[key], strong[key]) for key in weak) is not feels


HEAD = {"layers": 2, "n_hidden": 12, "n_outputs": 10, "norm": "none"}
FOLLOWED = {"predictor": {"n_hidden": 7}, "momentum": {"start": 0.5, "end": 1.0}}
METHODS: dict[str, dict[str, Any]] = {
    "Barlow Twins": {"projector": HEAD, "weights": {"barlow_twins": 0.1, "kld": 1.0}},
    "VICReg": {"projector": HEAD, "weights": {"vicreg": 0.1, "kld": 1.0}},
    "SimSiam": {
        "projector": HEAD | {"norm": "plain"},
        "predictor": {"n_hidden": 4},
        "weights": {"simsiam": 1.0, "kld": 1.0},
    },
    "BYOL": {"projector": HEAD, **FOLLOWED, "weights": {"byol": 1.0, "kld": 1.0}},
    "MoCo v3": {**FOLLOWED, "learning_rate_times": 0.5, "weights": {"moco": 1.0, "kld": 1.0}},
}
VIT = {"img_size": 24, "patch_size": 6, "depth": 3, "embed_dim": 12, "num_heads": 2}
NETWORKS: dict[str, dict[str, Any]] = {
    "convolutional": {"backbone": "timm:test_efficientnet", "taps": [1, 2, 3], "options": {}},
    "of tokens": {"backbone": "timm:vit_tiny_patch16_224", "taps": "stages", "options": VIT},
}
SLOTS: dict[str, dict[str, Any]] = {
    "another ResNet": {
        "network": {
            "backbone": "resnet18",
            "width": 8,
            "stem": "cifar",
            "taps": "units",
            "zero_init": True,
        }
    },
    "plain SimCLR": {"attention": "none", "weights": {"contrastive": 1.0, "probe": 1.0}},
    "explicit block": {"block": "mask", "attention": "mask"},
    "self block": {"block": "mask", "attention": "mask", "stop_gradient": True},
    "residual block": {"block": "residual_mask", "attention": "mask"},
    **{f"block {name} beside a readout": {"block": name} for name in BLOCKS},
    "ContraCAM": {"attention": "contracam"},
    "ContraCAM, second order": {"attention": "contracam_second_order"},
    "other losses": {"weights": {"contrastive": 1.0, "kld_reversed": 1.0, "nss_unbiased": 0.1}},
    "separate batch norm": {"joint_batch_norm": False, "map_size": 12},
    "supervision of another kind": {"weights": {"classification": 1.0, "kld": 1.0}},
    **{f"a network of timm, {name}": {"network": network} for name, network in NETWORKS.items()},
    **METHODS,
}


@pytest.mark.parametrize("slots", SLOTS.values(), ids=SLOTS)
def test_every_slot_of_a_row_trains_and_its_attention_can_be_aligned(train, world, slots):
    out = train("out", epochs=1, warmup_epochs=0.0, **slots)
    assert rows(out)[0]["loss"] > 0
    assert list(report(out)["loss"]) == ["loss", *sorted(slots.get("weights", WEIGHTS))]
    student = FrozenStudent(out / "student.safetensors", batch_size=3)
    found = read_encoder(out / "student.safetensors", device=torch.device("cpu"), precision="fp32")(
        torch.zeros(2, 24, 24, 3, dtype=torch.uint8)
    )
    assert found.shape == (2, student.encoder.n_features)
    readouts = list(align(student, world / "data/attention/val").maps)
    assert readouts == ([] if slots.get("attention") == "none" else ["as_trained"])


@pytest.mark.parametrize(
    ("slots", "feels"),
    [
        ({"block": "mask", "attention": "mask"}, True),
        ({"block": "mask", "attention": "mask", "stop_gradient": True}, False),
        ({"attention": "contracam"}, True),
        ({"attention": "contracam", "stop_gradient": True}, False),
    ],
)
def test_attention_of_any_source_guides_the_encoder_unless_stopped(train, slots, feels):
    weak, strong = (
        encoder(train(f"kld{kld}", weights=WEIGHTS | {"kld": kld}, **slots)) for kld in (1.0, 5.0)
    )
    assert all(torch.equal(weak[key], strong[key]) for key in weak) is not feels


def test_cotraining_learns_from_other_images_maps_and_not_from_these(
    train, labels, write_labels, tmp_path
):
    people = write_labels(tmp_path / "people", seed=5)
    blank = write_labels(tmp_path / "blank", seed=0, flat=True)  # the same images, other maps
    with_people = {"cotrain": {"shards": str(people), "images": 4}}
    found = encoder(train("people", **with_people))
    assert all(
        torch.equal(found[key], each)
        for key, each in encoder(train("blank", of=blank, **with_people)).items()
    )
    others = {"cotrain": {"shards": str(labels), "images": 4}}
    assert not all(
        torch.equal(found[key], each) for key, each in encoder(train("others", **others)).items()
    )


def test_cotraining_interrupted_goes_on_to_the_same_bytes(
    train, write_labels, monkeypatch, tmp_path
):
    # 18 recordings, 7 a batch: two batches an epoch of theirs, three of the labelled images
    people = write_labels(tmp_path / "people", seed=5)
    changed = {"cotrain": {"shards": str(people), "images": 7}, "checkpoint_minutes": 0.0}
    whole = contents(train("whole", **changed))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, before=3)
        train("cut", **changed)
    assert contents(train("cut", **changed)) == whole


def test_training_images_held_out_are_scored_in_the_place_of_validation_images(train, monkeypatch):
    seen = set()
    sample = samples.Views.__getitem__

    def noted(self, item: tuple[int, int]) -> dict[str, Any]:
        made = sample(self, item)
        seen.add(made["index"])
        return made

    def refuse(*_: Any) -> None:
        raise AssertionError("a validation image was read")

    monkeypatch.setattr(samples.Views, "__getitem__", noted)
    monkeypatch.setattr(labelled_squares.Listed, "__call__", refuse)
    scored = report(train("out", development=1 / 3, epochs=9))["probe"]
    assert list(scored) == ["development_top1"]
    kept, held_out = probe.hold_out(18, 1 / 3)
    assert len(held_out) == 6 and sorted([*kept, *held_out]) == list(range(18))
    assert seen == set(kept.tolist())


def test_an_invented_variant_is_a_file_and_a_row(train, monkeypatch, tmp_path):
    (tmp_path / "invented.py").write_text(INVENTED)
    monkeypatch.setattr(blocks, "__path__", [*blocks.__path__, str(tmp_path)])
    found = tmp_path / "invented.py"
    monkeypatch.setattr(list_runs, "find_module", lambda *slot_and_name, name: found)
    monkeypatch.setitem(objective.TERMS, "peak", lambda outputs, targets: outputs.z0.abs().amax())
    out = train("out", block="invented", weights=WEIGHTS | {"peak": 0.01})
    assert "peak" in rows(out)[0] and "encoder.block.gain" in encoder(out)


INVENTED = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, maps):
        return maps * self.gain, maps.new_empty(len(maps), 0, 0)
"""


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ({"attention": "none"}, "no map for kld, nss; remove that from its row"),
        ({"weights": {"contrastive": 1.0}}, "weighs none of kld, .*say `attention: none`"),
        ({"attention": "mask"}, "the encoder's block has no mask to attend with"),
        ({"attention": "contracam", "chunks": 2}, "2 chunks would leave it fewer of them"),
        (
            {"block": "nothing"},
            f"has the block 'nothing'; expected one of: {', '.join(BLOCKS)}$",
        ),
        ({"weights": {"byol": 1.0, "kld": 1.0}}, "byol needs a momentum and a predictor"),
        (METHODS["BYOL"] | {"momentum": None}, "byol needs a momentum, which the run does not"),
        (FOLLOWED, "gives a momentum that none of its terms reads; remove it from its row"),
        ({"predictor": {"n_hidden": 4}}, "gives a predictor that none of its terms reads"),
        (
            METHODS["BYOL"] | {"momentum": {"start": 1.0, "end": 1.0}},
            r"contrastive_attn_teacher\.momentum\.start: Input should be less than 1 \(got 1",
        ),
        (
            METHODS["BYOL"] | {"momentum": {"start": 0.9, "end": 1.5}},
            r"momentum\.end: Input should be less than or equal to 1",
        ),
        (
            {"network": NETWORKS["of tokens"] | {"width": 8}},
            r"network\.timm\.width is unknown; remove it",
        ),
        (
            {"network": NETWORKS["of tokens"] | {"options": {}}},
            "timm:vit_tiny_patch16_224 cannot take images of 24 px .*img_size: 24",
        ),
        (
            {"network": NETWORKS["of tokens"], "block": "mask"},
            "timm:vit_tiny_patch16_224 has the block 'mask' .*has to be `block: none`",
        ),
        (
            {"network": NETWORKS["convolutional"], "attention": "contracam"},
            "`attention: contracam`; timm's networks pool by themselves",
        ),
        (
            {
                "network": NETWORKS["of tokens"] | {"options": VIT | {"drop_path_rate": 0.1}},
                "chunks": 2,
            },
            "timm:vit_tiny_patch16_224 has drop_path_rate, which would drop other things in each",
        ),
        ({"batch_size": 1}, r"train_simclr\.batch_size: .*greater than or equal to 2"),
        ({"cotrain": {"shards": "people", "images": 4}}, "people.index.json is missing: the run"),
        (
            {"cotrain": {"shards": "{labels}", "images": 19}},
            "labels has 18 images and 19 are to join",
        ),
    ],
)
def test_a_row_that_cannot_be_trained_is_refused(train, labels, slots, message):
    slots = json.loads(json.dumps(slots).replace("{labels}", str(labels)))
    with pytest.raises((ValueError, OSError), match=message):
        train("out", **slots)
    assert not list(Path().glob("out/*"))


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": "lars", "learning_rate_scaling": "sqrt", "learning_rate": 0.075},
        {"optimizer": "sgd", "learning_rate_scaling": "linear", "learning_rate": 0.1},
        {"precision": "bf16"},
        {"precision": "fp16", "chunks": 3, "checkpoint_steps": 2},
        {"deterministic": True},
        {"backbone": "resnet18", "attention_taps": "units"},
        {"stem": "cifar", "attention_select": "gap_argmax", "attention_output": "sigmoid"},
        {"joint_batch_norm": False, "clean_crop": 0.875, "eval_crop": 0.875, "blur": 0.5},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_every_option_trains(train, changed):
    out = train("out", epochs=1, warmup_epochs=0.0, **changed)
    assert rows(out)[0]["loss"] > 0


@pytest.mark.parametrize("taken", ["fp32", "bf16"])
def test_a_measured_precision_is_recorded_kept_and_gives_what_asking_for_it_does(
    train, monkeypatch, taken
):
    found = iter([taken])
    monkeypatch.setattr(step, "faster", lambda trial, *, world: next(found))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, before=3)
        train("auto", precision="auto", checkpoint_minutes=0.0)
    train("auto", precision="auto", checkpoint_minutes=0.0)  # and is not measured again
    asked = train("asked", precision=taken)
    assert rows(Path("auto")) == rows(asked)
    weights, expected = (load_file(Path(each, "student.safetensors")) for each in ("auto", asked))
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    assert report(Path("auto")) == report(asked)
    made_by = [
        json.loads(Path(each, "report.json").read_text())["made_by"] for each in ("auto", asked)
    ]
    assert made_by[0] == made_by[1] | {"precision": taken}
    config = read_config(asked / "student.safetensors")
    assert read_config(Path("auto", "student.safetensors")) == config | {"precision": taken}


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_terms(train):
    with pytest.raises(ValueError, match=r"step \d: the loss is not finite: .*'contrastive': nan"):
        train("out", learning_rate=1e30)
    assert not list(Path().glob("out/*"))


def test_a_gradient_that_is_not_finite_stops_with_the_step_and_the_images(train, monkeypatch):
    spread = students.spread  # asked once a step, within the loss

    def infinite(z: torch.Tensor) -> torch.Tensor:
        z.register_hook(lambda gradient: gradient * torch.inf)
        return spread(z)

    monkeypatch.setattr(students, "spread", infinite)
    what = r"step 0: the gradient of the loss by z0 is not finite; the batch begins with image\d"
    with pytest.raises(ValueError, match=what):
        train("out")
    assert not list(Path().glob("out/*"))


def test_a_collapse_is_in_the_log_and_in_the_report(train, capsys):
    out = train("out")  # a batch of 6 at a high rate
    warned = "warning: epoch 2: NT-Xent is no better than chance" in capsys.readouterr().err
    assert warned and report(out)["collapsed"] == 1


def test_a_batch_that_does_not_divide_into_chunks_is_refused(train):
    with pytest.raises(ValueError, match="a batch of 6 does not divide into 1 processes times 4"):
        train("out", chunks=4)


def test_validation_images_of_other_classes_are_refused_before_training(
    params, steps, words, world
):
    listed = (world / "data/images/val.csv").read_text().splitlines()
    Path("data/images").mkdir(parents=True)
    two = [line for line in listed if CLASSES[2] not in line]
    Path("data/images/val.csv").write_text("\n".join(two) + "\n")
    with pytest.raises(ValueError, match=r"val\.csv lists 2 classes and .*labels 3"):
        train_simclr.main(*words("out", val=Path()))
    assert not steps


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 7}, "train_simclr.width: Input should be greater than or equal to 8 .got 7."),
        ({"epochs": 0}, r"params\.yaml: train_simclr\.epochs: .*greater than 0"),
        ({"optimizer": "adam"}, r"train_simclr\.optimizer: .*'lars', 'sgd' or 'adamw'"),
        ({"batch_size": 19}, "18 samples do not fill one batch of 19; lower batch_size"),
        ({"warmup_epochs": 2.0}, "6 warm-up steps of 6 in all, .*warm up for fewer"),
        ({"learning_rate": True}, r"train_simclr\.learning_rate: .*number"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(train, changed, message):
    with pytest.raises(ValueError, match=message):
        train("out", **changed)
    assert not list(Path().glob("out/*"))


@pytest.mark.parametrize(
    ("section", "unknown", "message"),
    [
        (
            "train_simclr",
            {"epoch": 3},
            "params.yaml: train_simclr.epoch is unknown; remove it or mend",
        ),
        (f"main.{RUNS[1]}", {"stop": True}, f"run {RUNS[1]}.stop is unknown; remove it or mend"),
        (f"main.{RUNS[1]}", {"weights": {"kld": 1.0, "kdl": 1.0}}, "no such terms: ['kdl']"),
    ],
)
def test_an_unknown_or_missing_parameter_is_one_clear_error(
    params, fail, words, section, unknown, message
):
    tree = read()
    node = tree
    for key in section.split("."):
        node = node[key]
    node |= unknown
    Path("params.yaml").write_text(json.dumps(tree))
    assert message in fail(train_simclr, *words("out"))
    assert not list(Path().glob("out/*"))


def test_a_run_that_is_not_in_the_table_is_named(params, fail, words):
    message = fail(train_simclr, *words("out", name="attn"))
    assert "attn.json is missing; run the stage list_runs" in message


def test_an_output_folder_that_cannot_be_made_is_one_clear_error(params, fail, words):
    Path("out").write_text("a file where the folder should be")
    assert "out" in fail(train_simclr, *words("out/simclr"))
    assert Path("out").is_file()


def no_room(*_):
    raise OSError("no room")


def test_a_run_whose_results_could_not_be_written_need_not_train_again(train, steps, monkeypatch):
    whole = contents(train("whole"))
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
        patch.setattr(encoders, "write_weights", no_room)
        train("cut")
    steps.clear()
    assert contents(train("cut")) == whole and not steps


@pytest.mark.parametrize(("keep_state", "file"), [(True, "state.pt"), (False, "safetensors")])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    params, fail, full_disk, monkeypatch, words, keep_state, file
):
    if not keep_state:
        monkeypatch.setattr(encoders.Scratch, "write", lambda self, state: None)
    arguments = words("out")
    before = sorted(path for path in Path().rglob("*") if path.is_file())
    with full_disk(10_000):
        message = fail(train_simclr, *arguments)
    assert file in message and "too large" in message and "make room" in message
    assert sorted(path for path in Path().rglob("*") if path.is_file()) == before
