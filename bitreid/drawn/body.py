"""The body of a drawn person: capsules in space, posed, dressed and loaded.

Lengths are in body heights. Axes: x to the person's left, y up, z where it faces; the feet stand near y = 0 and the top
of the head is near y = 1.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bitreid.drawn.people import Person

Point = tuple[float, float, float]


class Surface(IntEnum):
    """What a capsule is made of; an index of the palette."""

    SKIN = 0
    HAIR = 1
    HAT = 2
    HEAD = 3
    TORSO = 4
    SLEEVE = 5
    LOWER = 6
    SHOE = 7
    BACKPACK = 8
    BAG = 9
    ITEM = 10


@dataclass(frozen=True)
class Pose:
    """A moment of a walk: `phase` in radians, `stride` the swing of a leg in radians, `phone` a hand at the ear."""

    phase: float
    stride: float
    phone: bool


@dataclass(frozen=True)
class Capsule:
    """A round-ended cone; `flat` cuts the ends off (sleeves, hems)."""

    surface: Surface
    start: Point
    end: Point
    start_radius: float
    end_radius: float
    flat: bool = False


def body_capsules(person: Person, pose: Pose) -> list[Capsule]:
    """Return the capsules of the whole person, in body axes."""
    hip_y, shoulder_y = 0.53 * person.body.legs, 0.815
    parts = _head(person) + _trunk(person, hip_y, shoulder_y) + _bags(person, hip_y)
    # A long skirt keeps its wearer's steps small.
    stride = pose.stride * (0.5 if person.clothes.skirt and not person.clothes.lower_short else 1.0)
    knees = []
    for side in (-1, 1):
        phase = pose.phase + (0 if side > 0 else np.pi)
        leg, knee = _leg(person, side, phase, stride, hip_y)
        knees.append(knee)
        parts += leg + _arm(person, pose, side, phase + np.pi, shoulder_y)
    if person.clothes.skirt:
        parts += _skirt(person, hip_y, knees)
    return parts


def _head(person: Person) -> list[Capsule]:
    size = person.body.head
    parts = [
        Capsule(Surface.SKIN, (0, 0.80, -0.005), (0, 0.88, 0), 0.033, 0.031),
        Capsule(Surface.HEAD, (0, 0.94, 0.008), (0, 0.94, 0.008), 0.056 * size, 0.056 * size),
        Capsule(Surface.SKIN, (0, 0.908, 0.014), (0, 0.908, 0.014), 0.044 * size, 0.044 * size),
        Capsule(Surface.HAIR, (0, 0.94, -0.014), (0, 0.957, -0.008), 0.058 * size, 0.056 * size),
    ]
    if person.clothes.hair_long:
        parts.append(Capsule(Surface.HAIR, (0, 0.93, -0.025), (0, 0.79, -0.055), 0.055 * size, 0.055))
        for side in (-1, 1):
            parts.append(Capsule(Surface.HAIR, (side * 0.046, 0.94, -0.008), (side * 0.066, 0.81, 0.004), 0.024, 0.026))
    if person.clothes.hat:
        parts.append(Capsule(Surface.HAT, (0, 0.968, -0.004), (0, 0.985, -0.004), 0.066 * size, 0.055 * size))
        parts.append(Capsule(Surface.HAT, (-0.032, 0.962, 0.07), (0.032, 0.962, 0.07), 0.017, 0.017))
    return parts


def _trunk(person: Person, hip_y: float, shoulder_y: float) -> list[Capsule]:
    body, outer = person.body, 1.12 if person.clothes.jacket else 1.0
    hip, shoulder, girth = 0.052 * body.hips, 0.075 * body.shoulders, body.girth * outer
    hem = hip_y - (0.065 if person.clothes.jacket else 0.01)
    parts = [
        Capsule(Surface.LOWER, (-hip, hip_y, 0), (hip, hip_y, 0), 0.062 * body.girth, 0.062 * body.girth),
        Capsule(Surface.TORSO, (0, hem, 0), (0, shoulder_y - 0.05, 0), 0.072 * girth, 0.075 * girth, flat=True),
        Capsule(Surface.TORSO, (-shoulder, shoulder_y - 0.03, 0), (shoulder, shoulder_y - 0.03, 0), 0.046, 0.046),
    ]
    for side in (-1, 1):
        low, high = (side * hip, hem, 0.0), (side * shoulder, shoulder_y - 0.05, 0.0)
        parts.append(Capsule(Surface.TORSO, low, high, 0.066 * girth, 0.060 * girth, flat=True))
    return parts


def _limb(start: Point, length: float, angle: float, out: float) -> Point:
    """Return the far end of a limb that swings forward by `angle` and points outwards by `out`."""
    return start[0] + out * length, start[1] - length * float(np.cos(angle)), start[2] + length * float(np.sin(angle))


def _between(start: Point, end: Point, share: float) -> Point:
    x, y, z = (a + (b - a) * share for a, b in zip(start, end, strict=True))
    return x, y, z


def _leg(person: Person, side: int, phase: float, stride: float, hip_y: float) -> tuple[list[Capsule], Point]:
    """Return a leg with its shoe, and where its knee is."""
    swing = stride * float(np.sin(phase))
    bend = 0.08 + 1.3 * stride * max(0.0, float(np.cos(phase)))
    hip = (side * 0.048 * person.body.hips, hip_y - 0.01, 0.0)
    knee = _limb(hip, hip_y * 0.47, swing, 0.0)
    ankle = _limb(knee, hip_y * 0.45, swing - bend, 0.0)
    toe = _limb(ankle, 0.085, swing - bend + 1.45, side * 0.2)
    thick = person.body.limbs
    parts = [Capsule(Surface.SHOE, ankle, toe, 0.036, 0.028)]
    if person.clothes.skirt or person.clothes.lower_short:
        parts.append(Capsule(Surface.SKIN, hip, knee, 0.050 * thick, 0.037 * thick))
        parts.append(Capsule(Surface.SKIN, knee, ankle, 0.037 * thick, 0.025 * thick))
        if not person.clothes.skirt:
            hem = _between(hip, knee, 0.88)
            parts.append(Capsule(Surface.LOWER, hip, hem, 0.060 * thick, 0.060 * thick, flat=True))
    else:
        parts.append(Capsule(Surface.LOWER, hip, knee, 0.060 * thick, 0.047 * thick))
        parts.append(Capsule(Surface.LOWER, knee, _between(knee, ankle, 0.9), 0.047 * thick, 0.038 * thick, flat=True))
    return parts, knee


def _skirt(person: Person, hip_y: float, knees: list[Point]) -> list[Capsule]:
    """Return cones from the waist to the hem: one around each leg and one between them."""
    body, short = person.body, person.clothes.lower_short
    hem_y, reach, flare = (0.30, 0.9, 1.0) if short else (0.13, 1.15, 1.2)
    middle = _between(knees[0], knees[1], 0.5)
    parts = []
    for x, z, radius in ((knees[0][0], knees[0][2], 0.072), (knees[1][0], knees[1][2], 0.072), (0.0, middle[2], 0.085)):
        waist, hem = (x * 0.7, hip_y + 0.05, 0.0), (x * 1.35, hem_y, z * reach)
        parts.append(Capsule(Surface.LOWER, waist, hem, 0.064 * body.girth, radius * flare, flat=True))
    return parts


def _arm(person: Person, pose: Pose, side: int, phase: float, shoulder_y: float) -> list[Capsule]:
    """Return an arm in its sleeve, with what it carries."""
    clothes, body = person.clothes, person.body
    carries = clothes.hand_carry and side == person.details.hand
    swing = (0.3 if carries else 0.9) * pose.stride * float(np.sin(phase))
    shoulder = (side * 0.105 * body.shoulders, shoulder_y - 0.025, 0.0)
    elbow = _limb(shoulder, 0.155, swing, side * 0.22)
    if pose.phone and side != person.details.hand:
        wrist: Point = (elbow[0] - side * 0.03, elbow[1] + 0.12, elbow[2] + 0.09)
    else:
        wrist = _limb(elbow, 0.145, swing + 0.3, side * 0.05)
    hand = _between(elbow, wrist, 1.12)
    thick = body.limbs * (1.1 if clothes.jacket else 1.0)
    parts = [Capsule(Surface.SKIN, hand, hand, 0.026, 0.026)]
    if clothes.sleeve_long:
        parts.append(Capsule(Surface.SLEEVE, shoulder, elbow, 0.041 * thick, 0.034 * thick))
        parts.append(Capsule(Surface.SLEEVE, elbow, wrist, 0.034 * thick, 0.029 * thick))
    else:
        cuff = _between(shoulder, elbow, 0.75)
        parts.append(Capsule(Surface.SLEEVE, shoulder, shoulder, 0.043 * thick, 0.043 * thick))
        parts.append(Capsule(Surface.SLEEVE, shoulder, cuff, 0.043 * thick, 0.043 * thick, flat=True))
        parts.append(Capsule(Surface.SKIN, shoulder, elbow, 0.032 * body.limbs, 0.028 * body.limbs))
        parts.append(Capsule(Surface.SKIN, elbow, wrist, 0.028 * body.limbs, 0.022 * body.limbs))
    return parts + (_carried(person, side, hand) if carries else [])


def _carried(person: Person, side: int, hand: Point) -> list[Capsule]:
    x, y, z = hand
    if person.details.carried == "bottle":
        return [Capsule(Surface.ITEM, (x, y - 0.03, z + 0.03), (x, y + 0.06, z + 0.03), 0.024, 0.017)]
    if person.details.carried == "folder":
        x += side * 0.03
        heights: tuple[float, ...] = (-0.02, 0.01, 0.04, 0.07, 0.10)
        length, radius = 0.06, 0.022
    else:
        heights, length, radius = (-0.05, -0.08, -0.11, -0.14, -0.17), 0.05, 0.036
    return [Capsule(Surface.ITEM, (x, y + dy, z - length), (x, y + dy, z + length), radius, radius) for dy in heights]


def _bags(person: Person, hip_y: float) -> list[Capsule]:
    parts = []
    if person.clothes.backpack:
        for x in (-0.045, 0.0, 0.045):
            parts.append(Capsule(Surface.BACKPACK, (x, 0.765, -0.105), (x, 0.61, -0.115), 0.055, 0.065))
    if person.clothes.shoulder_bag:
        x = person.details.bag_side * (0.085 + 0.05 * person.body.hips)
        for y in (0.03, -0.01, -0.05):
            parts.append(Capsule(Surface.BAG, (x, hip_y + y, -0.055), (x, hip_y + y, 0.055), 0.036, 0.036))
    return parts
