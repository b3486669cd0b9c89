"""Models that come with bitreid, by name; a model's folder."""

from pathlib import Path

import bitreid
from bitreid.errors import ArtifactError

SHIPPED = Path(bitreid.__file__).parent / "shipped"
"""The folder of models that come with bitreid: an artifact's folder each, under the model's name."""

_CARD = "card.json"


def shipped_models() -> dict[str, Path]:
    """Return the folders of the models that come with bitreid, by name."""
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob(f"*/{_CARD}"))}


def folder_of(model: str | Path) -> Path:
    """Return the folder of a model: an artifact's, or that of a shipped model of this name.

    A folder that is there and holds a model comes first. `ArtifactError` for a name that is neither.
    """
    folder = Path(model)
    if (folder / _CARD).exists() or len(folder.parts) != 1:
        return folder
    shipped = shipped_models()
    if str(model) in shipped:
        return shipped[str(model)]
    if folder.exists():
        return folder
    raise ArtifactError(
        f"expected a model's folder, or one of the models that come with bitreid ({', '.join(shipped) or 'none'}), "
        f"got {str(model)!r}, which is not there; give the folder that `bitreid train` wrote"
    )


def own_folder_of(model: str | Path) -> Path:
    """Return the folder of a model that may be written into: an artifact's, but none that is named as a shipped model.

    `ArtifactError` for the name of a shipped model, which stays as it came, and the errors of `folder_of`.
    """
    folder = folder_of(model)
    if folder != Path(model):
        raise ArtifactError(
            f"expected a folder of your own to write into, got {str(model)!r}, a model that comes with bitreid and "
            f"stays as it is; copy {folder} and name the copy"
        )
    return folder
