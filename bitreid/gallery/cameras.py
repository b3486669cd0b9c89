"""Numbers of cameras: a gallery keeps those, and what people call them."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from bitreid.data.manifest import Manifest
from bitreid.gallery.about import with_names
from bitreid.gallery.base import Gallery


def with_cameras_of(gallery: Gallery, manifest: Manifest) -> Manifest:
    """Return the manifest with the numbers that the gallery has for its names of cameras.

    A name that the gallery does not have gets the next number above all that the gallery and the manifest have.
    """
    if not manifest.camera_names:
        return manifest
    names = [name for _, name in sorted(manifest.camera_names.items())]
    unnamed = set(manifest.camids.tolist()) - manifest.camera_names.keys()
    numbers = _numbers(gallery, gallery.camera_names, names, unnamed)
    number_of = {number: numbers[name] for number, name in manifest.camera_names.items()}
    camids = np.array([number_of.get(number, number) for number in manifest.camids.tolist()], np.int64)
    return replace(
        manifest, camids=camids, camera_names={number_of[n]: name for n, name in sorted(manifest.camera_names.items())}
    )


def numbered(gallery: Gallery, cameras: Sequence[tuple[int | None, str | None]]) -> list[int | None]:
    """Return the number of each camera, of which the number, the name, both or neither are told; name them there.

    A name alone is that of the gallery's camera, or else gets the next number. `BadRequest` as from `with_names`. One
    thread at a time.
    """
    told: dict[int, str] = {}
    for number, name in cameras:
        if number is not None and name is not None:
            told = with_names(told, {number: name})
    known = with_names(gallery.camera_names, told)
    names = dict.fromkeys(name for number, name in cameras if number is None and name is not None)
    numbers = _numbers(gallery, known, list(names), {number for number, _ in cameras if number is not None})
    gallery.name_cameras(told | {numbers[name]: name for name in names})
    return [numbers[name] if number is None and name is not None else number for number, name in cameras]


def _numbers(gallery: Gallery, known: Mapping[int, str], names: Sequence[str], others: Set[int]) -> dict[str, int]:
    """Return the numbers of cameras by name: those `known`, and for new `names` those above all that the gallery has.

    `others` are numbers that other cameras have elsewhere.
    """
    numbers = {name: number for number, name in known.items()}
    new = [name for name in names if name not in numbers]
    if new:
        first = max([0, *known, *others, *_largest(gallery)]) + 1
        numbers |= {name: number for number, name in enumerate(new, start=first)}
    return numbers


def _largest(gallery: Gallery) -> Iterator[int]:
    """Yield numbers of cameras that the gallery's items have, the largest among them."""
    return (int(batch.cameras.max()) for batch in gallery.scan())
