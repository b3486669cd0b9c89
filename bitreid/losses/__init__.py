"""Identity, triplet, attribute, SSR and nested losses: a file each."""

from bitreid.losses.attribute import attribute_loss, positive_weights
from bitreid.losses.identity import identity_loss
from bitreid.losses.nested import prefix_identity_loss, similarity_loss
from bitreid.losses.ssr import binary_gap, bit_agreement, ssr_loss
from bitreid.losses.triplet import triplet_loss

__all__ = [
    "attribute_loss",
    "binary_gap",
    "bit_agreement",
    "identity_loss",
    "positive_weights",
    "prefix_identity_loss",
    "similarity_loss",
    "ssr_loss",
    "triplet_loss",
]
