"""Engines beside a model's weights: exported files, and the proof that each gives the codes of the weights."""

from dataclasses import dataclass, field

from bitreid.errors import ArtifactError

FILES = {"onnx": "model.onnx", "onnx-int8": "model-int8.onnx"}
"""The file in an artifact's folder of each engine that it may hold, by the engine's name."""

MOST_BYTES = 2**30
"""Size of the largest file of an engine."""


@dataclass(frozen=True)
class Proof:
    """How far an engine is from the model's weights in full precision, on pictures that both encoded.

    `before`, `after` and `mixed` are rank1 and mAP of searches for the people in those pictures, by code: with the
    weights; with the engine; and with the engine's queries in a gallery of the weights. They are empty where it is not
    known whom the pictures show.
    """

    pictures: int
    """Pictures that were encoded."""
    people: int
    """The people in them, whom the model was not trained on; 0 where it is not known whom they show."""
    source: str
    """What the pictures are."""
    difference: float
    """Largest difference of a float feature."""
    flipped: float
    """Share of the bits that differ."""
    before: dict[str, float] = field(default_factory=dict)
    """Scores of the weights."""
    after: dict[str, float] = field(default_factory=dict)
    """Scores of the engine."""
    mixed: dict[str, float] = field(default_factory=dict)
    """Scores of the engine's queries in a gallery of the weights."""

    def __post_init__(self) -> None:
        if self.pictures < 1 or self.people < 0 or self.difference < 0 or not 0 <= self.flipped <= 1:
            raise ArtifactError(
                "expected a proof on one picture or more with a share of flipped bits, got "
                f"{self.pictures} pictures and {self.flipped}"
            )
        names = [{"mAP", "rank1"} if self.people else set()] * 3
        if [set(scores) for scores in (self.before, self.after, self.mixed)] != names:
            raise ArtifactError(f"expected rank1 and mAP of searches for {self.people} people in a proof, got others")

    @property
    def lost(self) -> float | None:
        """The mAP that the engine loses, 0 to 1, the larger of `after` and `mixed`; None where it is not known."""
        return self.before["mAP"] - min(self.after["mAP"], self.mixed["mAP"]) if self.people else None


@dataclass(frozen=True)
class Limits:
    """How far an engine may be from the weights, so that its codes may stand beside theirs."""

    flipped: float
    """Largest share of bits that differ."""
    lost: float
    """Largest loss of mAP, 0 to 1."""

    def broken_by(self, proof: Proof) -> str | None:
        """Return in words which limit a proof is past; None where it is within all."""
        if proof.flipped > self.flipped:
            return f"{100 * proof.flipped:.2f} % of bits flipped, of {100 * self.flipped:g} % at most"
        if proof.lost is not None and proof.lost > self.lost:
            return f"{100 * proof.lost:.2f} points of mAP lost, of {100 * self.lost:g} at most"
        return None


LIMITS = {"onnx": Limits(0.001, 0.001), "onnx-int8": Limits(0.05, 0.005)}
"""The limits of each engine, by its name."""


@dataclass(frozen=True)
class EngineFile:
    """An exported engine of a model, in the model's folder under the name that `FILES` has for it."""

    sha256: str
    """Checksum of the file, in hex."""
    size: int
    """Its bytes."""
    model: str
    """Fingerprint of the model that it was exported from."""
    proof: Proof
    """What was measured."""

    def __post_init__(self) -> None:
        if not 0 < self.size <= MOST_BYTES:
            raise ArtifactError(f"expected an engine of at most {MOST_BYTES} bytes, got one of {self.size}")


def check_engines(engines: dict[str, EngineFile]) -> None:
    """Check that engines have names that are known; else raise `ArtifactError`."""
    unknown = [name for name in engines if name not in FILES]
    if unknown:
        raise ArtifactError(f"expected engines among {', '.join(FILES)}, got {unknown[0]!r}")
