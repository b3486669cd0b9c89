"""Drawn people: a data set in Market-1501's layout, with ground-truth attributes, for tests, demos and comparisons.

Nobody in it exists. Everything follows from the settings: the same settings give the same bytes (with the same versions
of numpy, OpenCV and Pillow).
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bitreid.arrays import Pixels
from bitreid.data.about import Facts, write_about
from bitreid.data.files import new_folder
from bitreid.data.manifest import DISTRACTOR, JUNK
from bitreid.drawn.cameras import CAMERAS, Site, make_site
from bitreid.drawn.people import ATTRIBUTES, Person, attribute_values, near_copy, random_cast, random_person
from bitreid.drawn.picture import Scene, fragment_framing, photograph, sloppy_framing
from bitreid.errors import DataError, SettingsError

DRAWING_VERSION = 1
"""Raised whenever the same settings begin to give other pictures."""

ABOUT = Facts("Apache-2.0", notes="Trained on drawn people, none of whom exists; recognises nobody real.")
"""What a data set of drawn people says about itself."""

_WORDS = {
    "n_train": "training identities (n_train)",
    "n_test": "test identities (n_test)",
    "n_pictures": "pictures of each identity by each camera (n_pictures)",
}
_MAX_PID = 9999
_MAX_FRAME = 999_999
_PASSER_SHARE = 0.12
# First numbers of the random streams, so that none depends on how much another one uses.
_TRAIN, _TEST, _EXTRA, _SITE, _VISIT, _FRAMES = range(6)


@dataclass(frozen=True)
class DrawnSettings:
    """What to draw; the same settings give the same data set."""

    n_train: int = 200
    """Identities to train on."""
    n_test: int = 100
    """Other identities, for query and gallery."""
    n_cameras: int = 6
    """Cameras, 2 to 6."""
    n_pictures: int = 2
    """Pictures of an identity in a camera, at least 2: of a test identity one is a query."""
    n_distractors: int = 300
    """Gallery pictures without a searched person (pid 0): strangers, near copies of test identities, empty places."""
    n_junk: int = 60
    """Gallery pictures of fragments of test identities (pid -1)."""
    height: int = 128
    """Height of a picture, in pixels."""
    width: int = 64
    """Width of a picture, in pixels."""
    seed: int = 0
    """Another seed draws other people in other places."""
    lookalikes: float = 0.4
    """Share of identities that are near copies of another one: other shoes, bag or print, nearly the same build."""
    absent: float = 0.0
    """Share of the cameras that do not see an identity; at least one does."""

    def __post_init__(self) -> None:
        low = {"n_train": 1, "n_test": 1, "n_cameras": 2, "n_pictures": 2, "n_distractors": 0, "n_junk": 0}
        for name, least in (low | {"height": 32, "width": 16, "seed": 0}).items():
            if getattr(self, name) < least:
                raise SettingsError(
                    f"expected {_WORDS.get(name, name)} to be at least {least}, got {getattr(self, name)}"
                )
        if self.n_cameras > len(CAMERAS):
            raise SettingsError(f"expected n_cameras to be at most {len(CAMERAS)}, got {self.n_cameras}")
        if self.n_train + self.n_test > _MAX_PID:
            raise SettingsError(
                f"expected at most {_MAX_PID} identities, which is what four digits can name, "
                f"got n_train + n_test = {self.n_train + self.n_test}"
            )
        if not 0 <= self.lookalikes <= 1:
            raise SettingsError(f"expected lookalikes to be a share from 0 to 1, got {self.lookalikes}")
        if not 0 <= self.absent < 1:
            raise SettingsError(f"expected absent to be a share from 0 to below 1, got {self.absent}")
        most = (self.n_train + self.n_test) * self.n_cameras * self.n_pictures
        if most + (self.n_distractors + self.n_junk) * self.n_pictures > _MAX_FRAME:
            raise SettingsError(
                f"expected fewer than {_MAX_FRAME} frames, which is what six digits can name, "
                "got more; lower n_pictures, n_train, n_test, n_distractors or n_junk"
            )


@dataclass(frozen=True)
class Cast:
    """The identities of a data set: pids 1 to n_train are `train`, the next ones are `test`."""

    train: tuple[Person, ...]
    test: tuple[Person, ...]

    def pids(self, split: str) -> range:
        """Return the identities of the split `train` or `test`."""
        start = 1 if split == "train" else 1 + len(self.train)
        return range(start, start + len(getattr(self, split)))


def draw_cast(settings: DrawnSettings) -> Cast:
    """Return the people in the data set of these settings."""
    train = random_cast([settings.seed, _TRAIN], settings.n_train, settings.lookalikes)
    test = random_cast([settings.seed, _TEST], settings.n_test, settings.lookalikes)
    return Cast(tuple(train), tuple(test))


def draw_people(out: Path, settings: DrawnSettings, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a data set of drawn people to the folder `out`; `progress` gets the pictures done and the pictures in all.

    The folder gets Market-1501's layout (`bounding_box_train`, `bounding_box_test`, `query`), `attributes_train.csv`,
    `attributes_test.csv`, a `README.md` and `about.json`. It appears when it is complete: an interrupted run leaves
    nothing behind.
    Raises `DataError` if `out` exists and is not an empty folder, and if OpenCV or Pillow is not installed.
    """
    _need_libraries()
    with new_folder(out) as unfinished:
        _write_all(unfinished, settings, progress)


@dataclass(frozen=True)
class _Visit:
    """A person (or nobody) passes a camera, in as many frames as there are `folders`."""

    pid: int
    person: Person | None
    camera: int
    folders: tuple[str, ...]
    fragment: bool
    seed: tuple[int, ...]


def _write_all(out: Path, settings: DrawnSettings, progress: Callable[[int, int], None] | None) -> None:
    cast = draw_cast(settings)
    for folder in ("bounding_box_train", "bounding_box_test", "query"):
        (out / folder).mkdir()
    for split in ("train", "test"):
        _write_attributes(out / f"attributes_{split}.csv", cast, split)
    (out / "README.md").write_text(_readme(settings), encoding="utf-8")
    write_about(out, ABOUT)
    visits = _visits(cast, settings)
    total = sum(len(visit.folders) for visit in visits)
    for done, (path, picture) in enumerate(_pictures(visits, cast, settings), start=1):
        _save(picture, out / path)
        if progress is not None:
            progress(done, total)


def _visits(cast: Cast, settings: DrawnSettings) -> list[_Visit]:
    """Return all visits, in an order that is always the same."""
    visits = []
    for split in ("train", "test"):
        for pid, person in zip(cast.pids(split), getattr(cast, split), strict=True):
            cameras = _cameras_passed(pid, settings)
            searched = split == "test" and len(cameras) > 1
            folder = "bounding_box_train" if split == "train" else "bounding_box_test"
            folders = ("query" if searched else folder,) + (folder,) * (settings.n_pictures - 1)
            visits += [_Visit(pid, person, camera, folders, False, (pid, camera)) for camera in cameras]
    for i in range(settings.n_distractors + settings.n_junk):
        visits.append(_extra(i, i >= settings.n_distractors, cast, settings))
    return visits


def _cameras_passed(pid: int, settings: DrawnSettings) -> list[int]:
    rng = np.random.default_rng([settings.seed, _EXTRA, 1, pid])
    passed = rng.random(settings.n_cameras) >= settings.absent
    passed[rng.integers(settings.n_cameras)] = True
    return [int(camera) for camera in np.flatnonzero(passed)]


def _extra(i: int, junk: bool, cast: Cast, settings: DrawnSettings) -> _Visit:
    """Return the i-th visit of no identity: junk, or a distractor (half of them near copies, a tenth empty places)."""
    rng = np.random.default_rng([settings.seed, _EXTRA, 0, i])
    camera = int(rng.integers(settings.n_cameras))
    model = cast.test[rng.integers(len(cast.test))]
    kind = rng.random()
    person: Person | None
    if junk:
        person = model
    elif kind < 0.5:
        person = near_copy(model, rng)
    else:
        person = random_person(rng) if kind < 0.9 else None
    return _Visit(JUNK if junk else DISTRACTOR, person, camera, ("bounding_box_test",), junk, (0, i))


def _pictures(visits: list[_Visit], cast: Cast, settings: DrawnSettings) -> Iterator[tuple[str, Pixels]]:
    """Yield each picture with its path in the data set."""
    size = (settings.height, settings.width)
    seed = settings.seed
    sites = [make_site(c, size, np.random.default_rng([seed, _SITE, i])) for i, c in enumerate(CAMERAS)]
    # Visits happen in a random order, so that the frame number says nothing about the identity.
    times = np.random.default_rng([seed, _FRAMES]).permutation(len(visits)) * settings.n_pictures
    strangers = cast.train + cast.test
    for visit, time in zip(visits, times, strict=True):
        rng = np.random.default_rng([seed, _VISIT, *visit.seed])
        site = sites[visit.camera]
        # A visit is one walk: its frames share the direction, more or less.
        walk = site.look(rng)
        for k, folder in enumerate(visit.folders):
            name = f"{_pid_name(visit.pid)}_c{visit.camera + 1}s1_{time + k:06d}_00.jpg"
            yield f"{folder}/{name}", _picture(site, visit, walk.yaw, strangers, rng)


def _picture(site: Site, visit: _Visit, yaw: float, strangers: tuple[Person, ...], rng: np.random.Generator) -> Pixels:
    passer = strangers[rng.integers(len(strangers))] if rng.random() < _PASSER_SHARE else None
    view = replace(site.look(rng), yaw=yaw + float(rng.normal(0, 0.35)))
    framing = fragment_framing(rng) if visit.fragment else sloppy_framing(rng)
    return photograph(site, Scene(visit.person, passer, view, framing), rng)


def _pid_name(pid: int) -> str:
    return str(pid) if pid < 0 else f"{pid:04d}"


def _save(picture: Pixels, path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture).save(path, quality=90)


def _write_attributes(path: Path, cast: Cast, split: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["pid", *ATTRIBUTES])
        for pid, person in zip(cast.pids(split), getattr(cast, split), strict=True):
            rows.writerow([_pid_name(pid), *attribute_values(person.clothes)])


def _readme(settings: DrawnSettings) -> str:
    lines = "\n".join(f"- {name}: {value}" for name, value in asdict(settings).items())
    return f"""# Drawn people

The people in these pictures do not exist: bitreid drew them (`bitreid draw`, drawing version {DRAWING_VERSION}).
The same settings draw the same pictures:

{lines}

Market-1501's layout: `PPPP_cCsS_KKKKKK_00.jpg` is identity PPPP in camera C, sequence S, frame KKKKKK;
identity 0000 is a distractor, -1 junk. `attributes_train.csv` and `attributes_test.csv` hold the truth about what each
identity wears and carries.
"""


def _need_libraries() -> None:
    missing = [name for name in ("cv2", "PIL") if find_spec(name) is None]
    if missing:
        raise DataError(f"expected OpenCV and Pillow to draw with, found no {missing[0]}; pip install 'bitreid[drawn]'")
