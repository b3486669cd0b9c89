"""Files of codes: encoding pictures, folders and tables of pictures, and saving and loading the result."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitreid.arrays import AnyArray, Floats32, Ints
from bitreid.codes import Codes, concatenated
from bitreid.data.arrow import ARRAYS, SUFFIX, load_arrays, save_arrays
from bitreid.data.files import new_file
from bitreid.data.manifest import Manifest
from bitreid.data.npz import trouble_of
from bitreid.data.parsers import parse
from bitreid.data.pictures import Findings, Progress, check_pictures
from bitreid.data.shards import Shards, is_folder_of_shards
from bitreid.data.times import dates_of
from bitreid.encoding.encoder import CHUNK, Encoded, Encoder
from bitreid.encoding.paces import Paces
from bitreid.errors import CodesError, DataError
from bitreid.evaluation.side import Side
from bitreid.evaluation.subjects import Subject
from bitreid.text import printable

FORMAT_VERSION = 2
"""The newest format of a file of codes that this bitreid reads, and the one that it writes."""


@dataclass(frozen=True)
class EncodedSet:
    """Encoded pictures with what is known about them, as `bitreid encode` writes them.

    paths            (n,) picture files
    codes            n identity codes
    attribute_codes  n attribute codes, or None
    features         (n, n_bits) float32, or None when not kept
    pids, camids     (n,) int64, `UNKNOWN` where the identity or camera is not known
    model            what the codes are known by, see `Encoder.model`
    tracklets        (n,) int64, or None
    times            (n,) int64, microseconds from 1970 on in UTC, `NO_TIME` where one is unknown; or None
    engine           name of the engine that made the codes; empty where nobody knows
    """

    paths: tuple[Path, ...]
    codes: Codes
    attribute_codes: Codes | None
    features: Floats32 | None
    pids: Ints
    camids: Ints
    model: str
    tracklets: Ints | None = None
    times: Ints | None = None
    engine: str = ""

    def __post_init__(self) -> None:
        columns = {
            "paths": self.paths,
            "attribute_codes": self.attribute_codes,
            "features": self.features,
            "pids": self.pids,
            "camids": self.camids,
            "tracklets": self.tracklets,
            "times": self.times,
        }
        for name, column in columns.items():
            if column is not None and len(column) != len(self.codes):
                raise CodesError(f"expected {name} for each of {len(self.codes)} codes, got {len(column)}")

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, where: Ints) -> Self:
        """Return the rows of the given numbers, in that order."""

        def of(column: npt.NDArray[Any] | None) -> Any:
            return None if column is None else column[where]

        return replace(
            self,
            paths=tuple(self.paths[i] for i in where),
            codes=self.codes[where],
            attribute_codes=None if self.attribute_codes is None else self.attribute_codes[where],
            **{name: of(getattr(self, name)) for name in ("features", "pids", "camids", "tracklets", "times")},
        )


def encode_manifest(encoder: Encoder, manifest: Manifest, progress: Progress | None = None) -> EncodedSet:
    """Return the pictures of a manifest encoded, in its order; `DataError` names those that cannot be read.

    Times are kept if they are dates (`times.with_dates`).
    """
    encoded, _, findings = encode_readable(encoder, manifest, progress, refuse=True)
    findings.warn_of_odd()
    return encoded


def encode_readable(
    encoder: Encoder,
    manifest: Manifest,
    progress: Progress | None = None,
    refuse: bool = False,
    features: bool = True,
    paces: Paces | None = None,
) -> tuple[EncodedSet, Ints, Findings]:
    """Return the m pictures of a manifest that can be read, encoded, their rows `(m,)` in it, and what was found.

    With `refuse`, the first bad ones stop it, as in `encode_manifest`. Without `features`, which are 32 times as large
    as codes, none are kept.
    """
    findings = Findings()
    parts, kept = [], []
    done = 0
    starts = range(0, len(manifest), CHUNK)
    paths = (manifest.paths[start : start + CHUNK] for start in starts)
    for start, (rows, encoded, found) in zip(starts, encoder.encode_chunks(paths, paces, refuse=refuse), strict=True):
        findings.extend(found)
        kept.append(start + rows)
        parts.append(encoded_rows(encoder, manifest.take(kept[-1]), encoded, features))
        done = min(start + CHUNK, len(manifest))
        if progress is not None:
            progress(done, len(manifest))
    if not parts:
        parts = [encoded_rows(encoder, manifest, encoder.encode_files([]), features)]
        kept = [np.empty(0, np.int64)]
    return joined(parts), np.concatenate(kept), findings


def encoded_rows(encoder: Encoder, manifest: Manifest, encoded: Encoded, features: bool) -> EncodedSet:
    """Return what an encoder made of all pictures of a manifest, with what is known about them."""
    return EncodedSet(
        manifest.paths,
        encoded.codes,
        encoded.attribute_codes,
        encoded.features if features else None,
        manifest.pids,
        manifest.camids,
        encoder.model,
        manifest.tracklets,
        dates_of(manifest),
        encoder.runs,
    )


def joined(parts: Sequence[EncodedSet]) -> EncodedSet:
    """Return the rows of sets of one model, one or more with the same columns, one after the other."""

    def of(column: str) -> Any:
        found = [getattr(each, column) for each in parts]
        return None if found[0] is None else np.concatenate(found)

    short = [each.attribute_codes for each in parts if each.attribute_codes is not None]
    return replace(
        parts[0],
        paths=tuple(path for each in parts for path in each.paths),
        codes=concatenated([each.codes for each in parts]),
        attribute_codes=concatenated(short) if short else None,
        **{name: of(name) for name in ("features", "pids", "camids", "tracklets", "times")},
    )


def save_encoded(path: Path, encoded: EncodedSet, features: bool = False) -> None:
    """Write an `.npz` with arrays `paths`, `codes`, `n_bits`, `attribute_codes` (if any), `pids`, `camids`, `tracklets`
    and `times` (if any), `model`, `engine`, `format_version` and on request `features`; to a temporary name first.

    A `.parquet` has them as columns, see `data.arrow`.
    """
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "paths": np.array([str(each) for each in encoded.paths], dtype=np.str_),
        "codes": encoded.codes.packed,
        "n_bits": np.array(encoded.codes.n_bits),
        "pids": encoded.pids,
        "camids": encoded.camids,
        "model": np.array(encoded.model),
        "engine": np.array(encoded.engine),
        "format_version": np.array(FORMAT_VERSION),
    }
    if encoded.attribute_codes is not None:
        arrays["attribute_codes"] = encoded.attribute_codes.packed
    if encoded.tracklets is not None:
        arrays["tracklets"] = encoded.tracklets
    if encoded.times is not None:
        arrays["times"] = encoded.times
    if features and encoded.features is not None:
        arrays["features"] = encoded.features
    if path.suffix == SUFFIX:
        save_arrays(path, arrays)
    else:
        with new_file(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def load_encoded(path: Path, features: bool = True) -> EncodedSet:
    """Load what `save_encoded` wrote, or all shards of a folder of such files; `DataError` for another or a damaged
    file, for a newer format, and for a folder that is not finished.

    Without `features`, which are 32 times as large as codes, none are read.
    """
    if is_folder_of_shards(path):
        return joined([_load_file(each, features) for each in Shards.open(path).files()])
    return _load_file(path, features)


def _load_file(path: Path, features: bool) -> EncodedSet:
    # numpy's and the archive's readers raise many kinds of errors for files that are damaged or something else.
    try:
        arrays = _arrays(path, features)
        version = int(arrays["format_version"])
        if version > FORMAT_VERSION:
            raise DataError(f"format {version} is newer than {FORMAT_VERSION}, update bitreid")
        attribute_codes = arrays.get("attribute_codes")
        return EncodedSet(
            tuple(Path(each) for each in arrays["paths"].tolist()),
            Codes(arrays["codes"], int(arrays["n_bits"])),
            None if attribute_codes is None else Codes(attribute_codes, attribute_codes.shape[1] * 8),
            arrays.get("features"),
            arrays["pids"],
            arrays["camids"],
            str(arrays["model"]),
            arrays.get("tracklets"),
            arrays.get("times"),
            str(arrays.get("engine", "")),
        )
    except Exception as error:
        raise DataError(
            f"expected a file of codes made by `bitreid encode` at {path}, got: {trouble_of(path, error)}; "
            "encode the pictures again"
        ) from error


def _arrays(path: Path, features: bool) -> dict[str, AnyArray]:
    if path.suffix == SUFFIX:
        return load_arrays(path, ARRAYS if features else ARRAYS - {"features"})
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if features or name != "features"}


def side_of(encoded: EncodedSet) -> Side:
    """The encoded pictures as one side of an evaluation."""
    return Side(
        encoded.codes,
        encoded.features,
        encoded.attribute_codes,
        encoded.pids,
        encoded.camids,
        encoded.tracklets,
        encoded.paths,
    )


def subject_of_model(
    encoder: Encoder,
    data: Path,
    progress: Progress | None = None,
    pattern: str | None = None,
    multi_query: bool = False,
) -> Subject:
    """Return a model's codes of a data set's queries and gallery; bad pictures stop it before any is encoded.

    `pattern` and `multi_query` are those of `parsers.parse`.
    """
    manifest = parse(data, pattern, multi_query=multi_query)
    splits = [manifest.split(split) for split in ("query", "gallery")]
    check_pictures([path for each in splits for path in each.paths])
    query, gallery = (side_of(encode_readable(encoder, each, progress, refuse=True)[0]) for each in splits)
    name = printable(data.resolve().name if data.is_dir() else data.resolve().stem)
    return Subject(encoder.card.name, name, query, gallery, encoder.card, data)
