"""Backbones, parts, attention, descriptors, the whole network."""

from collections.abc import Callable
from functools import partial

from torch import nn

from bitreid.errors import SettingsError
from bitreid.models.efficientnet import LITE_NAMES, efficientnet_lite
from bitreid.models.network import HashingNetwork, ModelOutput, NetworkSettings
from bitreid.models.resnet import resnet18, resnet50
from bitreid.models.weights import load_backbone_weights

BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "resnet50": resnet50,
    "resnet18": resnet18,
    **{name: partial(efficientnet_lite, name) for name in LITE_NAMES},
}

__all__ = ["BACKBONES", "HashingNetwork", "ModelOutput", "NetworkSettings", "build_network", "load_backbone_weights"]


def build_network(settings: NetworkSettings, n_attributes: int, backbone: nn.Module | None = None) -> HashingNetwork:
    """Return a network with random weights; `backbone` is the caller's module when `settings.backbone` is `custom`."""
    if (backbone is not None) != (settings.backbone == "custom"):
        raise SettingsError("expected a backbone module exactly when the setting `backbone` is 'custom'")
    if backbone is None:
        backbone = BACKBONES[settings.backbone]()
    return HashingNetwork(settings, backbone, n_attributes)
