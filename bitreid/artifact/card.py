"""The card: all that the user of a model has to know."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bitreid.artifact.engines import EngineFile, check_engines
from bitreid.coarse import CoarseCode
from bitreid.codes import Part, check_layout, spread
from bitreid.data.attributes import AttributeSchema
from bitreid.errors import ArtifactError, SettingsError
from bitreid.open_set import OpenSet

FORMAT_VERSION = 3
"""The newest card format that this bitreid reads, and the one that it writes. Format 1 had no calibration, format 2 no
lengths, no coarse code, no thresholds of attributes, no tail of searches, no `input.flip` and no engines."""


@dataclass(frozen=True)
class InputSpec:
    """How to prepare a picture for the network: in a recipe, and then in the card."""

    height: int = 384
    """Rows of pixels; a multiple of 16 times the network's number of stripes."""
    width: int = 128
    """Columns of pixels; a multiple of 16."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from each colour of pixels scaled to 0..1, in `colour_order`."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What each colour is then divided by; above 0."""
    colour_order: str = "RGB"
    """Order of the three colour planes; always RGB."""
    resize: str = "bilinear"
    """Filter that resizes a picture to `height` x `width`; always bilinear (Pillow's)."""
    flip: bool = False
    """Whether features and attribute logits are means over a picture and its mirror image, in twice the time."""

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise ArtifactError(f"expected an input of positive size, got {self.height}x{self.width}")
        if min(self.std) <= 0:
            raise ArtifactError(f"expected input.std above 0, got {self.std}")
        if self.colour_order != "RGB" or self.resize != "bilinear":
            raise ArtifactError(
                f"expected colour_order 'RGB' and resize 'bilinear', got {self.colour_order!r} and {self.resize!r}"
            )


@dataclass(frozen=True)
class Calibration:
    """What the distances of a model mean, fitted on people whom it was not trained on. It decides no bit."""

    open_set: OpenSet
    """The threshold for a gallery of any size, and probabilities that two pictures show one person."""
    identities: int
    """The people that it was fitted on."""
    pictures: int
    """Their pictures."""
    lengths: dict[str, OpenSet] = field(default_factory=dict)
    """The same as `open_set` for the prefixes that the card's `lengths` name, as far as it was fitted."""
    others: int = 0
    """Pictures of other people that were searched for them; 0 where they were searched for among each other."""

    def __post_init__(self) -> None:
        if min(self.identities, self.pictures) < 1 or self.others < 0:
            raise ArtifactError(
                "expected a calibration on pictures of one person or more, got "
                f"{self.pictures} of {self.identities} people and {self.others} of others"
            )


@dataclass(frozen=True)
class Card:
    """The contract of a model: all that its user has to know, and nothing guessed from a file name."""

    name: str
    """What people call the model."""
    model: dict[str, Any]
    """Settings that rebuild the network, as JSON values; only the models room reads them. Of a map of features
    (`takes_features`), what made these."""
    input: InputSpec
    """How to prepare a picture; says nothing for a map of features."""
    n_bits: int
    """Length of an identity code; a positive multiple of 8."""
    parts: tuple[Part, ...]
    """Layout of the identity code, in order: a part may lie in several runs. Empty when it is unknown."""
    n_features: int
    """Float features before the sign."""
    attributes: AttributeSchema | None
    """What the attribute bits mean; None for a model without attributes."""
    thresholds: dict[str, float]
    """Values that decide a bit (at what probability an attribute bit is 1); part of the fingerprint."""
    training: dict[str, Any]
    """Where the weights come from, as JSON values: data, recipe, commit, versions, identities, pictures, seed."""
    licence: str
    """Who may use the weights for what: an SPDX name or one sentence."""
    metrics: dict[str, float]
    """Measured figures, by name."""
    notes: str = ""
    """Anything else that a user should know."""
    attribute_thresholds: tuple[float, ...] = ()
    """The probability above which a person is said to have each attribute of the schema, fitted for balanced accuracy;
    empty: the one of `thresholds` for all. It decides no bit: for that, rare attributes are told too often.
    """
    calibration: Calibration | None = None
    """What distances mean; None where it was not fitted."""
    lengths: dict[str, dict[str, float]] = field(default_factory=dict)
    """The prefixes of the identity code that are codes in their own right, by their numbers of bits ("512"), each with
    its scores on held-out people ("mAP", "rank1"); empty where only the whole is. They decide no bit."""
    coarse: CoarseCode | None = None
    """The short code of the first stage of a search, made of bits of the two codes; None where it was not fitted."""
    engines: dict[str, EngineFile] = field(default_factory=dict)
    """Exported engines beside the weights, by name ("onnx"), each with its proof; `add_engine` fills it in."""
    weights_sha256: str = ""
    """Checksum of the weights' file, in hex; `save_artifact` fills it in."""
    weights_bytes: int = 0
    """Size of the weights' file; `save_artifact` fills it in."""
    format_version: int = FORMAT_VERSION
    """Format of the card."""

    def __post_init__(self) -> None:
        if self.n_bits <= 0 or self.n_bits % 8:
            raise ArtifactError(f"expected n_bits to be a positive multiple of 8, got {self.n_bits}")
        if self.n_features <= 0:
            raise ArtifactError(f"expected n_features above 0, got {self.n_features}")
        check_engines(self.engines)
        if self.parts:
            check_layout(self.parts, self.n_bits)
        n_attributes = len(self.attributes) if self.attributes else 0
        if len(self.attribute_thresholds) not in (0, n_attributes):
            raise ArtifactError(
                f"expected a threshold for each of {n_attributes} attributes, got {len(self.attribute_thresholds)}"
            )
        if not all(0 < threshold < 1 for threshold in self.attribute_thresholds):
            raise ArtifactError(f"expected thresholds of attributes between 0 and 1, got {self.attribute_thresholds}")
        possible = {str(n_bits) for n_bits in range(8, self.n_bits + 1, 8)}
        wrong = [name for name in self.lengths if name not in possible]
        if wrong:
            raise ArtifactError(f"expected lengths that are multiples of 8 up to {self.n_bits} bits, got {wrong[0]!r}")
        shorter = self.lengths.keys() - {str(self.n_bits)}
        unknown = [name for name in (self.calibration.lengths if self.calibration else {}) if name not in shorter]
        if unknown:
            raise ArtifactError(f"expected calibrations of lengths below the whole, got one of {unknown[0]!r} bits")
        n_attribute_bits = self.attributes.n_code_bits if self.attributes else 0
        if self.coarse is not None and not self.coarse.fits(self.n_bits, n_attribute_bits):
            raise ArtifactError(
                f"expected a coarse code of {n_attribute_bits} attribute bits and {self.n_bits} identity bits, got one "
                "with bits beyond them"
            )

    @property
    def takes_features(self) -> bool:
        """Whether the model makes codes of another network's features, not of pictures (`encoding.imported`)."""
        return self.model.get("takes") == "features"

    @property
    def code_lengths(self) -> tuple[int, ...]:
        """The numbers of bits of codes of this model, ascending: its `lengths` and the whole."""
        return tuple(sorted({*map(int, self.lengths), self.n_bits}))

    @property
    def prefix_order(self) -> Sequence[int]:
        """The bits of the identity code in an order in which the first few tell of the whole picture.

        It is the code's own where the card names lengths; of another code each part has its share (`codes.spread`).
        """
        return range(self.n_bits) if self.lengths or not self.parts else spread(self.parts)

    def length_for(self, n_bits: int | None) -> int:
        """Return the number of bits of a code of this model that is asked for: None is the whole.

        `SettingsError` for a length that the card does not name: the first bits of a model that was not trained for it
        are bits of its first part, about which the card says nothing.
        """
        if n_bits is None:
            return self.n_bits
        if n_bits not in self.code_lengths:
            whole = "" if len(self.code_lengths) > 1 else " alone (the model was not trained to be cut)"
            raise SettingsError(
                f"expected one of the lengths of {self.name}, {', '.join(map(str, self.code_lengths))}{whole}, "
                f"got {n_bits}"
            )
        return n_bits

    def open_set_of(self, n_bits: int) -> OpenSet | None:
        """Return what distances of codes of this length mean; None where it was not fitted."""
        if self.calibration is None:
            return None
        return self.calibration.open_set if n_bits == self.n_bits else self.calibration.lengths.get(str(n_bits))

    @property
    def attribute_limits(self) -> tuple[float, ...]:
        """The probability above which a person is said to have each attribute; empty without attributes."""
        n = len(self.attributes) if self.attributes else 0
        return self.attribute_thresholds or (self.thresholds.get("attribute_probability", 0.5),) * n


def fingerprint(card: Card) -> str:
    """Return 16 hex digits that differ for models whose codes may not be compared.

    They cover the weights and every setting that decides a bit, but not the name, notes, licence, training, metrics,
    calibration, coarse code or engines. ArtifactError for a card that has not been saved.
    """
    if not card.weights_sha256:
        raise ArtifactError("expected the card of a saved model, got one without weights_sha256; save it first")
    decides = ("model", "input", "n_bits", "parts", "n_features", "attributes", "thresholds", "weights_sha256")
    values = asdict(card)
    if not card.input.flip:
        del values["input"]["flip"]  # cards from before there was such a setting keep their fingerprints
    text = json.dumps({name: values[name] for name in decides}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
