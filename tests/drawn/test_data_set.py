"""Drawn people: the same every time, truthful about what they wear, complete or not there."""

import colorsys
import csv
import hashlib
import re
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bitreid.arrays import Floats32
from bitreid.data.attributes import UNKNOWN_LABEL
from bitreid.data.labels import read_attributes
from bitreid.data.parsers import parse
from bitreid.drawn.body import Pose, Surface
from bitreid.drawn.cameras import CAMERAS, make_site
from bitreid.drawn.data_set import DRAWING_VERSION, DrawnSettings, draw_cast, draw_people
from bitreid.drawn.figure import Projection, View, Window, paint, project
from bitreid.drawn.people import (
    ATTRIBUTES,
    LOWER_COLOURS,
    PATTERNS,
    UPPER_COLOURS,
    Body,
    Person,
    named_colour,
    near_copy,
    random_cast,
    random_person,
)
from bitreid.drawn.picture import Framing, Scene, photograph
from bitreid.errors import DataError, SettingsError
from tests.reference.spheres import nearest_rod

SMALL = DrawnSettings(n_train=4, n_test=3, n_cameras=3, n_distractors=5, n_junk=4, height=64, width=32)
NAME = re.compile(r"(-1|\d{4})_c([1-6])s1_\d{6}_00\.jpg")
YAWS = (0.0, np.pi / 2, np.pi, 3 * np.pi / 2)
PEOPLE = random_cast([11], 6, lookalikes=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, drawn once."""
    out = tmp_path_factory.mktemp("drawn") / "small"
    draw_people(out, SMALL)
    return out


def names(folder: Path) -> list[tuple[int, int]]:
    """Identity and camera of each picture in a folder."""
    found = []
    for path in sorted(folder.iterdir()):
        match = NAME.fullmatch(path.name)
        assert match, path
        found.append((int(match[1]), int(match[2])))
    return found


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def seen_from(person: Person, yaw: float, elevation: float = 0.15) -> Floats32:
    """The person on a grey ground, in the middle of a step, 128 x 64."""
    seen = project(person, Pose(phase=1.0, stride=0.4, phone=False), View(yaw, elevation, distance=6))
    picture, where = paint(seen, Window(0, 0, 1.2), (128, 64), np.array([0.3, 0.8, 0.6]))
    picture[~where] = 0.7
    return picture


def n_changed(one: Person, other: Person, yaw: float) -> int:
    """Pixels that clearly differ between two people."""
    return int((np.abs(seen_from(one, yaw) - seen_from(other, yaw)).max(axis=2) > 0.15).sum())


def toggled(person: Person, attribute: str) -> Person:
    """The person with one attribute changed and nothing else."""
    value = getattr(person.clothes, attribute)
    other: Any = not value
    if attribute.endswith("_colour"):
        other = "red" if value != "red" else "blue"
    elif attribute == "pattern":
        other = "graphic" if value == "plain" else "plain"
    return replace(person, clothes=replace(person.clothes, **{attribute: other}))


def test_same_settings_same_bytes_and_another_seed_other_pictures(small: Path, tmp_path: Path) -> None:
    draw_people(tmp_path / "again", SMALL)
    assert digests(tmp_path / "again") == digests(small)
    draw_people(tmp_path / "other", replace(SMALL, seed=1))
    pictures = {digest for path, digest in digests(small).items() if path.endswith(".jpg")}
    assert not pictures & set(digests(tmp_path / "other").values())
    assert len(pictures) == len(list(small.rglob("*.jpg")))


def test_layout_and_counts(small: Path) -> None:
    files = {path.name for path in small.iterdir()}
    folders = {"bounding_box_train", "bounding_box_test", "query"}
    assert files == folders | {"about.json", "attributes_train.csv", "attributes_test.csv", "README.md"}
    cameras = (1, 2, 3)
    train, query, gallery = (names(small / folder) for folder in ("bounding_box_train", "query", "bounding_box_test"))
    assert sorted(train) == sorted((pid, c) for pid in (1, 2, 3, 4) for c in cameras for _ in range(2))
    assert sorted(query) == sorted((pid, c) for pid in (5, 6, 7) for c in cameras)
    assert sorted(pair for pair in gallery if pair[0] > 0) == sorted(query)
    assert [pid for pid, _ in gallery].count(0) == 5
    assert [pid for pid, _ in gallery].count(-1) == 4
    with Image.open(next((small / "query").iterdir())) as picture:
        assert (picture.size, picture.mode, picture.format) == ((32, 64), "RGB", "JPEG")


def test_our_own_parsers_read_it(small: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manifest = parse(small)
        table = read_attributes(small / "attributes_train.csv", known=np.arange(1, 5), min_positives=0)
    assert {split: manifest.splits.count(split) for split in ("train", "query", "gallery")} == {
        "train": 24,
        "query": 9,
        "gallery": 18,
    }
    assert list(table.pids) == [1, 2, 3, 4]
    assert UNKNOWN_LABEL not in table.labels
    assert set(table.schema.groups) <= set(ATTRIBUTES)


def test_readme_says_that_they_are_drawn_and_how(small: Path) -> None:
    text = (small / "README.md").read_text(encoding="utf-8")
    assert "do not exist" in text
    assert f"drawing version {DRAWING_VERSION}" in text
    for field in fields(SMALL):
        assert f"- {field.name}: {getattr(SMALL, field.name)}\n" in text


def test_the_attribute_files_tell_the_truth(small: Path) -> None:
    cast = draw_cast(SMALL)
    for split, people, first in (("train", cast.train, 1), ("test", cast.test, 5)):
        with (small / f"attributes_{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row.pop("pid") for row in rows] == [f"{pid:04d}" for pid in range(first, first + len(people))]
        for row, person in zip(rows, people, strict=True):
            assert list(row) == [field.name for field in fields(person.clothes)]
            for name, value in row.items():
                truth = getattr(person.clothes, name)
                assert value == (truth if isinstance(truth, str) else {True: "1", False: "0"}[truth])
            assert row["upper_colour"] in UPPER_COLOURS
            assert row["lower_colour"] in LOWER_COLOURS
            assert row["pattern"] in PATTERNS


def test_every_query_has_a_match_in_another_camera(tmp_path: Path) -> None:
    settings = replace(SMALL, n_test=12, absent=0.75, n_train=1)
    draw_people(tmp_path / "out", settings)
    query, gallery = names(tmp_path / "out" / "query"), names(tmp_path / "out" / "bounding_box_test")
    assert all(any(pid == other and camera != where for other, where in gallery) for pid, camera in query)
    assert {pid for pid, _ in gallery} >= set(range(2, 14))
    seen_once = {pid for pid in range(2, 14) if len({c for other, c in query + gallery if other == pid}) == 1}
    assert seen_once
    assert not seen_once & {pid for pid, _ in query}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_each_attribute_alone_shows(attribute: str) -> None:
    """Seen from four sides, a change of one attribute moves many pixels on two sides at least, for each person."""
    for person in PEOPLE:
        other = toggled(person, attribute)
        assert replace(other, clothes=person.clothes) == person
        changed = sorted(n_changed(person, other, yaw) for yaw in YAWS)
        # A front print may be hidden from behind by hair and a backpack, and from the side by an arm.
        assert changed[-1] >= 40, (attribute, changed)
        assert attribute == "pattern" or changed[-2] >= 40, (attribute, changed)


@pytest.mark.parametrize("camera", range(len(CAMERAS)))
def test_attributes_show_in_every_camera(camera: int) -> None:
    """With the same random numbers, only the attribute can change the picture."""
    site = make_site(CAMERAS[camera], (128, 64), np.random.default_rng(camera))
    person = PEOPLE[0]

    def picture(who: Person, yaw: float) -> np.ndarray[Any, Any]:
        view = View(yaw, np.deg2rad(CAMERAS[camera].elevation), CAMERAS[camera].distance)
        scene = Scene(who, None, view, Framing(0, 0, 1.1))
        return photograph(site, scene, np.random.default_rng(5)).astype(np.int64)

    for attribute in ATTRIBUTES:
        differences = [np.abs(picture(person, y) - picture(toggled(person, attribute), y)).max() for y in YAWS[:3]]
        assert max(differences) >= 12, attribute


def test_near_copies_differ_in_small_things() -> None:
    rng = np.random.default_rng(0)
    for person in PEOPLE:
        for _ in range(4):
            copy = near_copy(person, rng)
            assert max(n_changed(person, copy, yaw) for yaw in YAWS) >= 25
            differing = [name for name in ATTRIBUTES if getattr(person.clothes, name) != getattr(copy.clothes, name)]
            assert len(differing) <= 2
            assert not {"upper_colour", "lower_colour", "sleeve_long", "jacket", "skirt"} & set(differing)
            assert max(abs(getattr(person.body, f.name) - getattr(copy.body, f.name)) for f in fields(Body)) < 0.3


def test_the_share_of_lookalikes_is_what_was_asked() -> None:
    def most_alike(share: float) -> float:
        """The share of people whose upper and lower colour and whose clothes' cut somebody before has too."""
        kept = ("upper_colour", "lower_colour", "sleeve_long", "jacket", "lower_short", "skirt")
        seen: set[tuple[Any, ...]] = set()
        again = 0
        for person in random_cast([3], 150, share):
            outfit = tuple(getattr(person.clothes, name) for name in kept)
            again += outfit in seen
            seen.add(outfit)
        return again / 150

    assert most_alike(0.0) < 0.25
    assert 0.45 < most_alike(0.5) < 0.75
    assert most_alike(1.0) == 149 / 150


def test_a_larger_cast_begins_with_the_smaller_one() -> None:
    assert random_cast([1, 2], 9, 0.5)[:4] == random_cast([1, 2], 4, 0.5)


def name_by_eye(colour: tuple[float, float, float]) -> str:
    """The name that a rule of thumb gives to a colour."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    if value < 0.2:
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.75 else "gray"
    degrees = (hue * 360 + 15) % 360 - 15
    if degrees > 315:
        return "pink"
    if degrees < 10:
        return "red"
    if degrees < 40:
        return "orange" if value > 0.65 else "brown"
    return next(name for name, end in (("yellow", 80), ("green", 170), ("blue", 245), ("purple", 315)) if degrees < end)


@given(st.sampled_from(UPPER_COLOURS), st.tuples(*[st.floats(-1, 1)] * 3))
def test_tints_keep_a_colour_within_its_name(name: str, tint: tuple[float, float, float]) -> None:
    assert name_by_eye(named_colour(name, tint)) == name


class InterruptedOn:
    """A progress function that raises at the n-th picture and keeps what it was told."""

    def __init__(self, n: int, error: BaseException) -> None:
        self.n, self.error = n, error
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        if done == self.n:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk full")])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    progress = InterruptedOn(7, error)
    with pytest.raises(type(error)):
        draw_people(tmp_path / "out", SMALL, progress)
    assert len(progress.calls) == 7
    assert list(tmp_path.iterdir()) == []
    draw_people(tmp_path / "out", replace(SMALL, n_train=1))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    progress = InterruptedOn(-1, OSError())
    draw_people(tmp_path / "deep" / "out", SMALL, progress)
    total = len(list((tmp_path / "deep" / "out").rglob("*.jpg")))
    assert progress.calls == [(done, total) for done in range(1, total + 1)]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="new or empty folder"):
        draw_people(tmp_path, SMALL)
    with pytest.raises(DataError, match="new or empty folder"):
        draw_people(tmp_path / "mine.txt", SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    draw_people(Path("empty"), replace(SMALL, n_train=1, n_test=1, n_distractors=0, n_junk=0))
    assert len(list((tmp_path / "empty").rglob("*.jpg"))) == 12


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitreid.drawn.data_set.find_spec", lambda name: None if name == "cv2" else object())
    with pytest.raises(DataError, match=r"no cv2; pip install 'bitreid\[drawn\]'"):
        draw_people(tmp_path / "out", SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_train": 0}, r"training identities \(n_train\) to be at least 1, got 0"),
        ({"n_cameras": 1}, "n_cameras to be at least 2"),
        ({"n_cameras": 7}, "n_cameras to be at most 6"),
        ({"n_pictures": 1}, r"\(n_pictures\) to be at least 2"),
        ({"n_junk": -1}, "n_junk to be at least 0"),
        ({"height": 8}, "height to be at least 32"),
        ({"seed": -1}, "seed to be at least 0"),
        ({"n_train": 9000, "n_test": 1000}, "at most 9999 identities"),
        ({"lookalikes": 1.5}, "lookalikes to be a share"),
        ({"lookalikes": float("nan")}, "lookalikes to be a share"),
        ({"absent": 1.0}, "absent to be a share"),
        ({"n_pictures": 600}, "lower n_pictures"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DrawnSettings(**wrong)


@pytest.mark.parametrize(("height", "width"), [(32, 16), (96, 64), (192, 64)])
def test_pictures_of_other_sizes(height: int, width: int) -> None:
    person = PEOPLE[1]
    for i, camera in enumerate(CAMERAS):
        site = make_site(camera, (height, width), np.random.default_rng(i))
        rng = np.random.default_rng(0)
        picture = photograph(site, Scene(person, PEOPLE[2], site.look(rng), Framing(0, 0, 1)), rng)
        assert picture.shape == (height, width, 3)
        assert picture.std() > 5


@settings(max_examples=5)
@given(st.integers(0, 10_000))
def test_the_nearest_surface_is_the_one_that_spheres_show(seed: int) -> None:
    """Rods in planes of equal depth, where the projection has an exact answer, against many small spheres."""
    rng = np.random.default_rng(seed)
    shape = (24, 16)
    starts, ends = rng.uniform(0, (16, 24), (4, 2)), rng.uniform(0, (16, 24), (4, 2))
    depths, radii = rng.permutation(4) * 1.7, rng.uniform(1.5, 4, 4)
    in_plane = np.stack([starts, ends], axis=1)
    # One unit is one pixel, and the window's middle is the picture's middle.
    camera = np.concatenate([in_plane * (1, -1) + (-8, 12), np.repeat(depths, 2).reshape(4, 2, 1)], axis=2)
    colours = ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.8, 0.8, 0.1))
    details = replace(PEOPLE[0].details, hair=colours[0], hat=colours[1], backpack=colours[2], bag=colours[3])
    surfaces = (Surface.HAIR, Surface.HAT, Surface.BACKPACK, Surface.BAG)
    person, radius = replace(PEOPLE[0], details=details), np.repeat(radii, 2).reshape(4, 2)
    seen = Projection(person, View(0, 0, 1e9), surfaces, (False,) * 4, camera, radius)
    picture, where = paint(seen, Window(0, 0, 24), shape, np.array([0.0, 0.0, 1.0]))
    rods = [(*s, d, r, *(e - s)) for s, e, d, r in zip(starts, ends, depths, radii, strict=True)]
    expected = nearest_rod(rods, shape)
    # Shading changes how bright a colour is, not which of the four it is most like.
    painted = np.where(where, (picture @ np.transpose(colours) / np.linalg.norm(colours, axis=1)).argmax(axis=2), -1)
    assert (painted != expected).mean() < 0.03


def test_random_people_wear_every_value() -> None:
    people = [random_person(np.random.default_rng(i)) for i in range(300)]
    for attribute in ATTRIBUTES:
        values = {getattr(person.clothes, attribute) for person in people}
        domain = {"upper_colour": UPPER_COLOURS, "lower_colour": LOWER_COLOURS, "pattern": PATTERNS}
        assert values == set(domain.get(attribute, (False, True)))
