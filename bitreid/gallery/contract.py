"""What a gallery knows of the model that its codes come from."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from bitreid.artifact import Card, fingerprint
from bitreid.codes import Codes, Part
from bitreid.errors import CodesError, GalleryError
from bitreid.evaluation.calibration.fit import OpenSet
from bitreid.hamming.inputs import Bools


@dataclass(frozen=True)
class Contract:
    """What the codes of a gallery are; taken from a model's card when the gallery is made, and stored with it.

    model             fingerprint of the model; empty for codes that the caller vouches for
    name              what people call the model
    n_bits            length of the identity codes
    parts             layout of the identity codes, or empty
    attributes        names of the bits of the attribute codes, in order; empty without
    open_set          the numbers of an `OpenSet`, or None where distances were not calibrated
    """

    n_bits: int
    model: str = ""
    name: str = ""
    parts: tuple[Part, ...] = ()
    attributes: tuple[str, ...] = ()
    open_set: dict[str, float] | None = field(default=None)

    def __post_init__(self) -> None:
        if self.n_bits <= 0 or self.n_bits % 8:
            raise GalleryError(f"expected codes of a positive multiple of 8 bits, got {self.n_bits}")
        if "" in self.attributes or len(set(self.attributes)) < len(self.attributes):
            raise GalleryError(f"expected attributes of different names, got {', '.join(self.attributes)!r}")

    @classmethod
    def of(cls, card: Card) -> Self:
        """The contract of a saved model."""
        schema = card.attributes
        names = tuple(name for name, coded in zip(schema.names, schema.in_code, strict=True) if coded) if schema else ()
        open_set = dict(card.calibration.open_set) if card.calibration else None
        return cls(card.n_bits, fingerprint(card), card.name, card.parts, names, open_set)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From what `to_json` gave; `GalleryError` for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            values["parts"] = tuple(Part(**part) for part in values["parts"])
            values["attributes"] = tuple(values["attributes"])
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise GalleryError(f"expected the description of a gallery's codes, got {text!r:.80}") from error

    def to_json(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def attribute_bits(self) -> int:
        """Length of the attribute codes, whole bytes; 0 without."""
        return -(-len(self.attributes) // 8) * 8

    @property
    def calibrated(self) -> OpenSet | None:
        """What distances of whole codes mean."""
        return None if self.open_set is None else OpenSet.from_json(self.open_set)

    def check(self, codes: Codes, attribute_codes: Codes | None, model: str = "") -> None:
        """Nothing, if codes made by `model` (empty: the caller vouches for them) belong here; else `GalleryError`."""
        self.check_model(model)
        if codes.n_bits != self.n_bits:
            raise GalleryError(f"expected codes of {self.n_bits} bits, got {codes.n_bits}; another model made them")
        found = 0 if attribute_codes is None else attribute_codes.n_bits
        if attribute_codes is not None and found != self.attribute_bits:
            wanted = f"attribute codes of {self.attribute_bits} bits" if self.attributes else "no attribute codes here"
            raise GalleryError(f"expected {wanted}, got some of {found} bits")

    def check_model(self, model: str) -> None:
        """Nothing, if codes made by `model` (empty: the caller vouches for them) belong here; else `GalleryError`."""
        if model and self.model and model != self.model:
            raise GalleryError(
                f"expected codes of the model {self.name} ({self.model}), got codes of {model}; encode them again"
            )

    def mask_of(self, parts: Sequence[str]) -> Bools | None:
        """Which bits count, `(n_bits,) bool`, in a search by these parts; None for all of them."""
        if not parts:
            return None
        known = {part.name: part for part in self.parts}
        missing = [name for name in parts if name not in known]
        if missing:
            raise CodesError(f"expected parts among {', '.join(known) or 'none at all'}, got {', '.join(missing)}")
        mask = np.zeros(self.n_bits, np.bool_)
        for name in parts:
            mask[known[name].start : known[name].stop] = True
        return mask
