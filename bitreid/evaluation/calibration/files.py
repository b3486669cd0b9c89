"""Calibrations in files of their own: for galleries whose cameras are others than those that a model knows."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bitreid.artifact import Card, fingerprint
from bitreid.data.files import new_file
from bitreid.errors import ArtifactError, DataError
from bitreid.open_set import OpenSet

FORMAT_VERSION = 1


def write_calibration(path: Path, card: Card) -> None:
    """Write the calibration of a saved model's card to a JSON file, for `read_calibration`."""
    assert card.calibration is not None, "the caller calibrated it"
    values = {
        "format_version": FORMAT_VERSION,
        "model": fingerprint(card),
        "name": card.name,
        "calibrated_on": card.training.get("calibrated_on"),
        **asdict(card.calibration),
    }
    with new_file(path) as unfinished:
        unfinished.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_calibration(path: Path) -> tuple[str, OpenSet]:
    """Return the fingerprint of the model that a file of `write_calibration` is about, and what its distances mean.

    `DataError` for another file, or one of a newer format.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, model, open_set = values["format_version"], values["model"], OpenSet.from_json(values["open_set"])
        if not isinstance(model, str) or version != FORMAT_VERSION:
            raise ValueError(f"format {version!r:.20} of a model {model!r:.20}")
    except (ValueError, TypeError, KeyError, RecursionError, ArtifactError) as error:
        raise DataError(
            f"expected a calibration that `bitreid calibrate --out` wrote at {path}, got another file "
            f"({type(error).__name__}); write it again"
        ) from error
    return model, open_set
