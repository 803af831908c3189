import pytest
import torch
from torch import nn

from attnlabels.processes import room
from attnlabels.processes.room import Need, Shares, kept_bytes, left_on, require_room

CPU = torch.device("cpu")


def test_kept_bytes_are_those_of_the_activations_by_hand():
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))

    def kept(n: int) -> int:
        return kept_bytes(lambda: network(torch.zeros(n, 8)))

    # An image's own: the input of each layer, of float32; the ReLU's result is the second's.
    assert kept(4) - kept(2) == 2 * 4 * (8 + 16)


def test_what_needs_no_gradient_keeps_nothing():
    with torch.no_grad():
        assert kept_bytes(lambda: nn.Linear(8, 16)(torch.zeros(4, 8))) == 0


def test_the_refusal_has_the_numbers_and_a_step_that_fits_passes():
    need = Need(images=6144, each=41.7e6, beside=200_000_000)
    cures = Shares(section="train_simclr", batch_size=2048, processes=1, gpus=True, chunks=1).cures
    with pytest.raises(ValueError) as raised:
        require_room(need, 80_000_000_000, CPU, cures)
    assert str(raised.value) == (
        "a step needs 256.4 GB or more, 6144 images × 41.7 MB measured and 0.2 GB of weights, and "
        "cpu has 80.0 GB left; set train_simclr.chunks to 4 (batch norm then sees 512 of the batch "
        "at a time), or train_simclr.processes to 4, each with such a GPU, or "
        "train_simclr.batch_size to 637"
    )
    require_room(Need(images=6144 // 4, each=41.7e6, beside=200_000_000), 80 * 10**9, CPU, cures)


@pytest.mark.parametrize("times", [1.1, 2.0, 3.3, 17.0])
@pytest.mark.parametrize("shares", [(2048, 1, 1), (2048, 4, 2), (96, 3, 1), (30, 1, 1)])
def test_every_number_that_is_offered_divides_the_batch_and_is_enough(shares, times):
    batch, processes, chunks = shares
    told = Shares(
        section="s", batch_size=batch, processes=processes, gpus=True, chunks=chunks, beside=batch
    ).cures(times)
    for each in told:
        name, number = (
            each.removeprefix("s.").split()[0],
            int(each.split(" to ")[1].split()[0].strip(",")),
        )
        new = {"chunks": chunks, "processes": processes, "batch_size": batch} | {name: number}
        parts = new["chunks"] * new["processes"]
        assert new["batch_size"] % parts == 0
        assert new["batch_size"] / parts <= batch / processes / chunks / times + 1e-9


def test_without_chunks_or_gpus_they_are_not_offered():
    shares = Shares(section="s", batch_size=256, processes=1, gpus=False)
    assert shares.cures(2.0) == ["s.batch_size to 128"]
    assert shares.cures(float("inf")) == []
    with pytest.raises(ValueError, match="take a machine with more memory"):
        require_room(Need(images=2, each=9.0, beside=5), 5, CPU, shares.cures)


def test_a_container_may_hold_less_than_its_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    monkeypatch.setattr(room, "kept_free", lambda: 0)
    whole = left_on(CPU)
    assert whole > 1000
    for name, text in (
        ("memory.max", "5000\n"),
        ("memory.current", "4500\n"),
        ("memory.stat", "anon 4000\ninactive_file 500\n"),
    ):
        (tmp_path / name).write_text(text)
    assert left_on(CPU) == 1000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert left_on(CPU) == 250
    monkeypatch.setattr(room, "kept_free", lambda: 300)  # by an earlier training
    assert left_on(CPU) == 550
    (tmp_path / "memory.max").write_text("max\n")
    assert left_on(CPU) > 1000
