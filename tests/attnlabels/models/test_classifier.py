import copy

import pytest
import torch

from attnlabels.models.classifier import Classifier, build_classifier

CONFIG = {
    "encoder": {
        "backbone": "resnet10",
        "width": 8,
        "stem": "small",
        "taps": "stages",
        "zero_init": False,
    },
    "attention": {
        "source": "readout",
        "select": "local_mean_max",
        "output": "spatial_softmax",
        "size": 6,
    },
}
WORDS = {"joint": True, "stop_gradient": False}


def network(**encoder) -> Classifier:
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIG)
    config["encoder"] |= encoder
    return build_classifier(config, n_classes=3)


def images(n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, 24, 24, generator=torch.Generator().manual_seed(seed))


def test_what_is_not_asked_for_is_empty_and_changes_no_logit() -> None:
    seen = network()(images(), **WORDS)
    assert seen.logits.shape == (4, 1, 3)
    assert seen.attention.shape == seen.gradient.shape == (4, 0, 0)
    assert seen.attended.shape == (4, 0, 0, 0)
    labels = torch.tensor([0, 1, 2, 0])
    asked = network(unit_attention="features")(images(), labels=labels, **WORDS)
    assert asked.attended.shape == (4, 1, 3, 3) and asked.gradient.shape == (4, 24, 24)
    torch.testing.assert_close(asked.logits, seen.logits)


def test_the_gradient_is_that_of_each_images_own_true_logit() -> None:
    net, labels = network(), torch.tensor([2, 0, 1, 1])
    for _ in range(3):
        net(images(), **WORDS)  # running statistics move
    found = net(images(), labels=labels, **WORDS).gradient
    net.eval()
    for i, label in enumerate(labels):
        pixels = images()[i : i + 1].requires_grad_()
        net(pixels, **WORDS).logits[0, 0, label].backward()
        torch.testing.assert_close(found[i], pixels.grad[0].mean(dim=0), rtol=1e-3, atol=1e-6)


def test_weights_learn_through_it_and_the_network_goes_on_training() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    net(images(), labels=torch.tensor([0, 1, 2, 0]), **WORDS).gradient.square().sum().backward()
    learning = [each for each in net.encoder.parameters() if each.grad is not None]
    assert any(each.grad.ne(0).any() for each in learning) and net.training
    plain = network()
    plain.load_state_dict(before)
    plain(images(), **WORDS)
    for key, value in plain.state_dict().items():  # its pass moves no running statistics
        torch.testing.assert_close(net.state_dict()[key], value, msg=key)


def test_the_attended_images_are_others_than_the_view() -> None:
    net = network()
    assert net(images(), images(2, seed=1), **WORDS).attention.shape == (2, 6, 6)


@pytest.mark.parametrize("stop", [True, False])
def test_the_gradient_of_the_head_stops_where_it_is_asked_to(stop: bool) -> None:
    net = network()
    seen = net(images(), images(seed=1), joint=True, stop_gradient=stop)
    seen.attention.square().sum().backward()
    assert all(each.grad is None for each in net.encoder.parameters()) is stop
