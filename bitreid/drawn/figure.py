"""One person as a picture: the body's capsules seen by a camera, hidden surfaces removed, shaded and painted.

Lengths are in body heights; body axes are those of `body`; camera axes: x right, y up, z towards the camera.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Bools, Floats, Floats32, Ints
from bitreid.drawn.body import Pose, Surface, body_capsules
from bitreid.drawn.people import Person, named_colour

_MIDDLE = np.array([0.0, 0.5, 0.0])


@dataclass(frozen=True)
class View:
    """Where the camera stands: angles in radians (yaw 0 sees the front), distance in body heights."""

    yaw: float
    elevation: float
    distance: float


@dataclass(frozen=True)
class Projection:
    """A person as the camera sees them: ends `(n, 2, 3)` and radii `(n, 2)` of n capsules in camera axes."""

    person: Person
    view: View
    surfaces: tuple[Surface, ...]
    flat: tuple[bool, ...]
    ends: Floats
    radii: Floats

    def box(self) -> tuple[float, float, float, float]:
        """Return left, bottom, right and top of the person in the image plane."""
        low = (self.ends[:, :, :2] - self.radii[:, :, None]).min(axis=(0, 1))
        high = (self.ends[:, :, :2] + self.radii[:, :, None]).max(axis=(0, 1))
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@dataclass(frozen=True)
class Window:
    """The part of the image plane that a picture shows: its centre and its height (the shape tells its width)."""

    x: float
    y: float
    height: float


def project(person: Person, pose: Pose, view: View) -> Projection:
    """Return the person in this pose as seen from this view."""
    capsules = body_capsules(person, pose)
    points = np.array([(capsule.start, capsule.end) for capsule in capsules]) - _MIDDLE
    radii = np.array([(capsule.start_radius, capsule.end_radius) for capsule in capsules])
    points[:, :, 2] += person.body.lean * np.maximum(points[:, :, 1], 0)
    seen = points @ _rotation(view).T
    scale = view.distance / (view.distance - seen[:, :, 2])
    seen[:, :, :2] *= scale[:, :, None]
    surfaces = tuple(capsule.surface for capsule in capsules)
    return Projection(person, view, surfaces, tuple(capsule.flat for capsule in capsules), seen, radii * scale)


def paint(seen: Projection, window: Window, shape: tuple[int, int], light: Floats) -> tuple[Floats32, Bools]:
    """Paint the person: colours `(height, width, 3)` from 0 to 1, and a mask `(height, width)` of the person.

    `light` (3,) points from the person to the light, in camera axes; what faces away from it is darker.
    """
    on_screen = _on_screen(seen, window, shape)
    nearest = _nearest(on_screen, seen.flat, shape)
    rows, columns = np.nonzero(nearest >= 0)
    hit = nearest[rows, columns]
    depth, normal = _surface(on_screen, hit, columns, rows)
    which = np.array(seen.surfaces, np.int8)[hit]
    pixel = np.float32(window.height / shape[0])
    across = (columns.astype(np.float32) + np.float32(0.5 - shape[1] / 2)) * pixel + np.float32(window.x)
    up = np.float32(window.y) - (rows.astype(np.float32) + np.float32(0.5 - shape[0] / 2)) * pixel
    place = _body_points(seen.view, np.stack([across, up, depth * pixel], axis=1), seen.person.body.lean)
    direction = (light / np.linalg.norm(light)).astype(np.float32)
    folds = np.float32(0.05) * np.sin(place[:, 1] * 70 + normal[:, 0] * 6)
    shade = 0.55 + 0.5 * np.maximum(normal @ direction, 0) + np.where(which >= Surface.TORSO, folds, 0)
    picture = np.zeros((*shape, 3), np.float32)
    picture[rows, columns] = np.clip(_colours(seen.person, which, place) * shade[:, None], 0, 1)
    return picture, nearest >= 0


def _rotation(view: View) -> Floats:
    """Return the matrix that turns body axes into camera axes."""
    cy, sy, ce, se = np.cos(view.yaw), np.sin(view.yaw), np.cos(view.elevation), np.sin(view.elevation)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[1, 0, 0], [0, ce, -se], [0, se, ce]])
    return np.asarray(tilt @ turn)


def _body_points(view: View, spot: Floats32, lean: float) -> Floats32:
    """Return the body coordinates (n, 3) of points given by their place on the screen and their camera depth (n, 3)."""
    away = np.float32(1) - spot[:, 2] / np.float32(view.distance)
    seen = spot * np.stack([away, away, np.ones_like(away)], axis=1)
    points = seen @ _rotation(view).astype(np.float32)
    points[:, 2] -= np.float32(lean) * np.maximum(points[:, 1], 0)
    return np.asarray(points + _MIDDLE.astype(np.float32), np.float32)


def _on_screen(seen: Projection, window: Window, shape: tuple[int, int]) -> Floats32:
    """Return the capsules in pixels, (n, 8): start x, y, depth, radius, then the differences from start to end.

    Rows of the picture go down, so y does here; depth still grows towards the camera.
    """
    scale = shape[0] / window.height
    table = np.concatenate([seen.ends, seen.radii[:, :, None]], axis=2) * scale
    table[:, :, 0] += shape[1] / 2 - window.x * scale
    table[:, :, 1] = shape[0] / 2 + window.y * scale - table[:, :, 1]
    return np.concatenate([table[:, 0], table[:, 1] - table[:, 0]], axis=1).astype(np.float32)


def _nearest(on_screen: Floats32, flat: tuple[bool, ...], shape: tuple[int, int]) -> npt.NDArray[np.int8]:
    """Return which capsule each pixel shows (height, width); -1 where there is none."""
    nearest = np.full(shape, -1, np.int8)
    depth = np.full(shape, -np.inf, np.float32)
    columns = np.arange(shape[1], dtype=np.float32)[None, :] + np.float32(0.5)
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.5)
    low, high = _boxes(on_screen, shape)
    for i, (x0, y0, z0, r0, dx, dy, dz, dr) in enumerate(on_screen):
        (left, top), (right, bottom) = low[i], high[i]
        if left >= right or top >= bottom:
            continue
        area = np.s_[top:bottom, left:right]
        x, y = columns[:, left:right] - x0, rows[top:bottom] - y0
        length2 = max(dx * dx + dy * dy, np.float32(1e-3))
        along = x * (dx / length2) + y * (dy / length2)
        t = np.minimum(np.maximum(along, 0), 1)
        rest = (r0 + dr * t) ** 2 - (x - t * dx) ** 2 - (y - t * dy) ** 2
        front = rest > 0
        if flat[i]:
            front &= along == t
        near = z0 + t * dz + np.sqrt(np.maximum(rest, 0))
        front &= near > depth[area]
        np.copyto(depth[area], near, where=front)
        nearest[area][front] = i
    return nearest


def _boxes(on_screen: Floats32, shape: tuple[int, int]) -> tuple[Ints, Ints]:
    """Return the first and the last pixel (n, 2) that each capsule can touch, as x and y."""
    start, radius, end = on_screen[:, :2], on_screen[:, 3:4], on_screen[:, :2] + on_screen[:, 4:6]
    end_radius = radius + on_screen[:, 7:8]
    low = np.floor(np.minimum(start - radius, end - end_radius)).astype(np.int64)
    high = np.ceil(np.maximum(start + radius, end + end_radius)).astype(np.int64)
    return np.maximum(low, 0), np.minimum(high, (shape[1], shape[0]))


def _surface(on_screen: Floats32, hit: npt.NDArray[np.int8], columns: Ints, rows: Ints) -> tuple[Floats32, Floats32]:
    """Return the depth in pixels (n,) and the normal in camera axes (n, 3) of the capsules hit at these pixels."""
    x0, y0, z0, r0, dx, dy, dz, dr = on_screen[hit].T
    x, y = columns.astype(np.float32) + np.float32(0.5) - x0, rows.astype(np.float32) + np.float32(0.5) - y0
    t = np.clip((x * dx + y * dy) / np.maximum(dx * dx + dy * dy, np.float32(1e-3)), 0, 1)
    radius, x, y = r0 + dr * t, x - t * dx, y - t * dy
    towards = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))
    return z0 + t * dz + towards, np.stack([x, -y, towards], axis=1) / radius[:, None]


def _palette(person: Person) -> Floats32:
    """Return the plain colour of each surface, (surfaces, 3)."""
    clothes, details = person.clothes, person.details
    shoes = named_colour("white" if clothes.shoes_light else "black", details.shoe_tint)
    colours = {
        Surface.SKIN: details.skin,
        Surface.HAIR: details.hair,
        Surface.HAT: details.hat,
        Surface.HEAD: details.skin,
        Surface.TORSO: named_colour(clothes.upper_colour, details.upper_tint),
        Surface.SLEEVE: named_colour(clothes.upper_colour, details.upper_tint),
        Surface.LOWER: named_colour(clothes.lower_colour, details.lower_tint),
        Surface.SHOE: shoes,
        Surface.BACKPACK: details.backpack,
        Surface.BAG: details.bag,
        Surface.ITEM: details.item,
    }
    return np.array([colours[surface] for surface in Surface], np.float32)


def _colours(person: Person, which: npt.NDArray[np.int8], place: Floats32) -> Floats32:
    """Return the colours (n, 3) of surface points, with stripes, prints, straps, the open jacket and the eyes."""
    clothes, details = person.clothes, person.details
    x, y, z = place.T
    front = z > 0
    torso = which == Surface.TORSO
    cloth = torso | (which == Surface.SLEEVE)
    colours = _palette(person)[which]
    if clothes.pattern == "striped":
        colours[cloth & _striped(person, x, y)] = details.accent
    if clothes.pattern == "graphic":
        colours[torso & _printed(person, x, y, front)] = details.accent
    if clothes.jacket:
        opening = torso & front & (np.abs(x) < 0.02 + 0.09 * np.maximum(y - 0.6, 0))
        colours[opening] = details.inner
        colours[torso & ~opening & front & (np.abs(x) < 0.032 + 0.09 * np.maximum(y - 0.6, 0))] *= 0.6
        colours[torso & ~front & (np.abs(y - 0.74) < 0.006)] *= 0.6
    if clothes.shoulder_bag:
        colours[torso & (np.abs(x * details.bag_side - (0.79 - y) * 0.42 + 0.06) < 0.013)] = details.bag
    if clothes.backpack:
        colours[torso & front & (np.abs(np.abs(x) - 0.066) < 0.014) & (y > 0.62)] = details.backpack
    colours[(which == Surface.HEAD) & front & (np.abs(np.abs(x) - 0.022) < 0.009) & (np.abs(y - 0.937) < 0.006)] *= 0.3
    return colours


def _striped(person: Person, x: Floats32, y: Floats32) -> Bools:
    """Return where the second colour of a striped garment is."""
    period = person.details.stripe_period
    across, along = y / period % 1 < 0.42, x / period % 1 < 0.42
    if person.details.stripes == "across":
        return across
    return along if person.details.stripes == "along" else across ^ along


def _printed(person: Person, x: Floats32, y: Floats32, front: Bools) -> Bools:
    """Return where a print is: on the chest, and the same in the middle of the back."""
    details = person.details
    u = np.where(front, x - details.print_x, -x) / details.print_size
    v = (y - np.where(front, details.print_y, 0.68)) / details.print_size
    square, far = np.maximum(np.abs(u), np.abs(v)), u * u + v * v
    masks = {
        "box": square < 1,
        "disc": far < 1.2,
        "ring": (far < 1.5) & (far > 0.4),
        "cross": (square < 1.2) & (np.minimum(np.abs(u), np.abs(v)) < 0.38),
        "bars": (square < 1.1) & (v * 1.6 % 1 < 0.55),
        "wedge": (np.abs(v) < 1.1) & (np.abs(u) < (1.1 - v) * 0.6),
    }
    return np.asarray(masks[details.print_kind])
