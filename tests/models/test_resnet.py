"""ResNets: torchvision's names, the stride-1 last stage, and every pixel against a slow twin."""

import copy
import math

import numpy as np
import pytest
import torch

from bitreid.models.resnet import ResNet, from_torchvision, resnet18, resnet50
from tests.models.cases import arrays, n_parameters, pictures, scramble
from tests.reference import networks as reference
from tests.reference.torchvision import Shapes, resnet18_shapes, resnet50_shapes


@pytest.fixture(scope="module")
def small() -> ResNet:
    torch.manual_seed(0)
    return resnet18().eval()


@pytest.fixture(scope="module")
def large() -> ResNet:
    torch.manual_seed(0)
    return resnet50().eval()


def shapes_of(network: ResNet) -> Shapes:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def without_classifier(shapes: Shapes) -> Shapes:
    return {name: shape for name, shape in shapes.items() if not name.startswith("fc.")}


def test_resnet18_has_torchvisions_tensors(small: ResNet) -> None:
    assert shapes_of(small) == without_classifier(resnet18_shapes())
    assert len(small.state_dict()) == 120
    assert n_parameters(small) == 11_176_512
    assert "layer1.0.downsample.0.weight" not in shapes_of(small)
    assert shapes_of(small)["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)


def test_resnet50_has_torchvisions_tensors(large: ResNet) -> None:
    assert shapes_of(large) == without_classifier(resnet50_shapes())
    assert len(large.state_dict()) == 318
    assert n_parameters(large) == 23_508_032
    assert shapes_of(large)["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes_of(large)["layer1.0.downsample.1.running_var"] == (256,)


def test_the_known_tensors_are_as_many_as_published() -> None:
    """The lists that the other tests rest on, against the published counts of parameters."""
    for shapes, published in ((resnet18_shapes(), 11_689_512), (resnet50_shapes(), 25_557_032)):
        kinds = ("weight", "bias")
        assert sum(math.prod(shape) for name, shape in shapes.items() if name.endswith(kinds)) == published


def test_the_map_of_resnet50_at_384x128_is_24x8(large: ResNet) -> None:
    with torch.inference_mode():
        assert large(pictures(1, 384, 128)).shape == (1, 2048, 24, 8)
    assert (large.n_channels, large.stride) == (2048, 16)


def test_the_map_of_resnet18(small: ResNet) -> None:
    with torch.inference_mode():
        assert small(pictures(2, 96, 32)).shape == (2, 512, 6, 2)
    assert (small.n_channels, small.stride) == (512, 16)


def test_from_torchvision_drops_the_classifier_only() -> None:
    published = {name: torch.ones(1, dtype=torch.float16) for name in resnet18_shapes()}
    state = from_torchvision(published)
    assert state.keys() == without_classifier(resnet18_shapes()).keys()
    assert all(value.dtype == torch.float32 for value in state.values())


@pytest.mark.parametrize("name", ["small", "large"])
def test_the_map_equals_its_twin(name: str, request: pytest.FixtureRequest) -> None:
    network: ResNet = copy.deepcopy(request.getfixturevalue(name))
    scramble(network)
    picture = pictures(1, 32, 16).double()
    with torch.inference_mode():
        found = network(picture)[0].numpy()
    expected = reference.resnet(picture[0].numpy(), arrays(network.state_dict()))
    assert found.shape == (network.n_channels, 2, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * float(np.abs(expected).max()))
