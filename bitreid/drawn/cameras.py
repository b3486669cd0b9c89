"""Six cameras that show the same drawn people differently, and the places behind the people."""

from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Floats32
from bitreid.drawn.figure import View
from bitreid.drawn.people import RGB


@dataclass(frozen=True)
class Camera:
    """Where a camera hangs and what its pictures are like. Angles are in degrees, shares and probabilities 0 to 1."""

    elevation: float
    """How far it looks down."""
    yaw: float
    """The side from which it usually sees people: 0 is the front, 180 the back."""
    yaw_spread: float
    """Standard deviation around `yaw`."""
    distance: float
    """In body heights; a near camera has a strong perspective."""
    light: tuple[float, float, float]
    """Direction of the light, in camera axes."""
    gain: float
    gamma: float
    cast: RGB
    """Factor on red, green and blue."""
    saturation: float
    """1 leaves colours as they are, 0 makes them grey."""
    noise: float
    """Standard deviation of the sensor's noise; 1 is white."""
    blur: float
    """Standard deviation in 128ths of the picture's height."""
    lines: int
    """Rows of the sensor that a picture covers; with fewer rows than the picture has, it is coarse."""
    wall: RGB
    floor: RGB
    occluder: str
    """What stands in the way: `pole`, `bench` or `bush`."""
    occluded: float
    """Probability that the occluder is there."""


CAMERAS = (
    # A bright square; people come towards it.
    Camera(
        elevation=8,
        yaw=0,
        yaw_spread=45,
        distance=7,
        light=(0.4, 0.8, 0.6),
        gain=1.05,
        gamma=1.0,
        cast=(1.0, 1.0, 1.0),
        saturation=1.0,
        noise=0.015,
        blur=0.5,
        lines=128,
        wall=(0.72, 0.72, 0.68),
        floor=(0.62, 0.58, 0.52),
        occluder="bush",
        occluded=0.2,
    ),
    # A corridor in warm lamp light; people cross.
    Camera(
        elevation=14,
        yaw=80,
        yaw_spread=40,
        distance=5,
        light=(-0.2, 0.9, 0.3),
        gain=0.95,
        gamma=1.1,
        cast=(1.18, 0.98, 0.72),
        saturation=0.9,
        noise=0.02,
        blur=0.7,
        lines=110,
        wall=(0.75, 0.66, 0.5),
        floor=(0.42, 0.32, 0.25),
        occluder="pole",
        occluded=0.25,
    ),
    # A car park at night; dark and blue-green.
    Camera(
        elevation=10,
        yaw=180,
        yaw_spread=50,
        distance=6,
        light=(0.9, 0.3, 0.3),
        gain=0.62,
        gamma=1.15,
        cast=(0.62, 1.0, 1.08),
        saturation=0.7,
        noise=0.045,
        blur=0.8,
        lines=96,
        wall=(0.3, 0.34, 0.36),
        floor=(0.24, 0.25, 0.28),
        occluder="bench",
        occluded=0.25,
    ),
    # Far away; few lines.
    Camera(
        elevation=18,
        yaw=20,
        yaw_spread=70,
        distance=12,
        light=(-0.5, 0.8, 0.3),
        gain=1.0,
        gamma=0.95,
        cast=(0.96, 1.0, 1.06),
        saturation=0.85,
        noise=0.02,
        blur=0.6,
        lines=34,
        wall=(0.5, 0.56, 0.48),
        floor=(0.5, 0.52, 0.46),
        occluder="bush",
        occluded=0.25,
    ),
    # Under the ceiling of a hall; steep.
    Camera(
        elevation=48,
        yaw=200,
        yaw_spread=60,
        distance=2.6,
        light=(0.1, 0.6, 0.9),
        gain=1.0,
        gamma=1.0,
        cast=(0.98, 1.03, 0.95),
        saturation=1.0,
        noise=0.02,
        blur=0.6,
        lines=120,
        wall=(0.6, 0.62, 0.64),
        floor=(0.7, 0.7, 0.72),
        occluder="pole",
        occluded=0.12,
    ),
    # An old camera, nearly grey and too bright.
    Camera(
        elevation=20,
        yaw=330,
        yaw_spread=60,
        distance=4,
        light=(0.6, 0.7, -0.1),
        gain=1.25,
        gamma=0.8,
        cast=(1.0, 1.0, 0.98),
        saturation=0.12,
        noise=0.03,
        blur=1.0,
        lines=80,
        wall=(0.55, 0.55, 0.56),
        floor=(0.45, 0.45, 0.44),
        occluder="bench",
        occluded=0.3,
    ),
)


@dataclass(frozen=True)
class Site:
    """A camera in its place: what is behind the people, and the size of its pictures.

    `scene` is a wide picture of the place, several times the size of a crop; `size` is (height, width).
    """

    camera: Camera
    scene: Floats32
    size: tuple[int, int]

    @property
    def canvas(self) -> tuple[int, int]:
        """The height and width at which people are drawn, before the camera makes its picture."""
        height = _canvas_height(self.size)
        return height, height // 2

    def look(self, rng: np.random.Generator) -> View:
        """Return a random view of a person who walks by."""
        camera = self.camera
        yaw = np.deg2rad(camera.yaw + camera.yaw_spread * rng.standard_normal())
        elevation = np.deg2rad(camera.elevation + rng.normal(0, 3))
        return View(float(yaw), float(elevation), camera.distance)


def make_site(camera: Camera, size: tuple[int, int], rng: np.random.Generator) -> Site:
    """Return a camera in a new random place."""
    return Site(camera, _scene(camera, _canvas_height(size), rng), size)


def _canvas_height(size: tuple[int, int]) -> int:
    """Return half as many rows again as the picture has, so that edges come out smooth."""
    return max(size[0] * 3 // 2, 96)


def _scene(camera: Camera, height: int, rng: np.random.Generator) -> Floats32:
    """Return a wall with panels and a floor with tiles, furniture before it, and uneven light over all."""
    import cv2

    rows, columns = height * 3 // 2, height * 5
    scene = np.empty((rows, columns, 3), np.float32)
    horizon = int(rows * (0.62 - 0.9 * camera.elevation / 60))
    edge = max(horizon, 0)
    scene[:edge], scene[edge:] = camera.wall, camera.floor
    _panels(scene, edge, rng)
    _tiles(scene, edge, rng)
    for _ in range(14):
        centre = (int(rng.integers(columns)), int(rng.integers(max(edge - height // 8, 0), rows)))
        axes = (int(height * rng.uniform(0.03, 0.16)), int(height * rng.uniform(0.03, 0.2)))
        colour = tuple(float(c) for c in rng.uniform(0.1, 0.8) + rng.uniform(-0.15, 0.15, 3))
        if rng.random() < 0.5:
            cv2.ellipse(scene, centre, axes, 0.0, 0.0, 360.0, colour, -1)
        else:
            cv2.rectangle(scene, centre, (centre[0] + 2 * axes[0], centre[1] + axes[1]), colour, -1)
    clouds = rng.normal(1, 0.16, (9, 30, 1)).astype(np.float32)
    grain = rng.normal(0, 0.035, (rows, columns, 1)).astype(np.float32)
    uneven = cv2.resize(clouds, (columns, rows), interpolation=cv2.INTER_CUBIC)[:, :, None]
    return np.asarray(np.clip(scene * uneven + grain, 0, 1), np.float32)


def _panels(scene: Floats32, edge: int, rng: np.random.Generator) -> None:
    """Draw doors, windows and posters on the wall above `edge`."""
    x, columns = 0, scene.shape[1]
    while x < columns and edge > 0:
        wide = int(scene.shape[0] * rng.uniform(0.08, 0.35))
        top = int(edge * rng.uniform(0, 0.6))
        low = edge if rng.random() < 0.5 else int(edge * rng.uniform(0.65, 0.95))
        if rng.random() < 0.6:
            scene[top:low, x : x + wide] *= (rng.uniform(0.45, 1.2) * rng.uniform(0.85, 1.15, 3)).astype(np.float32)
        x += wide + int(scene.shape[0] * rng.uniform(0.02, 0.2))


def _tiles(scene: Floats32, edge: int, rng: np.random.Generator) -> None:
    """Draw the joints of a floor below `edge`: rows that widen towards the viewer, and upright joints."""
    step, y = 0.02 * scene.shape[0], float(edge)
    while y < scene.shape[0]:
        scene[int(y) : int(y) + max(1, scene.shape[0] // 140)] *= 0.8
        y, step = y + step, step * 1.3
    period = int(scene.shape[0] * rng.uniform(0.12, 0.3))
    for x in range(0, scene.shape[1], period):
        scene[edge:, x : x + max(1, scene.shape[0] // 140)] *= 0.85
