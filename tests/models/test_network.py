"""The whole network: what is in it for which settings, and what comes out."""

import pytest
import torch
from torch import Tensor, nn

from bitreid.errors import SettingsError
from bitreid.losses import ssr_loss
from bitreid.models import BACKBONES, HashingNetwork, ModelOutput, NetworkSettings, build_network
from bitreid.models.descriptors import ACTIVATIONS
from tests.models.cases import TinyBackbone, n_parameters, pictures, tiny_network

RELAXATIONS = ("ssr", "tanh", "sigmoid", "hardsigmoid", "none", "ste")
LENGTHS = range(32, 4097, 32)


def run(network: HashingNetwork, x: Tensor) -> ModelOutput:
    with torch.inference_mode():
        output: ModelOutput = network.eval()(x)
    return output


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_every_length_builds_and_runs_with_every_relaxation(relaxation: str) -> None:
    x = pictures(2, 96, 16)
    for n_bits in LENGTHS:
        network = tiny_network(n_bits=n_bits, relaxation=relaxation, attributes=False, attention=False)
        output = run(network, x)
        assert output.student.shape == (2, n_bits)
        assert torch.isfinite(output.student).all()


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_only_ssr_has_a_teacher(relaxation: str) -> None:
    network = tiny_network(n_bits=128, relaxation=relaxation)
    output = network.train()(pictures(4, 96, 16))
    assert output.student.shape == (4, 128)
    assert output.attribute_logits.shape == (4, 3)
    has_teacher = relaxation == "ssr"
    assert (network.teacher is not None) == has_teacher
    assert any(name.startswith("teacher.") for name in network.state_dict()) == has_teacher
    if output.teacher is not None:
        assert output.teacher.shape == output.student.shape
        assert not torch.equal(output.teacher, output.student)


@pytest.mark.parametrize("relaxation", [name for name in RELAXATIONS if name != "ssr"])
def test_a_rival_is_the_plain_feature_under_its_activation(relaxation: str) -> None:
    x = pictures(2, 96, 16)
    plain, rival = (tiny_network(n_bits=64, relaxation=name) for name in ("none", relaxation))
    torch.testing.assert_close(run(rival, x).student, ACTIVATIONS[relaxation](run(plain, x).student))


def test_what_belongs_to_ssr_changes_no_rival() -> None:
    x = pictures(2, 96, 16)
    plain = tiny_network(n_bits=64, relaxation="tanh")
    other = tiny_network(
        n_bits=64, relaxation="tanh", student_hidden=16, student_activation="tanh", detach_teacher=False
    )
    assert torch.equal(run(plain, x).student, run(other, x).student)


def test_the_students_activation() -> None:
    x = pictures(4, 96, 16)
    plain, squashed = (tiny_network(n_bits=64, student_activation=name) for name in ("none", "tanh"))
    plain, squashed = plain.train()(x), squashed.train()(x)
    assert plain.student.abs().max() > 1
    torch.testing.assert_close(squashed.student, plain.student.tanh())
    torch.testing.assert_close(squashed.teacher, plain.teacher)


def test_a_deployed_network_needs_no_teacher() -> None:
    network, x = tiny_network(n_bits=64), pictures(2, 96, 16)
    whole = run(network, x)
    network.teacher = None
    deployed = run(network, x)
    assert deployed.teacher is None
    assert torch.equal(deployed.student, whole.student)


def ssr_gradients(detach: bool) -> dict[str, bool]:
    """Which of the first layers the student's loss reaches."""
    network = tiny_network(n_bits=64, detach_teacher=detach)
    output = network(pictures(4, 96, 16))
    loss = ssr_loss(output.student, output.teacher, network.settings.detach_teacher)
    names = ("backbone.conv.weight", "student.embeddings.0.0.weight", "teacher.embeddings.0.0.weight")
    slopes = torch.autograd.grad(loss, [network.get_parameter(name) for name in names], allow_unused=True)
    return {
        name.split(".")[0]: slope is not None and bool(slope.any()) for name, slope in zip(names, slopes, strict=True)
    }


def test_ssr_reaches_student_and_backbone_and_the_teacher_if_attached() -> None:
    assert ssr_gradients(detach=True) == {"backbone": True, "student": True, "teacher": False}
    assert ssr_gradients(detach=False) == {"backbone": True, "student": True, "teacher": True}


@pytest.mark.parametrize("attention", [True, False])
def test_identity_reaches_the_bottleneck_only_through_attention(attention: bool) -> None:
    network = tiny_network(n_bits=64, attention=attention)
    loss = network(pictures(4, 96, 16)).student.pow(3).sum()
    weight = network.get_parameter("attribute_block.bottleneck.0.weight")
    (slope,) = torch.autograd.grad(loss, [weight], allow_unused=True)
    assert (slope is not None) == attention
    assert slope is None or bool(slope.any())


@pytest.mark.parametrize("stripe", range(6))
def test_a_stripe_of_the_picture_decides_its_own_bits_and_the_global_ones(stripe: int) -> None:
    network = tiny_network(n_bits=64, attributes=False, attention=False)
    x = pictures(1, 192, 32)
    changed = x.clone()
    changed[:, :, 32 * stripe : 32 * (stripe + 1)] += 1
    before, after = run(network, x), run(network, changed)
    for old, new in ((before.student, after.student), (before.teacher, after.teacher)):
        assert old is not None
        assert new is not None
        moved = {
            part.name
            for part in network.layout
            if not torch.equal(old[:, part.start : part.stop], new[:, part.start : part.stop])
        }
        assert moved == {"global", f"stripe{stripe + 1}"}
    assert before.attribute_logits is None


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunks_through_the_backbone_change_nothing_in_evaluation(chunk: int) -> None:
    network, x = tiny_network(n_bits=64), pictures(7, 96, 16)
    seen = []
    network.backbone.register_forward_pre_hook(lambda module, arguments: seen.append(len(arguments[0])))
    whole = run(network, x)
    network.backbone_batch = chunk
    for found, expected in zip(run(network, x), whole, strict=True):
        torch.testing.assert_close(found, expected)
    assert sum(seen[1:]) == 7
    assert max(seen[1:]) == min(chunk, 7)


@pytest.mark.parametrize("chunk", [0, 2])
def test_no_pictures_give_no_descriptors(chunk: int) -> None:
    network = tiny_network(n_bits=64)
    network.backbone_batch = chunk
    output = run(network, pictures(0, 96, 16))
    assert output.student.shape == (0, 64)
    assert output.attribute_logits is not None
    assert output.attribute_logits.shape == (0, 3)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_runs_in_the_whole_network(name: str) -> None:
    settings = NetworkSettings.model_validate({"backbone": name, "n_bits": 32})
    output = run(build_network(settings, 2), pictures(1, 96, 32))
    assert output.student.shape == (1, 32)


def test_training_and_evaluation_return_the_same_type() -> None:
    network, x = tiny_network(n_bits=32), pictures(2, 96, 16)
    assert isinstance(network.train()(x), ModelOutput)
    assert isinstance(network.eval()(x), ModelOutput)


def linear_and_norm(n_in: int, n_out: int) -> int:
    """Parameters of a linear map without bias and of its batch norm's scales and shifts."""
    return n_in * n_out + 2 * n_out


def attribute_block(n_channels: int, n_attributes: int) -> int:
    """1x1 to 256, 3x3, 1x1 with their norms; heads over six stripes; a channel gate of a sixteenth; a 7x7 gate."""
    bottleneck = linear_and_norm(n_channels, 256) + linear_and_norm(9 * 256, 256) + linear_and_norm(256, n_channels)
    heads = (6 * n_channels + 1) * n_attributes
    hidden = n_channels // 16
    channel = (n_channels + 1) * hidden + (hidden + 1) * n_channels
    return bottleneck + heads + channel + (2 * 7 * 7 + 1)


def test_the_parameters_of_the_default_resnet50() -> None:
    """The paper's network: 2048 bits in seven embeddings of a teacher and as many of a student, 30 attributes."""
    network = build_network(NetworkSettings(), 30)
    descriptor = linear_and_norm(2048, 512) + 6 * linear_and_norm(2048, 256)
    by_hand = {
        "backbone": 23_508_032,
        "attribute_block": attribute_block(2048, 30),
        "teacher": descriptor,
        "student": descriptor,
    }
    assert {name: n_parameters(child) for name, child in network.named_children()} == by_hand
    assert descriptor == 4_198_400
    assert by_hand["attribute_block"] == 2_538_753
    assert n_parameters(network) == 23_508_032 + 2_538_753 + 2 * 4_198_400


def lite0_backbone() -> int:
    """Stem, then per block: 1x1 expansion by 6 (not in the first), depthwise, 1x1 projection, each with its norm."""
    total = linear_and_norm(9 * 3, 32)
    n_in = 32
    stages = ((3, 16, 1), (3, 24, 2), (5, 40, 2), (3, 80, 3), (5, 112, 3), (5, 192, 4), (3, 320, 1))
    for stage, (size, n_out, repeats) in enumerate(stages):
        for _ in range(repeats):
            width = n_in * (1 if stage == 0 else 6)
            expansion = linear_and_norm(n_in, width) if stage else 0
            total += expansion + linear_and_norm(size * size, width) + linear_and_norm(width, n_out)
            n_in = n_out
    return total


def test_the_parameters_of_lite0_with_a_hidden_layer_in_the_student() -> None:
    settings = NetworkSettings(backbone="efficientnet_lite0", student_hidden=512)
    network = build_network(settings, 30)
    by_hand = {
        "backbone": lite0_backbone(),
        "attribute_block": attribute_block(320, 30),
        "teacher": linear_and_norm(320, 512) + 6 * linear_and_norm(320, 256),
        "student": 7 * linear_and_norm(320, 512) + linear_and_norm(512, 512) + 6 * linear_and_norm(512, 256),
    }
    assert {name: n_parameters(child) for name, child in network.named_children()} == by_hand
    published_head = linear_and_norm(320, 1280) + 1281 * 1000
    assert by_hand["backbone"] == 4_652_008 - published_head


@pytest.mark.parametrize(("height", "width"), [(96, 16), (192, 64), (288, 96), (384, 128)])
def test_heights_that_stripes_cut_equally_are_accepted(height: int, width: int) -> None:
    network = tiny_network(n_bits=32)
    network.check_input(height, width)
    assert run(network, pictures(1, height, width)).student.shape == (1, 32)


@pytest.mark.parametrize(("height", "width"), [(256, 128), (100, 32), (95, 32), (96, 20), (0, 16), (96, 0), (-96, 16)])
def test_other_sizes_are_refused(height: int, width: int) -> None:
    with pytest.raises(
        SettingsError, match=rf"multiple of 96 \(6 equal stripes\).*multiple of 16, got {height}x{width}"
    ):
        tiny_network(n_bits=32).check_input(height, width)


@pytest.mark.parametrize(("n_parts", "unit"), [(0, 16), (1, 16), (4, 64), (24, 384)])
def test_the_height_depends_on_the_stripes(n_parts: int, unit: int) -> None:
    network = tiny_network(n_bits=4096, n_parts=n_parts)
    network.check_input(unit, 16)
    with pytest.raises(SettingsError, match=f"multiple of {unit} "):
        network.check_input(unit + 8, 16)


@pytest.mark.parametrize("height", [80, 112, 256])
def test_a_picture_of_another_height_is_refused_and_not_cut_unequally(height: int) -> None:
    with pytest.raises(SettingsError, match=r"multiple of 6 \(equal stripes\)"):
        run(tiny_network(n_bits=32), pictures(1, height, 16))


def test_attention_needs_attributes() -> None:
    with pytest.raises(SettingsError, match="expected `attributes` with `attention`"):
        tiny_network(attributes=False, attention=True)


@pytest.mark.parametrize("attention", [True, False])
def test_attributes_need_labels(attention: bool) -> None:
    with pytest.raises(SettingsError, match="expected attribute labels, got none"):
        tiny_network(0, attention=attention)


def test_without_attributes_labels_are_not_needed() -> None:
    network = tiny_network(0, n_bits=32, attributes=False, attention=False)
    assert run(network, pictures(1, 96, 16)).attribute_logits is None
    assert network.attribute_block is None


def test_a_custom_backbone_is_given_exactly_when_asked_for() -> None:
    with pytest.raises(SettingsError, match="exactly when"):
        build_network(NetworkSettings(backbone="custom"), 3)
    with pytest.raises(SettingsError, match="exactly when"):
        build_network(NetworkSettings(backbone="resnet18"), 3, TinyBackbone())


class Backbone(nn.Conv2d):
    """A convolution says `stride` with a pair."""

    n_channels = 8


def test_a_custom_backbone_says_its_channels_and_stride() -> None:
    settings = NetworkSettings(backbone="custom")
    with pytest.raises(SettingsError, match="positive integer `n_channels`, the channels of its map, got None"):
        build_network(settings, 3, nn.Identity())
    with pytest.raises(SettingsError, match=r"positive integer `stride`, .*got \(16, 16\)"):
        build_network(settings, 3, Backbone(3, 8, 16, stride=16))


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_bits": 16},
        {"n_bits": 40},
        {"n_bits": 8192},
        {"n_parts": -1},
        {"n_parts": 25},
        {"relaxation": "relu"},
        {"backbone": "vgg16"},
        {"student_activation": "sigmoid"},
        {"student_hidden": -1},
        {"bits": 2048},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        NetworkSettings.model_validate(wrong)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        NetworkSettings().__setattr__("n_bits", 64)
