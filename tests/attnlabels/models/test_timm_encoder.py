import pytest
import timm
import torch

from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder, features, pooled
from attnlabels.models.timm_encoder import TimmEncoder, build_encoder

SIZE = 32
VIT = {"img_size": SIZE, "patch_size": 8, "depth": 5, "embed_dim": 16, "num_heads": 2}
POOLED = {**VIT, "class_token": False, "global_pool": "avg"}
SWIN = {
    "img_size": SIZE,
    "window_size": 4,
    "depths": [1, 1, 1, 1],
    "embed_dim": 16,
    "num_heads": [1, 1, 2, 2],
}
CONVNEXT = {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}
NETWORKS = [  # name, options, sides of the maps of its last three stages
    pytest.param("convnext_atto", CONVNEXT, [4, 2, 1], id="ConvNeXt"),
    pytest.param("vit_tiny_patch16_224", VIT, [4, 4, 4], id="ViT"),
    pytest.param("vit_tiny_patch16_224", POOLED, [4, 4, 4], id="ViT without a class token"),
    pytest.param("deit_tiny_distilled_patch16_224", VIT, [4, 4, 4], id="DeiT with two tokens"),
    pytest.param("swin_tiny_patch4_window7_224", SWIN, [4, 2, 1], id="Swin"),
    pytest.param("test_efficientnet", {}, [4, 2, 1], id="EfficientNet"),
    pytest.param("mobilenetv3_small_050", {}, [4, 2, 1], id="MobileNet"),
]
each_network = pytest.mark.parametrize(("name", "options", "sides"), NETWORKS)


def build(name="test_vit", *, taps="stages", **options):
    torch.manual_seed(0)
    return build_encoder(f"timm:{name}", taps=taps, options=options)


def images(n=2, size=SIZE):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


@each_network
def test_features_are_timms_own_and_maps_those_of_three_depths(name, options, sides):
    encoder = build(name, **options).eval()
    stages, own = encoder(images()), encoder.network(images())
    assert torch.equal(features(stages), own) and torch.equal(pooled(stages), own)
    assert own.shape == (2, encoder.n_features)
    assert [each.shape[2:] for each in stages[:3]] == [(side, side) for side in sides]
    assert stages.mask.shape == (2, 0, 0) and stages.attended.shape == (2, 0, 0, 0)


@each_network
def test_attention_reaches_the_weights_below_the_last_tap(name, options, sides):
    encoder = build(name, **options)
    head = AttentionHead(select="local_mean_max", output="spatial_softmax", size=8)
    maps = head(encoder(images(4)))
    assert maps.shape == (4, 8, 8) and maps.std() > 0
    maps.square().sum().backward()
    learning = [each for each in encoder.parameters() if each.grad is not None]
    assert sum(each.grad.ne(0).any().item() for each in learning) > 10
    assert head.readout.weight.grad.ne(0).all()


@each_network
def test_its_weights_load_in_timm_by_their_own_names(name, options, sides):
    encoder = build(name, **options).eval()
    other = timm.create_model(name, num_classes=0, **options).eval()
    other.load_state_dict(encoder.network.state_dict())
    assert torch.equal(other(images()), features(encoder(images())))
    assert {key.partition(".")[0] for key in encoder.state_dict()} == {"network"}


def test_tokens_are_put_where_their_patches_are():
    encoder = build("vit_tiny_patch16_224", **VIT).eval()
    changed = images(1)
    changed[:, :, 8:16, 24:] += 5  # the patch in the second row and the last column
    moved = (encoder(changed).first - encoder(images(1)).first).square().sum(dim=1)[0]
    assert divmod(int(moved.argmax()), 4) == (1, 3)


@pytest.mark.parametrize(
    ("taps", "blocks"),
    [("stages", [0, 2, 4]), ("units", [2, 3, 4]), ([1, 2, 5], [0, 1, 4]), ((1, 3, 4), [0, 2, 3])],
    ids=str,
)
def test_taps_are_ends_of_thirds_or_the_last_or_those_named(taps, blocks):
    encoder = build("vit_tiny_patch16_224", taps=taps, **VIT).eval()
    seen = []
    for block in encoder.network.blocks:
        block.register_forward_hook(lambda module, given, answer: seen.append(answer))
    stages = encoder(images())
    for stage, index in zip(stages[:3], blocks):
        tokens = encoder.network.norm(seen[index])[:, 1:]
        torch.testing.assert_close(stage.flatten(2).transpose(1, 2), tokens)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nothing_at_all", {}, "timm knows no such|knows no such model"),
        ("resnet10t", {"width": 16}, "timm builds no such network .*'width'.*mend the options"),
        ("vit_tiny_patch16_224", {"patch_size": 0}, "timm:vit_tiny_patch16_224: timm builds no"),
        ("vit_tiny_patch16_224", {"depth": 2}, "intermediate features at 2 places; 3 are read"),
    ],
)
def test_what_timm_cannot_build_or_has_not_three_depths_is_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, **options)


def test_a_network_without_intermediate_features_is_named(monkeypatch):
    monkeypatch.delattr(timm.models.resnet.ResNet, "forward_intermediates")
    with pytest.raises(ValueError, match=r"timm:resnet10t: .*no intermediate features.*choose an"):
        build("resnet10t")


@pytest.mark.parametrize("taps", [[1, 2], [0, 1, 2], [2, 1, 3], [3, 4, 6], [1, 1, 2], [1, 2, 3, 4]])
def test_taps_that_are_no_three_rising_places_are_named(taps):
    with pytest.raises(ValueError, match=r"has the places 1 to 5, and the taps are \[.*other taps"):
        build("vit_tiny_patch16_224", taps=taps, **VIT)


@pytest.mark.parametrize("option", ["pretrained", "checkpoint_path", "num_classes"])
def test_an_option_that_is_timms_to_say_is_refused(option):
    with pytest.raises(ValueError, match=f"timm:test_vit: the option {option} is not the network"):
        build(**{option: "weights.pth"})


@pytest.mark.parametrize("name", ["width", "stem", "zero_init", "block"])
def test_what_a_network_of_timm_has_not_is_refused(name):
    with pytest.raises(TypeError, match=name):
        build_encoder("timm:test_vit", taps="stages", options={}, **{name: 16})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit_tiny_patch16_224", {}, r"cannot take images of 40 px .*224.*option img_size: 40"),
        ("vit_tiny_patch16_224", {"img_size": [40, 24], "patch_size": 8}, "cannot take images of"),
        (
            "vit_tiny_patch16_224",
            {"img_size": 40, "patch_size": [4, 8]},
            "has a grid of 10 × 5 of a square image, and only square ones are read",
        ),
    ],
)
def test_images_that_a_network_cannot_take_are_refused(name, options, message):
    with pytest.raises(ValueError, match=f"timm:{name} {message}"):
        build(name, **options).require_size(40)


@pytest.mark.parametrize("training", [True, False])
def test_asking_for_the_size_leaves_no_trace(training):
    encoder = build("test_efficientnet").train(training)
    before = {key: each.clone() for key, each in encoder.state_dict().items()}
    state = torch.get_rng_state()
    encoder.require_size(40)
    assert encoder.training == training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(each, before[key]) for key, each in encoder.state_dict().items())


def test_any_other_name_is_a_resnet_of_ours():
    made = build_encoder("resnet10", width=8, stem="cifar", taps="stages", zero_init=False)
    assert isinstance(made, Encoder) and isinstance(build(), TimmEncoder)
