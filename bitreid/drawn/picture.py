"""Pictures of drawn people: the place, the person, a passer-by, what stands in the way, and the sensor."""

from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Bools, Floats32, Pixels
from bitreid.drawn.body import Pose
from bitreid.drawn.cameras import Camera, Site
from bitreid.drawn.figure import View, Window, paint, project
from bitreid.drawn.people import Person


@dataclass(frozen=True)
class Framing:
    """How a detector cut the picture out: shifts of the centre and the height, as shares of the person's height."""

    shift_x: float
    shift_y: float
    scale: float


def sloppy_framing(rng: np.random.Generator) -> Framing:
    """Return the crop of an ordinary detection: the whole person, not quite centred."""
    return Framing(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03)), float(rng.uniform(0.94, 1.25)))


def fragment_framing(rng: np.random.Generator) -> Framing:
    """Return the crop of a bad detection: a piece of a person, or little of one at the edge."""
    if rng.random() < 0.5:
        return Framing(float(rng.normal(0, 0.1)), float(rng.choice((-0.3, 0.3))), float(rng.uniform(0.35, 0.55)))
    return Framing(float(rng.choice((-0.3, 0.3))), float(rng.normal(0, 0.2)), float(rng.uniform(0.9, 1.5)))


@dataclass(frozen=True)
class Scene:
    """What a picture shows. Without a `person` the place is empty; a `passer` walks by, partly in view."""

    person: Person | None
    passer: Person | None
    view: View
    framing: Framing


@dataclass(frozen=True)
class _Cutout:
    """A painted person: colours `(height, width, 3)`, valid where `mask` `(height, width)` is true."""

    colours: Floats32
    mask: Bools

    def paste(self, canvas: Floats32) -> None:
        canvas[self.mask] = self.colours[self.mask]


def photograph(site: Site, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Return a picture `(height, width, 3)` RGB of the scene; pose, background, occluder and noise come from `rng`."""
    canvas = _background(site, rng)
    passes_before = rng.random() < 0.4
    passer = None if scene.passer is None else _walking_by(site, scene.passer, passes_before, rng)
    if passer and not passes_before:
        passer.paste(canvas)
    if scene.person is not None:
        seen = project(scene.person, random_pose(scene.person, rng), scene.view)
        left, bottom, right, top = seen.box()
        tall, framing = top - bottom, scene.framing
        x, y = (left + right) / 2 + framing.shift_x * tall, (bottom + top) / 2 + framing.shift_y * tall
        window = Window(x, y, tall * framing.scale)
        _shadow(canvas, window, bottom, scene.view.elevation)
        _Cutout(*paint(seen, window, site.canvas, np.array(site.camera.light))).paste(canvas)
    if passer and passes_before:
        passer.paste(canvas)
    if rng.random() < site.camera.occluded:
        _occlude(canvas, site.camera, rng)
    return _develop(canvas, site, rng)


def random_pose(person: Person, rng: np.random.Generator) -> Pose:
    """Return a random moment of this person's walk; one in five stands still."""
    stride = 0.06 if rng.random() < 0.2 else 0.42 * person.body.stride
    return Pose(float(rng.uniform(0, 2 * np.pi)), stride, bool(rng.random() < 0.15))


def _walking_by(site: Site, person: Person, before: bool, rng: np.random.Generator) -> _Cutout:
    """Return a passer-by at the side of the picture: near and cut off if `before` the person, else farther away."""
    seen = project(person, random_pose(person, rng), site.look(rng))
    left, bottom, right, top = seen.box()
    height = (top - bottom) * rng.uniform(0.9, 1.1) if before else (top - bottom) * rng.uniform(1.2, 1.7)
    aside = rng.uniform(0.26, 0.34) if before else rng.uniform(0.12, 0.3)
    x = (left + right) / 2 + rng.choice((-1, 1)) * aside * height
    window = Window(float(x), (bottom + top) / 2, float(height))
    return _Cutout(*paint(seen, window, site.canvas, np.array(site.camera.light)))


def _background(site: Site, rng: np.random.Generator) -> Floats32:
    """Return a part of the place, as large as the canvas."""
    height, width = site.canvas
    top = int(rng.integers(0, site.scene.shape[0] - height + 1))
    left = int(rng.integers(0, site.scene.shape[1] - width + 1))
    return site.scene[top : top + height, left : left + width].copy()


def _shadow(canvas: Floats32, window: Window, ground: float, elevation: float) -> None:
    """Darken the floor around the feet."""
    height, width = canvas.shape[:2]
    scale = height / window.height
    centre_x, centre_y = width / 2 - window.x * scale, height / 2 + (window.y - ground - 0.03) * scale
    reach_x, reach_y = 0.2 * scale, (0.05 + 0.15 * np.sin(elevation)) * scale
    x = ((np.arange(width) - centre_x) / reach_x).astype(np.float32)[None, :]
    y = ((np.arange(height) - centre_y) / reach_y).astype(np.float32)[:, None]
    canvas *= 1 - np.float32(0.5) * np.exp(-(x * x) - y * y)[:, :, None]


def _occlude(canvas: Floats32, camera: Camera, rng: np.random.Generator) -> None:
    """Draw what stands in this camera's way in front of the person."""
    import cv2

    height, width = canvas.shape[:2]
    tone = float(rng.uniform(0.6, 1.1))
    if camera.occluder == "pole":
        wide = int(width * rng.uniform(0.12, 0.24))
        left = int(rng.integers(-wide // 2, width - wide // 2))
        canvas[:, max(left, 0) : max(left + wide, 0)] = np.array((0.42, 0.40, 0.38), np.float32) * tone
        canvas[:, max(left, 0) : max(left + wide // 4, 0)] *= 0.7
    elif camera.occluder == "bench":
        top = int(height * rng.uniform(0.62, 0.85))
        canvas[top:] = np.array((0.36, 0.27, 0.20), np.float32) * tone
        canvas[top :: max(height // 16, 2)] *= 0.6
    else:
        side = int(rng.integers(2)) * width
        for _ in range(18):
            spot = (int(side + rng.normal(0, 0.16) * width), int(height * rng.uniform(0.45, 1.0)))
            green = float(rng.uniform(0.2, 0.45)) * tone
            cv2.circle(canvas, spot, int(height * rng.uniform(0.02, 0.07)), (green * 0.55, green, green * 0.4), -1)


def _develop(canvas: Floats32, site: Site, rng: np.random.Generator) -> Pixels:
    """Turn the light on the canvas into the camera's picture: sharpness, colours, noise, 8 bits."""
    import cv2

    camera, (height, width) = site.camera, site.size
    lines = max(min(camera.lines, 128) * height // 128, 2)
    sensor = (max(width * lines // height, 2), lines)
    picture = cv2.resize(canvas, sensor, interpolation=cv2.INTER_AREA)
    if lines < height:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    picture = cv2.GaussianBlur(picture, (0, 0), camera.blur * height / 128 * rng.uniform(0.5, 1.4))
    light = np.asarray(picture, np.float32)
    grey = light.mean(axis=2, keepdims=True)
    gain = camera.gain * rng.uniform(0.88, 1.12) * np.array(camera.cast) * rng.uniform(0.95, 1.05, 3)
    light = (grey + (light - grey) * np.float32(camera.saturation)) * gain.astype(np.float32)
    light = np.clip(light, 0, 1) ** np.float32(camera.gamma)
    light += rng.standard_normal(light.shape, dtype=np.float32) * np.float32(camera.noise)
    return np.asarray(np.rint(np.clip(light, 0, 1) * 255), np.uint8)
