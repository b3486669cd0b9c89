"""The contract of a gallery: the model that its codes come from, their length, parts, attributes and calibration."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from bitreid.arrays import Bools
from bitreid.artifact import Card, fingerprint
from bitreid.coarse import CoarseCode
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
    coarse            which bits of both codes make the coarse code, or None: the attribute code is the short one
    """

    n_bits: int
    model: str = ""
    name: str = ""
    parts: tuple[Part, ...] = ()
    attributes: tuple[str, ...] = ()
    open_set: OpenSet | None = None
    coarse: CoarseCode | None = None

    def __post_init__(self) -> None:
        if self.n_bits <= 0 or self.n_bits % 8:
            raise BadRequest(f"expected codes of a positive multiple of 8 bits, got {self.n_bits}")
        if "" in self.attributes or len(set(self.attributes)) < len(self.attributes):
            raise BadRequest(f"expected attributes of different names, got {', '.join(self.attributes)!r}")
        if self.coarse is not None and not self.coarse.fits(self.n_bits, len(self.attributes)):
            raise BadRequest("expected a coarse code of bits of the codes, got one with bits beyond them")

    @classmethod
    def of(cls, card: Card, n_bits: int | None = None) -> Self:
        """Return the contract of a saved model, for codes of a length that its card names; None is the whole.

        The model is the same at every length. `SettingsError` for another length.
        """
        schema, n_bits = card.attributes, card.length_for(n_bits)
        names = tuple(name for name, coded in zip(schema.names, schema.in_code, strict=True) if coded) if schema else ()
        parts = prefix_parts(card.parts, n_bits)
        coarse = card.coarse if card.coarse and card.coarse.fits(n_bits, len(names)) else None
        return cls(n_bits, fingerprint(card), card.name, parts, names, card.open_set_of(n_bits), coarse)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the contract from what `to_json` gave; `GalleryDamaged` for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            values["parts"] = tuple(Part(**part) for part in values["parts"])
            values["attributes"] = tuple(values["attributes"])
            if values.get("open_set") is not None:
                values["open_set"] = OpenSet.from_json(values["open_set"])
            if values.get("coarse") is not None:
                values["coarse"] = CoarseCode.from_json(values["coarse"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, OverflowError, ArtifactError) as error:
            raise GalleryDamaged(f"expected the description of a gallery's codes, got {text!r:.80}") from error

    def to_json(self) -> str:
        """Return all of it as text; what older bitreids do not know (`plain`) only where there is some."""
        values = asdict(self)
        if self.coarse is None:
            del values["coarse"]
        if self.open_set is not None:
            values["open_set"] = self.open_set.to_json()
            if self.open_set.search is None:
                del values["open_set"]["search"]
        return json.dumps(values, sort_keys=True)

    def plain(self) -> Self:
        """Return the contract without what older bitreids do not know: coarse codes, search tails, odds of rows."""
        open_set = None if self.open_set is None else replace(self.open_set, search=None, odds=None)
        return replace(self, open_set=open_set, coarse=None)

    @property
    def attribute_bits(self) -> int:
        """Length of the attribute codes, whole bytes; 0 without."""
        return -(-len(self.attributes) // 8) * 8

    @property
    def short_bits(self) -> int:
        """Length of the code that the first stage of a search compares; 0 without."""
        return self.attribute_bits if self.coarse is None else self.coarse.n_bits

    def short_codes(self, codes: Codes, attribute_codes: Codes | None) -> Codes:
        """Return the codes that the first stage compares: coarse codes, or else the attribute codes.

        `BadRequest` where there are none, or attribute codes are missing.
        """
        needed = self.attributes if self.coarse is None else self.coarse.attribute_bits
        if not self.short_bits or (needed and attribute_codes is None):
            raise BadRequest("expected attribute codes for a search in two stages, got none; leave out w and recall")
        if self.coarse is not None:
            return self.coarse.of(codes, attribute_codes)
        assert attribute_codes is not None, "they are needed, and there"
        return attribute_codes

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

    def check_attributes(self, attribute_codes: Codes | None) -> None:
        """Check that there are attribute codes where the gallery has them, and only there; else `WrongModel`."""
        if bool(self.attributes) != (attribute_codes is not None):
            expected, got = ("attribute codes", "none") if self.attributes else ("no attribute codes", "some")
            raise WrongModel(f"expected {expected} in this gallery, got {got}")

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
