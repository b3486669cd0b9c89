"""The contract of a gallery: the model that its codes come from, their length, parts, attributes and calibration."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from bitreid.arrays import Bools
from bitreid.artifact import Card, fingerprint
from bitreid.codes import Codes, Part, part_mask, part_sizes, prefix_parts
from bitreid.errors import ArtifactError, BadRequest, GalleryDamaged, WrongModel
from bitreid.open_set import OpenSet


@dataclass(frozen=True)
class Contract:
    """What the codes of a gallery are; taken from a model's card when the gallery is made, and stored with it.

    model             fingerprint of the model; empty for codes that the caller vouches for
    name              what people call the model
    n_bits            length of the identity codes: the model's, or one of its shorter `Card.lengths`
    parts             layout of the identity codes (a part may come several times), or empty
    attributes        names of the bits of the attribute codes, in order; empty without
    open_set          what distances of whole codes mean, or None where they were not calibrated
    """

    n_bits: int
    model: str = ""
    name: str = ""
    parts: tuple[Part, ...] = ()
    attributes: tuple[str, ...] = ()
    open_set: OpenSet | None = None

    def __post_init__(self) -> None:
        if self.n_bits <= 0 or self.n_bits % 8:
            raise BadRequest(f"expected codes of a positive multiple of 8 bits, got {self.n_bits}")
        if "" in self.attributes or len(set(self.attributes)) < len(self.attributes):
            raise BadRequest(f"expected attributes of different names, got {', '.join(self.attributes)!r}")

    @classmethod
    def of(cls, card: Card, bits: int | None = None) -> Self:
        """Return the contract of a saved model, for codes of a length that its card names; None is the whole.

        The model is the same at every length. `SettingsError` for another length.
        """
        schema, n_bits = card.attributes, card.length_for(bits)
        names = tuple(name for name, coded in zip(schema.names, schema.in_code, strict=True) if coded) if schema else ()
        parts = prefix_parts(card.parts, n_bits)
        return cls(n_bits, fingerprint(card), card.name, parts, names, card.open_set_of(n_bits))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the contract from what `to_json` gave; `GalleryDamaged` for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            values["parts"] = tuple(Part(**part) for part in values["parts"])
            values["attributes"] = tuple(values["attributes"])
            if values.get("open_set") is not None:
                values["open_set"] = OpenSet.from_json(values["open_set"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, ArtifactError) as error:
            raise GalleryDamaged(f"expected the description of a gallery's codes, got {text!r:.80}") from error

    def to_json(self) -> str:
        """Return all of it as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def attribute_bits(self) -> int:
        """Length of the attribute codes, whole bytes; 0 without."""
        return -(-len(self.attributes) // 8) * 8

    def cut(self, codes: Codes, model: str) -> Codes:
        """Return codes of the gallery's own model that are longer than its codes, cut; any other codes as they are."""
        longer = codes.n_bits > self.n_bits and model == self.model != ""
        return codes.prefix(self.n_bits) if longer else codes

    def check(self, codes: Codes, attribute_codes: Codes | None, model: str = "") -> None:
        """Check that codes made by `model` (empty: the caller vouches for them) belong here; else `WrongModel`."""
        self.check_model(model)
        if codes.n_bits != self.n_bits:
            raise WrongModel(
                f"expected codes of {self.n_bits} bits, got {codes.n_bits}; encode them anew with the gallery's model"
            )
        found = 0 if attribute_codes is None else attribute_codes.n_bits
        if attribute_codes is not None and found != self.attribute_bits:
            wanted = f"attribute codes of {self.attribute_bits} bits" if self.attributes else "no attribute codes here"
            raise WrongModel(f"expected {wanted}, got some of {found} bits")

    def check_model(self, model: str) -> None:
        """Check that codes made by `model` (empty: the caller vouches for them) belong here; else `WrongModel`."""
        if model and self.model and model != self.model:
            raise WrongModel(
                f"expected codes of the model {self.name} ({self.model}), got codes of {model}; encode them again"
            )

    def mask_of(self, parts: Sequence[str]) -> Bools | None:
        """Return which bits count, `(n_bits,) bool`, in a search by these parts; None for all of them."""
        if not parts:
            return None
        known = part_sizes(self.parts)
        missing = [name for name in parts if name not in known]
        if missing:
            raise BadRequest(f"expected parts among {', '.join(known) or 'none at all'}, got {', '.join(missing)}")
        return part_mask(self.parts, parts)
