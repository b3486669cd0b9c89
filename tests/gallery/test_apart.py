"""New items whose people or tracklets a gallery has from elsewhere are noticed before they are added."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError
from bitreid.gallery import Contract, Gallery, Items, create_gallery
from bitreid.gallery.apart import Known, Tracklet, check_apart
from bitreid.gallery.items import Id
from tests.gallery.cases import codes


@pytest.fixture(params=["memory:", "apart.gallery"])
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gallery]:
    """Items 1 to 4 of Ada, Bo and two whom nobody knows, in tracklets 7 of two cameras, of none and of an unknown."""
    place = str(request.param)
    items = Items.of(
        [1, 2, 3, 4],
        codes(4),
        cameras=[1, 2, 1, None],
        tracklets=["7", "7", None, "7"],
        persons=["Ada", "Bo", None, None],
    )
    with create_gallery(place if place == "memory:" else str(tmp_path / place), Contract(64)) as made:
        made.add(items)
        yield made


@pytest.mark.parametrize(
    ("ids", "persons", "tracklets"),
    [
        ([], [], []),
        ([5, 6], [None, None], [None, None]),
        ([5, 6], ["Cy", "ada"], [(3, "7"), (1, "8")]),
        ([1, 2], ["Ada", "Bo"], [(1, "7"), (2, "7")]),  # all are there
        ([1, 5], ["Ada", "Ada"], [(1, "7"), (1, "7")]),  # a call that was stopped goes on
        ([1, 2], ["Bo", "Ada"], [(2, "7"), (1, "7")]),
    ],
)
def test_others_and_those_that_are_there_already_are_fine(
    ids: Sequence[Id], persons: Sequence[str | None], tracklets: Sequence[Tracklet | None], gallery: Gallery
) -> None:
    check_apart(gallery, list(map(Known, ids, persons, tracklets)))


@pytest.mark.parametrize(
    ("ids", "persons", "tracklets", "message"),
    [
        (["1"], ["Ada"], [None], r"person Ada, which it has from elsewhere \(1 persons in all\)"),
        ([5, 6, 7], ["Cy", "Bo", "Ada"], [None, None, (1, "7")], r"person Ada, .* \(2 persons in all\)"),
        ([2, 5], ["Bo", "Ada"], [None, None], r"person Ada, .* \(1 persons in all\)"),
        ([5], ["Cy"], [(2, "7")], r"tracklet 7 of camera 2, which it has from elsewhere \(1 tracklets in all\)"),
        ([5, 6], [None, None], [(UNKNOWN, "7"), (1, "7")], r"tracklet 7 of an unknown camera, .* \(2 tracklets"),
    ],
)
def test_people_and_tracklets_from_elsewhere_are_refused(
    ids: Sequence[Id],
    persons: Sequence[str | None],
    tracklets: Sequence[Tracklet | None],
    message: str,
    gallery: Gallery,
) -> None:
    with pytest.raises(DataError, match=message + ".*; say --same-people .*, or --source NAME"):
        check_apart(gallery, list(map(Known, ids, persons, tracklets)))
