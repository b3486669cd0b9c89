"""Names of cameras: a gallery keeps numbers, and what people call them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.errors import BadRequest
from bitreid.gallery.base import Gallery
from bitreid.gallery.fields import check_text, is_whole_number


def with_names(known: Mapping[int, str], new: Mapping[int, str]) -> dict[int, str]:
    """Return names of cameras by number, those that are known and new ones.

    `BadRequest` for a number that has another name, a name that has another number, and what is neither.
    """
    names, numbers = dict(known), {name: number for number, name in known.items()}
    for number, name in new.items():
        check_text("names of cameras", name)
        if not is_whole_number(number) or number <= UNKNOWN:
            raise BadRequest(f"expected numbers of cameras from {UNKNOWN + 1} on, got {number!r}")
        there = names.setdefault(number, name), numbers.setdefault(name, number)
        if there != (name, number):
            raise BadRequest(
                f"expected one name for each camera, got {name!r} for camera {number}, where camera {there[1]} has "
                f"that name and camera {number} is {there[0]!r}; repeat the command, or use a gallery of its own"
            )
    return names


def with_cameras_of(gallery: Gallery, manifest: Manifest) -> Manifest:
    """Return the manifest with the numbers that the gallery has for its names of cameras.

    A name that the gallery does not have gets the next number above all that the gallery and the manifest have.
    """
    if not manifest.camera_names:
        return manifest
    numbers = {name: number for number, name in gallery.camera_names.items()}
    new = [name for _, name in sorted(manifest.camera_names.items()) if name not in numbers]
    if new:
        unnamed = [number for number in set(manifest.camids.tolist()) if number not in manifest.camera_names]
        first = max([0, *gallery.camera_names, *unnamed, *_largest(gallery)]) + 1
        numbers |= {name: number for number, name in enumerate(new, start=first)}
    number_of = {number: numbers[name] for number, name in manifest.camera_names.items()}
    camids = np.array([number_of.get(number, number) for number in manifest.camids.tolist()], np.int64)
    return replace(
        manifest, camids=camids, camera_names={number_of[n]: name for n, name in sorted(manifest.camera_names.items())}
    )


def _largest(gallery: Gallery) -> Iterator[int]:
    """Yield numbers of cameras that the gallery's items have, the largest among them."""
    return (int(batch.cameras.max()) for batch in gallery.scan())
