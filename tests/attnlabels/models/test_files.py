import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from attnlabels.models.files import load_weights, read_config, write_weights


def network(*, outputs=3, seed=0):
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
    return nn.ModuleDict({"encoder": encoder, "head": nn.Linear(5, outputs)})


@pytest.fixture
def path(tmp_path):
    """A file with the weights of `network()`."""
    write_weights(tmp_path / "w.safetensors", network(), {"outputs": 3, "taps": (3, 5)})
    return tmp_path / "w.safetensors"


def change(path, edit):
    """Edit the file's tensors."""
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def test_weights_come_back_exactly_with_buffers(path):
    module = network(seed=1)
    load_weights(path, module)
    expected = network().state_dict()
    assert module.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in module.state_dict().items())
    assert "encoder.1.running_var" in expected


def test_tensors_of_any_memory_layout_are_written(tmp_path):
    module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    write_weights(tmp_path / "w", module, {})
    other = nn.Conv2d(3, 4, 3)
    load_weights(tmp_path / "w", other)
    assert torch.equal(other.weight, module.weight)


def test_config_comes_back_as_json_has_it(path):
    assert read_config(path) == {"outputs": 3, "taps": [3, 5]}
    assert read_config(path, "outputs", "taps")["outputs"] == 3


def test_a_config_without_an_expected_key_is_refused(path):
    with pytest.raises(ValueError, match=r"w\.safetensors holds no teacher"):
        read_config(path, "outputs", "teacher")


def test_a_file_of_others_has_no_config(tmp_path):
    save_file({"w": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(ValueError, match="other has no config in its header"):
        read_config(tmp_path / "other")


@pytest.mark.parametrize("config", ["{", "[1]"])
def test_a_config_that_is_no_names_with_values_is_refused(tmp_path, config):
    save_file({"w": torch.zeros(1)}, tmp_path / "w", metadata={"config": config})
    with pytest.raises(ValueError, match="w: the config in its header is"):
        read_config(tmp_path / "w")


def test_a_prefix_picks_a_part(path):
    part = network(seed=1)["encoder"]
    load_weights(path, part, prefix="encoder.")
    assert torch.equal(part[0].weight, network()["encoder"][0].weight)


def test_a_prefix_that_picks_nothing_is_refused(path):
    with pytest.raises(ValueError, match=r"w\.safetensors: teacher\.0\.bias is missing \(7 tensor"):
        load_weights(path, network()["encoder"], prefix="teacher.")


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda t: t.pop("encoder.0.bias"), r"encoder\.0\.bias is missing \(1 tensors"),
        (lambda t: t.update(more=torch.zeros(1)), r"more is unknown \(1 tensors"),
        (lambda t: t.update({"head.bias": torch.zeros(4)}), r"head\.bias has another shape \(1 "),
        (lambda t: t.update({"head.bias": torch.zeros(1)}), r"head\.bias has another shape \(1 "),
    ],
)
def test_a_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(path, edit, message):
    change(path, edit)
    module = network(seed=1)
    with pytest.raises(ValueError, match=rf"w\.safetensors: {message}.*ModuleDict; build it"):
        load_weights(path, module)
    before = network(seed=1).state_dict()
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_weights_of_another_width_are_refused(path):
    with pytest.raises(ValueError, match=r"head\.bias has another shape \(2 tensors in all\)"):
        load_weights(path, network(outputs=4))


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_truncated_file_is_named_with_the_cure(path, length):
    path.write_bytes(path.read_bytes()[:length])
    for read in (read_config, lambda path: load_weights(path, network())):
        with pytest.raises(ValueError, match=r"w\.safetensors is not a whole .*; fetch it or"):
            read(path)


def test_a_missing_file_is_named_with_the_cure(tmp_path):
    for path in (tmp_path / "none", tmp_path):  # a folder is no file either
        with pytest.raises(FileNotFoundError, match="no weights here; name a file of them, or run"):
            load_weights(path, network())


def test_a_failed_write_is_an_error_of_the_system(tmp_path, full_disk):
    with pytest.raises(FileNotFoundError, match="no folder"):
        write_weights(tmp_path / "no folder" / "w", network(), {})
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        write_weights(tmp_path / "w", network(), {})
    # Whoever is killed leaves no file of another name, as nobody would know of it.
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_others_may_read_weights_as_any_file(path):
    (path.parent / "other").write_bytes(b"")
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode
