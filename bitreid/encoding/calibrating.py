"""Calibrating a model on encoded pictures of people whom it was not trained on."""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from bitreid.arrays import Ints
from bitreid.artifact import Card
from bitreid.data.manifest import DISTRACTOR, Manifest
from bitreid.encoding.encoder import Encoded
from bitreid.errors import DataError
from bitreid.evaluation.calibration.coarse import FIRST_BITS, fit_coarse
from bitreid.evaluation.calibration.fit import calibrate
from bitreid.evaluation.side import Side

MOST_OTHERS = 10_000
"""Pictures of training identities that a calibration searches, at most."""


def spaced(n: int, most: int) -> Ints:
    """Return at most `most` of the rows 0 to n - 1, evenly spaced."""
    return np.arange(n) if n <= most else np.arange(most) * n // most


def calibrated_on(card: Card, encoded: Encoded, people: Manifest, others: Encoded | None = None) -> Card:
    """Return the card with a calibration and a coarse code, from encoded pictures of people whom the model was not
    trained on.

    `others` are pictures of people who are none of them, perhaps those of training. Each of the card's lengths gets its
    own calibration; one whose codes are too short to tell how rare look-alikes are gets none. `DataError` for too few
    people or pictures.
    """
    other_codes = None if others is None else others.codes
    calibration = calibrate(encoded.codes, people.pids, people.camids, other_codes)
    lengths = {}
    for n_bits in card.code_lengths[:-1]:
        with suppress(DataError):
            shorter = None if other_codes is None else other_codes.prefix(n_bits)
            found = calibrate(encoded.codes.prefix(n_bits), people.pids, people.camids, shorter)
            lengths[str(n_bits)] = found.open_set
    n_attribute_bits = card.attributes.n_code_bits if card.attributes else 0
    side = Side(encoded.codes, None, encoded.attribute_codes, people.pids, people.camids)
    strangers = None
    if others is not None:
        nobody = np.full(len(others), DISTRACTOR)
        strangers = Side(others.codes, None, others.attribute_codes, nobody, nobody)
    coarse = fit_coarse(side, strangers, n_attribute_bits, card.prefix_order[:FIRST_BITS])
    return replace(card, calibration=replace(calibration, lengths=lengths), coarse=coarse)
