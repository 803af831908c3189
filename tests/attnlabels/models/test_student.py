import copy

import pytest
import torch
from torch import nn

from attnlabels.losses.nt_xent import nt_xent
from attnlabels.losses.objective import Targets, objective
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder, features
from attnlabels.models.projector import predictor, projector
from attnlabels.models.student import Momentum, Student, build_student

ALL = {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0}


@pytest.fixture(scope="module")
def fresh():
    """A small student; its blocks are no identity, so that gradients pass everywhere."""
    torch.manual_seed(0)
    encoder = Encoder("resnet10", width=8, stem="cifar", taps="stages", zero_init=False)
    return Student(
        encoder,
        projector(encoder.n_features, layers=2, n_outputs=16),
        AttentionHead(select="local_mean_max", output="spatial_softmax", size=8),
        nn.Linear(encoder.n_features, 3),
    )


@pytest.fixture
def student(fresh):
    return copy.deepcopy(fresh)


def batch(n=4):
    # 32 pixels: on a last stage of 2 x 2, a mean over 3 x 3 neighbours would be flat
    return torch.rand(3, n, 3, 32, 32, generator=torch.Generator().manual_seed(1)).unbind()


def targets(n=4):
    generator = torch.Generator().manual_seed(2)
    fixations = torch.zeros(n, 8, 8)
    fixations[:, 2, 3] = fixations[:, 5, 5] = 1
    maps = torch.rand(n, 8, 8, generator=generator)
    return Targets(torch.tensor([0, 1, 2, 0]), maps, fixations, temperature=0.1)


def gradients(student, *, stop_gradient, weights):
    """Of all parameters, after one backward pass of the weighted terms."""
    student = copy.deepcopy(student)
    outputs = student(*batch(), joint=True, stop_gradient=stop_gradient)
    loss, _ = objective(outputs, targets(), weights=weights)
    loss.backward()
    return {name: each.grad for name, each in student.named_parameters() if each.requires_grad}


def test_stop_gradient_baseline_trains_encoder_and_projector_exactly_as_simclr(student):
    baseline = gradients(student, stop_gradient=True, weights=ALL)
    plain = copy.deepcopy(student)
    n = 4
    h = features(plain.encoder(torch.cat(batch())))[: 2 * n]  # the clean images only in BN
    z0, z1 = plain.projector(h).chunk(2)
    nt_xent(z0, z1, temperature=0.1).backward()
    compared = 0
    for part in ("encoder", "projector"):
        for name, each in getattr(plain, part).named_parameters():
            if each.requires_grad:
                assert each.grad.ne(0).any(), name
                assert torch.equal(baseline[f"{part}.{name}"], each.grad), name
                compared += 1
    assert compared > 30


def test_guidance_changes_the_encoders_gradient_and_not_the_projectors(student):
    baseline = gradients(student, stop_gradient=True, weights=ALL)
    guided = gradients(student, stop_gradient=False, weights=ALL)
    for name, gradient in guided.items():
        same = torch.equal(gradient, baseline[name])
        assert same != name.startswith("encoder."), name


def test_the_attention_loss_reaches_the_head_alone_in_the_baseline(student):
    found = gradients(student, stop_gradient=True, weights={"kld": 1.0, "nss": 0.1})
    assert found["attention.readout.weight"].ne(0).all()
    others = [each for name, each in found.items() if not name.startswith("attention.")]
    assert all(each is None for each in others)


def test_the_attention_loss_reaches_the_whole_encoder_when_guided(student):
    found = gradients(student, stop_gradient=False, weights={"kld": 1.0, "nss": 0.1})
    for name, each in found.items():
        if name.startswith("encoder."):
            assert each.ne(0).any(), name
        elif not name.startswith("attention."):
            assert each is None, name


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_the_probes_loss_never_leaves_the_probe(student, stop_gradient):
    found = gradients(student, stop_gradient=stop_gradient, weights={"probe": 1.0})
    assert found["probe.weight"].ne(0).any()
    assert all(each is None for name, each in found.items() if not name.startswith("probe."))


def test_outputs_belong_to_their_views(student):
    view0, view1, clean = batch()
    student.eval()
    outputs = student(view0, view1, clean, joint=True, stop_gradient=False)
    for view, z, logits in (
        (view0, outputs.z0, outputs.logits[:, 0]),
        (view1, outputs.z1, outputs.logits[:, 1]),
    ):
        h = features(student.encoder(view))
        torch.testing.assert_close(student.projector(h), z, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(student.probe(h), logits, atol=1e-5, rtol=1e-4)
    attention = student.attention(student.encoder(clean))
    torch.testing.assert_close(outputs.attention, attention, atol=1e-5, rtol=1e-4)


def test_shapes(student):
    outputs = student(*batch(), joint=False, stop_gradient=True)
    assert outputs.z0.shape == outputs.z1.shape == (4, 16)
    assert outputs.logits.shape == (4, 2, 3) and outputs.attention.shape == (4, 8, 8)


def test_a_joint_pass_mixes_the_clean_images_into_the_statistics(student):
    joint, apart = copy.deepcopy(student), copy.deepcopy(student)
    together = joint(*batch(), joint=True, stop_gradient=True)
    alone = apart(*batch(), joint=False, stop_gradient=True)
    assert not torch.allclose(joint.encoder.bn1.running_mean, apart.encoder.bn1.running_mean)
    assert joint.encoder.bn1.num_batches_tracked == 1
    assert apart.encoder.bn1.num_batches_tracked == 2
    assert not torch.allclose(together.z0, alone.z0)
    # the views then are those of plain SimCLR, whose BN never sees a clean image
    plain = copy.deepcopy(student)
    h = features(plain.encoder(torch.cat(batch()[:2])))
    assert torch.equal(plain.projector(h), torch.cat([alone.z0, alone.z1]))


def test_without_batch_statistics_joint_or_not_is_the_same(student):
    student.eval()
    one, other = (student(*batch(), joint=j, stop_gradient=True) for j in (True, False))
    for a, b in zip(one, other):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_stopping_the_gradient_does_not_change_the_outputs(student):
    student.eval()
    one, other = (student(*batch(), joint=True, stop_gradient=s) for s in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(one, other))


@pytest.fixture
def following(fresh):
    """The student with a predictor and a momentum encoder."""
    parts = copy.deepcopy(fresh)
    torch.manual_seed(0)
    return Student(
        parts.encoder,
        parts.projector,
        parts.attention,
        parts.probe,
        predictor=predictor(16, n_hidden=6),
        momentum=Momentum(parts.encoder, parts.projector),
    )


def test_without_further_parts_their_outputs_are_empty(student):
    outputs = student(*batch(), joint=True, stop_gradient=True)
    assert all(getattr(outputs, key).shape == (4, 0) for key in ("p0", "p1", "k0", "k1"))


def test_predictions_and_keys_belong_to_their_views(following):
    view0, view1, clean = batch()
    following.momentum.follow(following, momentum=0.0)
    with torch.no_grad():
        for weight in following.momentum.parameters():
            weight.add_(torch.randn_like(weight))
    following.eval()
    outputs = following(view0, view1, clean, joint=True, stop_gradient=False)
    for view, p, k in ((view0, outputs.p0, outputs.k0), (view1, outputs.p1, outputs.k1)):
        z = following.projector(features(following.encoder(view)))
        torch.testing.assert_close(following.predictor(z), p, atol=1e-5, rtol=1e-4)
        key = following.momentum.projector(features(following.momentum.encoder(view)))
        torch.testing.assert_close(key, k, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(k, z, rtol=0.1, atol=0)


def test_no_loss_reaches_the_momentum_encoder_and_it_is_a_copy_at_first(following):
    own = following.momentum.encoder.state_dict()
    assert all(torch.equal(own[key], each) for key, each in following.encoder.state_dict().items())
    outputs = following(*batch(), joint=True, stop_gradient=False)
    assert not outputs.k0.requires_grad
    objective(outputs, targets(), weights={"byol": 1.0, "kld": 1.0})[0].backward()
    assert all(each.grad is None for each in following.momentum.parameters())
    for part in ("encoder", "projector", "predictor"):
        learning = [
            each for each in following.get_submodule(part).parameters() if each.requires_grad
        ]
        assert learning and all(each.grad.ne(0).any() for each in learning), part


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.99, 1.0])
def test_the_momentum_encoder_keeps_a_share_of_its_weights(following, momentum):
    with torch.no_grad():
        for each in following.parameters():
            each.add_(torch.randn_like(each))
    kept = [each.clone() for each in following.momentum.parameters()]
    new = [*following.encoder.parameters(), *following.projector.parameters()]
    following.momentum.follow(following, momentum=momentum)
    for own, before, online in zip(following.momentum.parameters(), kept, new, strict=True):
        torch.testing.assert_close(own, momentum * before + (1 - momentum) * online)


def test_the_momentum_encoder_has_statistics_of_its_own_passes(following):
    following(*batch(), joint=True, stop_gradient=True)
    following.momentum.follow(following, momentum=0.5)
    own, other = following.momentum.encoder.bn1, following.encoder.bn1
    assert own.num_batches_tracked == 1
    # of the views alone, and not of the clean images
    assert not torch.allclose(own.running_mean, other.running_mean)


def test_a_config_says_which_parts_there_are():
    config = {
        "encoder": {
            "backbone": "resnet10",
            "width": 4,
            "stem": "cifar",
            "taps": "stages",
            "zero_init": False,
        },
        "projector": {"layers": 2, "n_outputs": 6},
        "attention": {
            "source": "readout",
            "select": "local_mean_max",
            "output": "softplus",
            "size": 8,
        },
    }
    plain = build_student(config, n_classes=2)
    assert plain.predictor is None and plain.momentum is None
    more = build_student(config | {"predictor": {"n_hidden": 5}, "momentum": True}, n_classes=2)
    assert more.predictor[0].weight.shape == (5, 6)
    new = more.state_dict().keys() - plain.state_dict().keys()
    assert {key.partition(".")[0] for key in new} == {"predictor", "momentum"}
