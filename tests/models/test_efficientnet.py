"""EfficientNet-Lite: every published tensor in its place, and every map against a slow twin in numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bitreid.models.efficientnet import (
    LITE_NAMES,
    EfficientNetLite,
    InvertedBottleneck,
    efficientnet_lite,
    from_published,
    lite_stages,
    published_file,
    published_names,
)
from bitreid.models.weights import load_backbone_weights
from tests.models.cases import arrays, n_parameters, pictures
from tests.reference import networks as reference

HEAD = ("_conv_head.", "_bn1.", "_fc.")


@pytest.fixture(scope="module", params=LITE_NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def published(name: str) -> dict[str, Tensor]:
    state = torch.load(published_file(name), map_location="cpu", weights_only=True)
    return dict(state)


@pytest.fixture(scope="module")
def loaded(name: str) -> EfficientNetLite:
    """The network with the published weights, in double precision."""
    network = efficientnet_lite(name)
    load_backbone_weights(network, name, "imagenet")
    return network.double().eval()


def test_each_published_tensor_but_the_heads_is_mapped_once(name: str, published: dict[str, Tensor]) -> None:
    body = {name: value for name, value in published.items() if not name.startswith(HEAD)}
    assert len(published) - len(body) == 8  # a convolution, a batch norm's five, a classifier's two
    state = from_published(name, published)
    ours = efficientnet_lite(name).state_dict()
    assert len(state) == len(body) == len(ours)
    assert state.keys() == ours.keys()
    assert {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in ours.items()}
    assert {id(value) for value in state.values()} == {id(value) for value in body.values()}


def test_the_mapping_keeps_the_published_order(name: str, published: dict[str, Tensor]) -> None:
    """Both networks list their tensors as pictures pass them, so that layers of one shape cannot change places."""
    assert list(from_published(name, published)) == list(efficientnet_lite(name).state_dict())


def test_each_layer_has_one_name() -> None:
    names = published_names("efficientnet_lite0")
    assert len(set(names.values())) == len(names) == 2 + 4 + 15 * 6
    assert names["_conv_stem"] == "stem.0"
    assert names["_blocks.0._bn1"] == "blocks.0.depthwise.1"
    assert names["_blocks.15._expand_conv"] == "blocks.15.expand.0"
    assert "_blocks.0._expand_conv" not in names


def test_the_published_weights_arrive(name: str, published: dict[str, Tensor], loaded: EfficientNetLite) -> None:
    state = loaded.state_dict()
    for tensor, value in from_published(name, published).items():
        assert torch.equal(state[tensor], value.to(state[tensor].dtype)), tensor
    assert n_parameters(loaded) == sum(
        math.prod(value.shape)
        for tensor, value in published.items()
        if not tensor.startswith(HEAD) and tensor.endswith(("weight", "bias"))
    )


def test_the_map_is_a_sixteenth_of_the_picture(loaded: EfficientNetLite) -> None:
    with torch.inference_mode():
        assert loaded(pictures(2, 96, 32).double()).shape == (2, loaded.n_channels, 6, 2)
    assert loaded.stride == 16


def test_the_stages_are_the_published_ones() -> None:
    """Channels and repeats of each stage, as the published weights have them."""
    stages = {name: [(stage.n_out, stage.repeats) for stage in lite_stages(name)] for name in LITE_NAMES}
    assert stages == {
        "efficientnet_lite0": [(16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1)],
        "efficientnet_lite1": [(16, 1), (24, 3), (40, 3), (80, 4), (112, 4), (192, 5), (320, 1)],
        "efficientnet_lite2": [(16, 1), (24, 3), (48, 3), (88, 4), (120, 4), (208, 5), (352, 1)],
    }


def test_every_map_equals_its_twin(name: str, published: dict[str, Tensor], loaded: EfficientNetLite) -> None:
    """From the published tensors with explicit TF-SAME padding: the stem, each block, the end."""
    picture = pictures(1, 48, 32).double()
    expected = reference.efficientnet_lite(name, picture[0].numpy(), arrays(published))
    with torch.inference_mode():
        x = loaded.stem(picture)
        np.testing.assert_allclose(x[0].numpy(), expected[0], rtol=1e-9, atol=1e-9)
        for block, wanted in zip(loaded.blocks, expected[1:], strict=True):
            x = block(x)
            np.testing.assert_allclose(x[0].numpy(), wanted, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(loaded(picture)[0].numpy(), expected[-1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [3, 5])
def test_strided_convolutions_pad_more_at_the_end(name: str, loaded: EfficientNetLite, size: int) -> None:
    """The last pixel of an even row is the centre of no 3x3 window, the first pixel's neighbour is."""
    block = 1 if size == 3 else 1 + lite_stages(name)[1].repeats
    convolution = loaded.get_submodule(f"blocks.{block}.depthwise.0")
    n_channels = int(loaded.get_submodule(f"blocks.{block}.depthwise.1").get_parameter("weight").numel())
    with torch.inference_mode():
        reached = []
        for column in range(8):
            picture = torch.zeros(1, n_channels, 8, 8, dtype=torch.float64)
            picture[:, :, :, column] = 1
            reached.append(convolution(picture)[0].abs().sum(dim=(0, 1)).nonzero().flatten().tolist())
    # Window i covers columns 2 i - before .. 2 i - before + size - 1, with before = 0 of 1 and 1 of 3 zeros.
    before = {3: 0, 5: 1}[size]
    windows = [range(2 * i - before, 2 * i - before + size) for i in range(4)]
    assert reached == [[i for i, window in enumerate(windows) if column in window] for column in range(8)]


def test_pictures_skip_blocks_in_training_alone() -> None:
    network = efficientnet_lite("efficientnet_lite0")
    x = torch.randn(4, 3, 32, 32)
    whole = network.eval()(x)
    network.set_drop_path(0.5)
    assert torch.equal(network(x), whole)
    rates = [block.drop_path for block in network.blocks]
    assert rates == pytest.approx([0.5 * (i + 1) / 16 for i in range(16)])


@pytest.mark.parametrize("rate", [0.25, 0.999999])
def test_a_skipped_block_is_its_shortcut_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    block = InvertedBottleneck(8, 8, 3, 1, 6)
    x = torch.randn(400, 8, 4, 4)
    added = block(x) - x  # in training too, with the batch's own norms
    block.drop_path = rate
    found = block(x) - x
    skipped = (found == 0).flatten(1).all(1)
    assert float(skipped.float().mean()) == pytest.approx(rate, abs=0.07)
    assert torch.allclose(found[~skipped], added[~skipped] / (1 - rate), atol=1e-5)
