"""A step of several processes, or in several chunks, against that of one in one."""

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from attnlabels.losses.objective import Targets, objective
from attnlabels.models.student import Outputs
from attnlabels.processes import precision
from attnlabels.processes.world import World
from attnlabels.training.batch_norm import frozen_statistics
from attnlabels.training.step import Step

WORKER = Path(__file__).with_name("step_worker.py")
SOURCES = Path(__file__).parents[3] / "src"
ALONE = World(0, 1, torch.device("cpu"))

spec = importlib.util.spec_from_file_location("step_worker", WORKER)
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)


@pytest.fixture(scope="module", params=[2, 3])
def together(request, tmp_path_factory, warm_python):
    """What each of 2 or 3 processes of gloo is left with."""
    folder = tmp_path_factory.mktemp(f"of{request.param}")
    environment = os.environ | {
        "PYTHONPATH": str(SOURCES),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    command = [
        warm_python,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={request.param}",
        "--no-python",  # but one that has imported torch already
        warm_python,
        str(WORKER),
        str(folder),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(request.param)]


def close(found, expected):
    """All tensors equal to a millionth of each one's largest entry; the probe's loss is float32."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        atol = 1e-6 * max(1.0, float(value.abs().max()))
        torch.testing.assert_close(
            found[key], value, rtol=0, atol=atol, msg=lambda words, key=key: f"{key}: {words}"
        )


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("one", {}),
        ("three", {"steps": 3}),
        ("chunks", {"training": False}),
        ("mask", {"source": "mask", "block": "mask"}),
        ("contracam", {"source": "contracam"}),
        ("second order", {"source": "contracam_second_order"}),
        ("cotrain", {"attended": 18}),
        ("auto", {}),
        ("scaled", {}),
    ],
)
def test_loss_gradients_and_statistics_are_those_of_one_process(together, name, how):
    alone = worker.make_step(ALONE, **how)
    assert sum(key.startswith("gradient") for key in alone) > 30
    assert any("running_var" in key for key in alone)
    for found in together:
        close(found[name], alone)


@pytest.mark.parametrize("name", worker.SUPERVISED)
def test_maps_of_a_view_are_learnt_as_by_one_process(together, name):
    alone = worker.make_supervised_step(ALONE, **worker.SUPERVISED[name])
    assert any(value.any() for key, value in alone.items() if key.startswith("gradient encoder"))
    for found in together:
        close(found[name], alone)


@pytest.mark.parametrize("name", worker.BOTTLENECKS)
def test_a_bottleneck_is_learnt_as_by_one_process(together, name):
    alone = worker.make_bottleneck_step(ALONE, **worker.BOTTLENECKS[name])
    moved = [key for key, value in alone.items() if key.startswith("gradient") and value.any()]
    assert any("statistics" in key for key in moved)
    assert any("attention.deviation" in key for key in moved) is (name != "no mask")
    for found in together:
        close(found[name], alone)


@pytest.mark.parametrize("name", worker.PAIRS)
def test_losses_of_two_views_are_those_of_one_process(together, name):
    alone = worker.make_pair_step(ALONE, **worker.PAIRS[name])
    moved = [key for key, value in alone.items() if key.startswith("gradient") and value.any()]
    assert any(key.startswith("gradient encoder") for key in moved)
    assert any(key.startswith("momentum.encoder") for key in alone)
    for found in together:
        close(found[name], alone)


@pytest.mark.parametrize("term", ["barlow_twins", "vicreg", "simsiam", "byol", "moco"])
@pytest.mark.parametrize("chunks", [2, 3])
def test_losses_of_two_views_have_the_gradient_of_the_whole_batch_in_chunks(term, chunks):
    # Without BN's statistics of the batch, of which each chunk has its own, nothing may differ.
    whole = worker.make_pair_step(ALONE, term=term, training=False)
    close(worker.make_pair_step(ALONE, term=term, training=False, chunks=chunks), whole)


def test_all_processes_are_left_with_the_same_bits(together):
    first, *others = together
    for other in others:
        for name, tensors in first.items():
            assert all(torch.equal(other[name][key], value) for key, value in tensors.items())


@pytest.mark.parametrize("chunks", [2, 3, 4])
def test_chunks_have_the_gradient_of_the_whole_batch(chunks):
    # Without BN's statistics of the batch, of which each chunk has its own, nothing may differ.
    whole = worker.make_step(ALONE, training=False)
    parts = worker.make_step(ALONE, training=False, chunks=chunks)
    close(parts, whole)


def test_chunks_normalise_by_themselves_and_contrast_together():
    inputs, targets = worker.batch()
    model = worker.student().train()
    parts = [
        model(*part, joint=True, stop_gradient=False)
        for part in zip(*(rows.chunk(2) for rows in inputs))
    ]
    outputs = Outputs(*map(torch.cat, zip(*parts)))
    loss, _ = objective(outputs, Targets(*targets, 0.1), weights=worker.WEIGHTS)
    loss.backward()
    trained = {key: each for key, each in model.named_parameters() if each.requires_grad}
    expected = {f"gradient {key}": each.grad for key, each in trained.items()}
    found = worker.make_step(ALONE, chunks=2)
    assert float(found.pop("loss")) == pytest.approx(loss.item())
    close({key: found[key] for key in expected}, expected)
    buffers = dict(model.named_buffers())  # the first of the two passes left no trace
    close({key: found[key] for key in buffers}, buffers)


def test_an_output_that_the_loss_does_not_read_moves_nothing():
    model = worker.student()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, targets = worker.batch()
    Step(model, optimizer, world=ALONE, precision="fp32")(
        inputs,
        targets,
        forward=lambda model, *views: model(*views, joint=True, stop_gradient=False),
        loss=lambda outputs, rows: outputs.z0.square().mean(),
    )
    after = model.state_dict()
    moved = {key for key, _ in model.named_parameters() if not after[key].equal(before[key])}
    assert any(key.startswith("encoder") for key in moved)
    assert not any(key.startswith(("attention", "probe")) for key in moved)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("loss", "the gradient of the loss by z0 is not finite"),
        ("model", "the gradient of encoder"),
    ],
)
def test_a_gradient_that_is_not_finite_is_named_and_nothing_moves(bad, message):
    model = worker.student()
    before = {key: value.clone() for key, value in model.named_parameters()}
    if bad == "model":
        model.encoder.layer1[0].conv1.weight.register_hook(lambda gradient: gradient * torch.nan)
    step = Step(model, torch.optim.SGD(model.parameters(), lr=0.1), world=ALONE, precision="fp32")

    def loss(outputs, rows):
        if bad == "loss":  # 0, of infinite slope
            return (outputs.z0 - outputs.z0.detach()).sqrt().sum()
        return outputs.z0.square().mean()

    inputs, targets = worker.batch()
    with pytest.raises(FloatingPointError, match=message):
        step(
            inputs,
            targets,
            loss=loss,
            forward=lambda model, *views: model(*views, joint=True, stop_gradient=False),
        )
    assert all(value.equal(before[key]) for key, value in model.named_parameters())


@pytest.mark.parametrize("training", [True, False])
def test_frozen_statistics_stay_and_are_freed_again(training):
    model = worker.student().train(training)
    inputs, _ = worker.batch()
    before = {key: value.clone() for key, value in model.named_buffers()}
    with frozen_statistics(model):
        frozen = model(*inputs, joint=True, stop_gradient=False)
    assert all(value.equal(before[key]) for key, value in model.named_buffers())
    free = model(*inputs, joint=True, stop_gradient=False)
    torch.testing.assert_close(frozen.z0, free.z0)
    assert any(not value.equal(before[key]) for key, value in model.named_buffers()) == training


@pytest.mark.parametrize(
    "norm", [torch.nn.BatchNorm2d(3, track_running_stats=False), torch.nn.InstanceNorm2d(3)]
)
def test_a_norm_without_statistics_has_none_after_they_were_frozen(norm):
    model, images = torch.nn.Sequential(norm).eval(), torch.rand(2, 3, 4, 4)
    before = model(images)
    with frozen_statistics(model):
        pass
    assert norm.track_running_stats is False and torch.equal(model(images), before)


def three_steps(choice, *, chunks=1):
    """A step of a new student, three times; the state it leaves and torch's generator's."""
    model = worker.student().float()
    inputs, targets = ([rows.float() for rows in part] for part in worker.batch())
    step = Step(
        model,
        torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        world=ALONE,
        precision=choice,
        chunks=chunks,
    )
    targets[0] = targets[0].long()
    for _ in range(3):
        step(
            inputs,
            targets,
            forward=lambda model, *views: model(*views, joint=True, stop_gradient=False),
            loss=lambda outputs, rows: objective(
                outputs, Targets(*rows, 0.1), weights=worker.WEIGHTS
            )[0],
        )
    return step, step.state_dict(), torch.get_rng_state()


class Few(NamedTuple):
    rows: torch.Tensor


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_gradient_that_fp16_would_lose_is_scaled_before_it_is_rounded(chunks):
    left = {}
    for choice in ("fp32", "fp16"):
        torch.manual_seed(0)
        model = torch.nn.Linear(8, 5)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        Step(model, optimizer, world=ALONE, precision=choice, chunks=chunks)(
            [torch.rand(6, 8)],
            [],
            forward=lambda model, rows: Few(model(rows)),
            loss=lambda outputs, _: 1e-9 * outputs.rows.float().sum(),  # fp16 ends at 6e-8
        )
        left[choice] = model.weight.grad
    assert left["fp32"].all()
    torch.testing.assert_close(left["fp16"], left["fp32"], rtol=5e-3, atol=0)


def same(found, expected):
    """Equal to the bit, in whatever nesting."""
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("taken", ["fp32", "bf16"])
def test_a_measured_precision_trains_as_if_it_had_been_asked_for(monkeypatch, taken, chunks):
    monkeypatch.setattr(
        precision,
        "seconds",
        lambda trial, name, share, *, world: [
            trial(name, share),
            torch.rand(3),
            1.0 if name == taken else 3.0,
        ][-1],
    )
    asked, state, generator = three_steps(taken, chunks=chunks)
    auto, found, left = three_steps("auto", chunks=chunks)
    assert same(found, state) and torch.equal(left, generator)
    assert found["precision"] == taken
    assert (asked.measured(), auto.measured()) == ({}, {"precision": taken})


def test_measuring_leaves_no_trace(monkeypatch):
    tried = []

    def seconds(trial, name, share, *, world):
        trial(name, share)
        tried.append((name, share))
        return 1.0

    monkeypatch.setattr(precision, "seconds", seconds)
    model = worker.student().train()
    model.attention.register_forward_hook(lambda *_: torch.rand(1) and None)  # as dropout would
    weight = next(model.parameters())
    weight.grad = torch.ones_like(weight)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    step = Step(model, torch.optim.SGD(model.parameters(), 0.1), world=ALONE, precision="auto")
    forward = lambda model, *views: model(*views, joint=True, stop_gradient=False)  # noqa: E731
    assert step._faster(forward, worker.batch()[0]) == "fp32"
    assert [*dict.fromkeys(tried)] == [
        (name, share) for share in precision.SHARES for name in ("fp32", "bf16")
    ]
    assert same(model.state_dict(), before) and torch.equal(torch.get_rng_state(), generator)
    gradients = {name: each.grad for name, each in model.named_parameters()}
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert [name for name, grad in gradients.items() if grad is not None] == [
        "encoder.conv1.weight"
    ]
    assert not step.optimizer.state


def test_a_state_that_goes_on_keeps_its_precision(monkeypatch):
    monkeypatch.setattr(precision, "seconds", lambda trial, name, share, *, world: 1.0)
    model = worker.student()
    how = {"world": ALONE, "precision": "auto"}
    state = Step(model, torch.optim.SGD(model.parameters(), 0.1), **how).state_dict()
    again = Step(model, torch.optim.SGD(model.parameters(), 0.1), **how)
    again.load_state_dict(state | {"precision": "bf16"})
    assert again.precision == "bf16" and again.measured() == {"precision": "bf16"}
