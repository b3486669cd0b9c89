"""Encoding pictures: from pixels to codes and attributes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.arrays import AnyArray, Floats32, Ints, Pixels
from bitreid.artifact import Card
from bitreid.codes import Codes, pack, pack_bits, prefix_parts
from bitreid.data.attributes import AttributeSchema
from bitreid.data.pictures import Findings, Progress, read_pictures
from bitreid.encoding.boxes import Detections, EncodedBoxes, boxes_of, check_frame, clipped, cut_out
from bitreid.encoding.engine import Engine, EngineOutput, MirrorAveraged
from bitreid.errors import ArtifactError, CodesError

CHUNK = 256
"""Pictures that are decoded and encoded together; a limit on memory, and a step of progress."""


@dataclass(frozen=True)
class Encoded:
    """What an encoder returns for n pictures.

    features         (n, n_bits) float32, the student's output for these bits, whose signs are the code
    codes            identity codes, n of them
    attributes       (n, A) float32, probabilities in the schema's order; None for a model without attributes
    attribute_codes  the attribute code of each, the schema's `in_code` bits, padded with zeros to whole bytes; None
                     without attributes or without such bits
    """

    features: Floats32
    codes: Codes
    attributes: Floats32 | None
    attribute_codes: Codes | None

    def __len__(self) -> int:
        return len(self.codes)


class Encoder:
    """Encodes pictures with a model: its card's contract and an engine that runs its weights.

    `bits` is a length that the card names (`Card.lengths`): codes are the first so many bits. None: the whole.

    With `flip`, or by default where the card says so, the features and attribute logits of a picture are the means over
    it and its mirror image. Codes with and without are of one model, and may be compared.
    """

    def __init__(self, card: Card, engine: Engine, bits: int | None = None, flip: bool | None = None) -> None:
        if card.attributes is not None and "attribute_probability" not in card.thresholds:
            raise ArtifactError(
                f"expected the threshold 'attribute_probability' in the card of {card.name}, which has attributes, "
                "got none; save the artifact again"
            )
        self.card = card
        self.engine = engine
        self.n_bits = card.length_for(bits)
        self._parts = prefix_parts(card.parts, self.n_bits)
        self._run: Engine = MirrorAveraged(engine) if (card.input.flip if flip is None else flip) else engine

    def encode_files(self, paths: Sequence[Path], progress: Progress | None = None) -> Encoded:
        """Return the codes of picture files, in order; `DataError` names the first files that cannot be read.

        One `DataWarning` counts the pictures that hardly show a person.
        """
        encoded, _, findings = self.encode_readable(paths, progress, refuse=True)
        findings.warn_of_odd()
        return encoded

    def encode_readable(
        self, paths: Sequence[Path], progress: Progress | None = None, refuse: bool = False
    ) -> tuple[Encoded, Ints, Findings]:
        """Return the codes of the m picture files that can be read, their rows `(m,)` in `paths`, and what was found.

        With `refuse`, a file that cannot be read is a `DataError`, which comes before the next pictures are encoded.
        """
        findings, outputs, rows = Findings(), [], []
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            pictures, good, found = read_pictures(chunk, self.card.input.height, self.card.input.width)
            if refuse:
                found.refuse_bad(len(chunk))
            findings.extend(found)
            rows.append(start + good)
            outputs.append(self._run(pictures))
            if progress is not None:
                progress(min(start + CHUNK, len(paths)), len(paths))
        encoded = self._encoded(outputs or [self._run(np.empty((0, *self._shape()), dtype=np.uint8))])
        return encoded, np.concatenate(rows) if rows else np.empty(0, np.int64), findings

    def encode(self, pictures: npt.NDArray[np.uint8]) -> Encoded:
        """The codes of pictures `(n, H, W, 3) uint8`, red green blue, of the card's size."""
        if pictures.shape[1:] != self._shape() or pictures.dtype != np.uint8:
            raise CodesError(
                f"expected pictures of shape (n, {self.card.input.height}, {self.card.input.width}, 3) uint8, "
                f"got {pictures.shape} {pictures.dtype}; data.pictures.load_pictures makes them"
            )
        return self._encoded([self._run(pictures)])

    def encode_boxes(self, frame: Pixels, boxes: AnyArray | Detections) -> EncodedBoxes:
        """Return the codes of the people in the boxes of a frame `(H, W, 3) uint8`, red green blue.

        `boxes` are an array `(n, 4)` of left, top, right and bottom in pixels, or anything with `xyxy` and
        `tracker_id`, such as supervision's `Detections`. They are clipped to the frame; those that enclose no pixel of
        it are left out and named. `TrackletMeans` makes one code of all pictures of a tracklet.

        `DataError` for frames and boxes of other shapes, and for numbers that are not finite.
        """
        check_frame(frame)
        xyxy, tracklets = boxes_of(boxes)
        inside, good = clipped(xyxy, *frame.shape[:2])
        rows, size = np.flatnonzero(good), (self.card.input.height, self.card.input.width)
        chunks = [rows[start : start + CHUNK] for start in range(0, max(len(rows), 1), CHUNK)]
        encoded = self._encoded([self._run(cut_out(frame, inside[some], *size)) for some in chunks])
        return EncodedBoxes(encoded, rows, None if tracklets is None else tracklets[rows], np.flatnonzero(~good))

    def merge(self, encoded: Encoded) -> Encoded:
        """One item for several pictures of one person: codes are made from their mean features and probabilities."""
        if not len(encoded):
            raise CodesError("expected at least one picture of a person, got none")
        attributes = None if encoded.attributes is None else encoded.attributes.mean(axis=0, keepdims=True)
        return self.quantised(encoded.features.mean(axis=0, keepdims=True), attributes)

    def _shape(self) -> tuple[int, int, int]:
        return self.card.input.height, self.card.input.width, 3

    def _encoded(self, outputs: Sequence[EngineOutput]) -> Encoded:
        features = np.concatenate([output.features[:, : self.n_bits] for output in outputs])
        logits = [output.attribute_logits for output in outputs if output.attribute_logits is not None]
        attributes = 1 / (1 + np.exp(-np.concatenate(logits).clip(-50, 50))) if logits else None
        return self.quantised(features, attributes)

    def quantised(self, features: Floats32, attributes: Floats32 | None) -> Encoded:
        """Return the codes of features `(n, n_bits)` and of probabilities of attributes `(n, A)`, if there are any."""
        schema = self.card.attributes
        attribute_codes = None
        if attributes is not None and schema is not None and schema.n_code_bits:
            attribute_codes = attribute_code(attributes, schema, self.card.thresholds["attribute_probability"])
        return Encoded(features, pack(features, self._parts), attributes, attribute_codes)


def attribute_code(probabilities: Floats32, schema: AttributeSchema, threshold: float) -> Codes:
    """The attribute codes of probabilities `(n, A)`: a bit is 1 above the threshold; only `in_code` bits count."""
    return pack_bits(probabilities[:, np.array(schema.in_code, dtype=np.bool_)] > threshold)
