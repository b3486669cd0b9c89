"""Encoding pictures: from pixels to codes and attributes."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from bitreid.arrays import AnyArray, Floats32, Ints, Pixels
from bitreid.artifact import Card, fingerprint, load_card, read_engine
from bitreid.artifact.engines import FILES, LIMITS
from bitreid.artifact.shipped import folder_of
from bitreid.codes import Codes, concatenated, pack, pack_bits, prefix_parts
from bitreid.data.ahead import ahead
from bitreid.data.attributes import AttributeSchema
from bitreid.data.decoding import Picture
from bitreid.data.manifest import Manifest
from bitreid.data.pictures import Findings, Progress, read_pictures
from bitreid.encoding.boxes import Detections, EncodedBoxes, boxes_of, check_frame, clipped, cut_out
from bitreid.encoding.engine import Engine, EngineOutput, MirrorAveraged
from bitreid.encoding.paces import Paces
from bitreid.errors import ArtifactError, CodesError, DataError, SettingsError
from bitreid.hamming.threads import default_threads

CHUNK = 64
"""Pictures that are decoded and encoded together; a limit on memory, and a step of progress."""

AHEAD = 2
"""How many chunks are decoded, or wait for that, while another is encoded."""

TORCH = "torch"
"""Name of the engine that runs the weights themselves."""

ENGINES = (*FILES, TORCH)
"""Names of engines, the first choice first."""

LoadTorch = Callable[[Path], Engine]
"""Loads the weights in an artifact's folder with PyTorch; given by whoever may import it."""


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

    def __getitem__(self, rows: slice) -> Self:
        """Return the pictures of these rows."""
        attributes = None if self.attributes is None else self.attributes[rows]
        short = None if self.attribute_codes is None else self.attribute_codes[rows]
        return type(self)(self.features[rows], self.codes[rows], attributes, short)


class Batch(NamedTuple):
    """Pictures that were encoded together: their `rows (n,)` among all that were given, and what they are."""

    rows: Ints
    encoded: Encoded


class Chunk(NamedTuple):
    """Pictures that were encoded together: the `rows (n,)` of those that can be read, what they are, what was found."""

    rows: Ints
    encoded: Encoded
    findings: Findings


class Encoder:
    """Encodes pictures with a model: its card's contract and an engine that runs its weights, of the name `runs`.

    `n_bits` is a length that the card names (`Card.lengths`): codes are the first so many bits. None: the whole.

    With `flip`, or by default where the card says so, the features and attribute logits of a picture are the means over
    it and its mirror image. Codes with and without are of one model, and may be compared.

    `threads` decode files (None: `default_threads`); how many encode is the engine's.
    """

    def __init__(
        self,
        card: Card,
        engine: Engine,
        n_bits: int | None = None,
        flip: bool | None = None,
        runs: str = TORCH,
        threads: int | None = None,
    ) -> None:
        if card.attributes is not None and "attribute_probability" not in card.thresholds:
            raise ArtifactError(
                f"expected the threshold 'attribute_probability' in the card of {card.name}, which has attributes, "
                "got none; save the artifact again"
            )
        self.card = card
        self.engine = engine
        self.runs = runs
        if threads is not None and threads < 1:
            raise SettingsError(f"expected one thread or more, got {threads}")
        self.threads = default_threads() if threads is None else threads
        self.n_bits = card.length_for(n_bits)
        self._parts = prefix_parts(card.parts, self.n_bits)
        self.flip = card.input.flip if flip is None else flip
        self._run: Engine = MirrorAveraged(engine) if self.flip else engine

    @classmethod
    def open(
        cls,
        model: str | Path,
        engine: str | None = None,
        *,
        n_bits: int | None = None,
        flip: bool | None = None,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        load_torch: LoadTorch | None = None,
    ) -> Self:
        """Return the encoder of a model: the folder of an artifact, or the name of a model that comes with bitreid.

        `engine` is one of `ENGINES`; by default `onnx` where the artifact has it, else `torch`, which needs
        `load_torch` (`bitreid.load_encoder` brings its own). `threads` decode files and run onnxruntime, whose
        `providers` are, see `OnnxEngine`; PyTorch has its own.
        """
        folder = folder_of(model)
        card = load_card(folder)
        if card.takes_features:
            raise ArtifactError(
                f"expected a model that encodes pictures in {folder}, got {card.name}, which makes codes of features; "
                "`bitreid import` takes it"
            )
        name = engine or ("onnx" if "onnx" in card.engines else TORCH)
        if name not in ENGINES:
            raise SettingsError(f"expected an engine among {', '.join(ENGINES)}, got {name!r}")
        if name != TORCH:
            from bitreid.encoding.onnx import OnnxEngine

            exported = OnnxEngine(read_engine(folder, card, name), card, threads, providers)
            return cls(card, exported, n_bits, flip, name, threads)
        if load_torch is None:
            raise ArtifactError(
                f"expected an exported model in {folder}, got its weights alone; `bitreid export {folder}` exports it, "
                "and bitreid.load_encoder loads it with PyTorch"
            )
        return cls(card, load_torch(folder), n_bits, flip, TORCH, threads)

    @property
    def model(self) -> str:
        """What the codes are known by: the model's fingerprint.

        Codes of an exported engine past its limits are another model's: its name follows the fingerprint.
        """
        found, file = fingerprint(self.card), self.card.engines.get(self.runs)
        return found if file is None or not LIMITS[self.runs].broken_by(file.proof) else f"{found}+{self.runs}"

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
        findings, batches = Findings(), []
        for done, batch in enumerate(self.encode_batches(paths, findings, refuse=refuse), 1):
            batches.append(batch)
            if progress is not None:
                progress(min(done * CHUNK, len(paths)), len(paths))
        if not batches:
            batches = [Batch(np.empty(0, np.int64), self.encode(np.empty((0, *self._shape()), dtype=np.uint8)))]
        rows = np.concatenate([batch.rows for batch in batches])
        return _together([batch.encoded for batch in batches]), rows, findings

    def encode_batches(
        self,
        pictures: Iterable[Picture | str] | Manifest,
        findings: Findings | None = None,
        *,
        refuse: bool | None = None,
        size: int = CHUNK,
    ) -> Iterator[Batch]:
        """Yield the codes of pictures, `size` at a time; no more than those and the next `AHEAD` are in memory.

        Pictures are files, files' content as bytes, Pillow's images and arrays, each of any size, see `open_picture`;
        or all of a manifest. What cannot be read is left out and told in `findings`, which also count the pictures that
        hardly show a person. With `refuse`, or by default without `findings`, it is a `DataError` that comes before the
        next pictures are encoded.
        """
        if isinstance(pictures, str | bytes | Path) or (isinstance(pictures, np.ndarray) and _is_one(pictures)):
            raise DataError("expected several pictures, got one; put it in a list")
        refuse = findings is None if refuse is None else refuse
        coming = iter(pictures.paths if isinstance(pictures, Manifest) else pictures)
        sizes: deque[int] = deque()

        def chunks() -> Iterator[list[Picture]]:
            while chunk := [Path(each) if isinstance(each, str) else each for each in islice(coming, size)]:
                sizes.append(len(chunk))
                yield chunk

        start = 0
        for rows, encoded, found in self.encode_chunks(chunks(), refuse=refuse):
            if findings is not None:
                findings.extend(found)
            yield Batch(start + rows, encoded)
            start += sizes.popleft()

    def encode_chunks(
        self, chunks: Iterable[Sequence[Picture]], paces: Paces | None = None, *, refuse: bool = False
    ) -> Generator[Chunk]:
        """Yield the codes of pictures chunk by chunk, in order; the next `AHEAD` are decoded while one is encoded.

        What cannot be read is left out; with `refuse` it is a `DataError` before its chunk is encoded.
        """
        paces = Paces() if paces is None else paces
        first = 0

        def read(chunk: Sequence[Picture]) -> tuple[Pixels, Ints, Findings]:
            nonlocal first
            with paces.reading.timed(len(chunk)):
                size = self.card.input.height, self.card.input.width
                found = read_pictures(chunk, *size, first=first, n_threads=self.threads)
            first += len(chunk)
            if refuse:
                found[2].refuse_bad(len(chunk))
            return found

        with closing(ahead(chunks, read, AHEAD)) as coming:
            for decoded, rows, findings in coming:
                with paces.encoding.timed(len(rows)):
                    encoded = self.encode(decoded)
                del decoded  # else it would be in memory while the next one is fetched
                yield Chunk(rows, encoded, findings)

    def encode(self, pictures: npt.NDArray[np.uint8]) -> Encoded:
        """The codes of pictures `(n, H, W, 3) uint8`, red green blue, of the card's size."""
        shape: tuple[int, ...] = getattr(pictures, "shape", ())
        if shape[1:] != self._shape() or pictures.dtype != np.uint8:
            raise CodesError(
                f"expected pictures of shape (n, {self.card.input.height}, {self.card.input.width}, 3) uint8, got "
                f"{shape} {getattr(pictures, 'dtype', type(pictures).__name__)}; encode_batches takes files and "
                "pictures of any size"
            )
        return self._encoded(self._run(np.ascontiguousarray(pictures)))

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
        encoded = _together([self.encode(cut_out(frame, inside[some], *size)) for some in chunks])
        return EncodedBoxes(encoded, rows, None if tracklets is None else tracklets[rows], np.flatnonzero(~good))

    def merge(self, encoded: Encoded) -> Encoded:
        """One item for several pictures of one person: codes are made from their mean features and probabilities."""
        if not len(encoded):
            raise CodesError("expected at least one picture of a person, got none")
        attributes = None if encoded.attributes is None else encoded.attributes.mean(axis=0, keepdims=True)
        return self.quantised(encoded.features.mean(axis=0, keepdims=True), attributes)

    def _shape(self) -> tuple[int, int, int]:
        return self.card.input.height, self.card.input.width, 3

    def _encoded(self, output: EngineOutput) -> Encoded:
        logits = output.attribute_logits
        attributes = None if logits is None else 1 / (1 + np.exp(-logits.clip(-50, 50)))
        return self.quantised(np.ascontiguousarray(output.features[:, : self.n_bits]), attributes)

    def quantised(self, features: Floats32, attributes: Floats32 | None) -> Encoded:
        """Return the codes of features `(n, n_bits)` and of probabilities of attributes `(n, A)`, if there are any."""
        schema = self.card.attributes
        attribute_codes = None
        if attributes is not None and schema is not None and schema.n_code_bits:
            attribute_codes = attribute_code(attributes, schema, self.card.thresholds["attribute_probability"])
        return Encoded(features, pack(features, self._parts), attributes, attribute_codes)


def _is_one(pictures: AnyArray) -> bool:
    """Whether an array is one picture, grey, RGB or RGBA, and not several."""
    return pictures.ndim == 2 or (pictures.ndim == 3 and pictures.shape[2] in (3, 4))


def _together(batches: Sequence[Encoded]) -> Encoded:
    """Return encoded pictures of one encoder, one after the other."""
    attributes = [each.attributes for each in batches if each.attributes is not None]
    short = [each.attribute_codes for each in batches if each.attribute_codes is not None]
    return Encoded(
        np.concatenate([each.features for each in batches]),
        concatenated([each.codes for each in batches]),
        np.concatenate(attributes) if attributes else None,
        concatenated(short) if short else None,
    )


def attribute_code(probabilities: Floats32, schema: AttributeSchema, threshold: float) -> Codes:
    """The attribute codes of probabilities `(n, A)`: a bit is 1 above the threshold; only `in_code` bits count."""
    return pack_bits(probabilities[:, np.array(schema.in_code, dtype=np.bool_)] > threshold)
