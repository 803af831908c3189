"""A step of several processes, or in several chunks, against that of one in one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attnlabels.losses.objective import Targets, objective
from attnlabels.models.student import Outputs
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
def together(request, tmp_path_factory):
    """What each of 2 or 3 processes of gloo is left with."""
    folder = tmp_path_factory.mktemp(f"of{request.param}")
    environment = os.environ | {
        "PYTHONPATH": str(SOURCES),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={request.param}",
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
    ],
)
def test_loss_gradients_and_statistics_are_those_of_one_process(together, name, how):
    alone = worker.make_step(ALONE, **how)
    assert sum(key.startswith("gradient") for key in alone) > 30
    assert any("running_var" in key for key in alone)
    for found in together:
        close(found[name], alone)


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
