"""Calibrations in files of their own: for galleries whose cameras are others than those that a model knows."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bitreid.artifact import Card, fingerprint
from bitreid.data.files import new_file
from bitreid.errors import ArtifactError, DataError, WrongModel
from bitreid.open_set import OpenSet

FORMAT_VERSION = 2
"""The newest format of such a file that this bitreid reads, and the one that it writes. Format 1 knew whole codes."""


@dataclass(frozen=True)
class StoredCalibration:
    """What a file of `write_calibration` holds.

    model     fingerprint of the model that it is about
    n_bits    length of the model's whole code; None in a file of format 1
    open_set  what distances of whole codes mean
    lengths   the same of shorter codes, by their numbers of bits
    """

    model: str
    n_bits: int | None
    open_set: OpenSet
    lengths: dict[str, OpenSet]

    def open_set_of(self, n_bits: int) -> OpenSet:
        """Return what distances of codes of this length mean; `WrongModel` where the file does not say."""
        if n_bits == self.n_bits or self.n_bits is None:
            return self.open_set
        if str(n_bits) not in self.lengths:
            known = ", ".join([*self.lengths, str(self.n_bits)])
            raise WrongModel(
                f"expected a calibration of codes of {n_bits} bits, got one of {known} bits; calibrate a model whose "
                "card names that length"
            )
        return self.lengths[str(n_bits)]


def write_calibration(path: Path, card: Card) -> None:
    """Write the calibration of a saved model's card to a JSON file, for `read_calibration`."""
    assert card.calibration is not None, "the caller calibrated it"
    values = {
        "format_version": FORMAT_VERSION,
        "model": fingerprint(card),
        "name": card.name,
        "calibrated_on": card.training.get("calibrated_on"),
        "n_bits": card.n_bits,
        **asdict(card.calibration),
        "open_set": card.calibration.open_set.to_json(),
        "lengths": {n_bits: each.to_json() for n_bits, each in card.calibration.lengths.items()},
    }
    with new_file(path) as unfinished:
        unfinished.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_calibration(path: Path) -> StoredCalibration:
    """Return what a file of `write_calibration` holds; `DataError` for another file, or one of a newer format."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, model, open_set = values["format_version"], values["model"], OpenSet.from_json(values["open_set"])
        if not isinstance(model, str) or version not in (1, FORMAT_VERSION):
            raise ValueError(f"format {version!r:.20} of a model {model!r:.20}")
        lengths = {name: OpenSet.from_json(each) for name, each in values.get("lengths", {}).items()}
        return StoredCalibration(model, int(values["n_bits"]) if version > 1 else None, open_set, lengths)
    except (AttributeError, ValueError, TypeError, KeyError, RecursionError, ArtifactError) as error:
        raise DataError(
            f"expected a calibration that `bitreid calibrate --out` wrote at {path}, got another file "
            f"({type(error).__name__}); write it again"
        ) from error
