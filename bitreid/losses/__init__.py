"""Identity, triplet, attribute, SSR and distillation losses: a file each."""

from bitreid.losses.attribute import attribute_loss, positive_weights
from bitreid.losses.distillation import distillation_loss
from bitreid.losses.identity import identity_loss
from bitreid.losses.ssr import binary_gap, bit_agreement, ssr_loss
from bitreid.losses.triplet import triplet_loss

__all__ = [
    "attribute_loss",
    "binary_gap",
    "bit_agreement",
    "distillation_loss",
    "identity_loss",
    "positive_weights",
    "ssr_loss",
    "triplet_loss",
]
