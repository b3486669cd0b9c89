"""The people who are drawn: their clothes, which are the ground truth, and the details that tell them apart."""

import colorsys
from dataclasses import dataclass, fields, replace

import numpy as np

RGB = tuple[float, float, float]
"""A colour, each channel from 0 to 1."""
Tint = tuple[float, float, float]
"""Where a colour lies within its name: hue, saturation and value, each from -1 to 1."""

UPPER_COLOURS = ("black", "gray", "white", "blue", "red", "green", "pink", "brown", "purple", "yellow", "orange")
LOWER_COLOURS = ("black", "blue", "gray", "brown", "white", "red", "green")
PATTERNS = ("plain", "graphic", "striped")
PRINTS = ("box", "disc", "ring", "cross", "bars", "wedge")
STRIPES = ("across", "along", "plaid")
CARRIED = ("shopping bag", "folder", "bottle")

# For each name the hue in degrees, saturation and value, and how far a tint of 1 moves them.
_COLOURS: dict[str, tuple[RGB, RGB]] = {
    "black": ((220, 0.12, 0.10), (150, 0.10, 0.05)),
    "gray": ((220, 0.05, 0.46), (150, 0.04, 0.11)),
    "white": ((60, 0.05, 0.93), (150, 0.04, 0.05)),
    "blue": ((218, 0.70, 0.55), (16, 0.15, 0.15)),
    "red": ((356, 0.80, 0.64), (8, 0.12, 0.12)),
    "green": ((130, 0.55, 0.44), (25, 0.15, 0.11)),
    "pink": ((335, 0.38, 0.88), (12, 0.11, 0.06)),
    "brown": ((28, 0.52, 0.40), (7, 0.12, 0.10)),
    "purple": ((276, 0.50, 0.47), (13, 0.12, 0.09)),
    "yellow": ((52, 0.72, 0.88), (6, 0.12, 0.06)),
    "orange": ((23, 0.85, 0.86), (6, 0.08, 0.06)),
}
_UPPER_SHARES = (0.18, 0.12, 0.12, 0.12, 0.10, 0.08, 0.06, 0.06, 0.06, 0.05, 0.05)
_LOWER_SHARES = (0.28, 0.22, 0.16, 0.13, 0.08, 0.07, 0.06)
_PATTERN_SHARES = (0.50, 0.28, 0.22)


@dataclass(frozen=True)
class Clothes:
    """The ground truth: what a person wears and carries. Its fields are the columns of the attributes file."""

    hair_long: bool
    """Hair reaches the shoulders."""
    hat: bool
    """A cap."""
    sleeve_long: bool
    """Sleeves reach the wrist."""
    upper_colour: str
    """One of `UPPER_COLOURS`; with a jacket, the jacket's colour."""
    pattern: str
    """One of `PATTERNS`, on the upper garment."""
    jacket: bool
    """An outer layer, open in front."""
    lower_short: bool
    """Trousers or skirt end at or above the knee."""
    skirt: bool
    """A skirt instead of trousers."""
    lower_colour: str
    """One of `LOWER_COLOURS`."""
    backpack: bool
    """A backpack; from the front, its straps."""
    shoulder_bag: bool
    """A bag at the hip on a strap across the body."""
    hand_carry: bool
    """One of `CARRIED` in a hand."""
    shoes_light: bool
    """White shoes instead of dark ones."""


@dataclass(frozen=True)
class Body:
    """Proportions of the body, relative to the average (1); `lean` is a slope."""

    shoulders: float
    hips: float
    girth: float
    limbs: float
    legs: float
    head: float
    stride: float
    lean: float


@dataclass(frozen=True)
class Details:
    """What no attribute names: exact colours, prints and sides. It has values for things that are not worn, too."""

    skin: RGB
    hair: RGB
    hat: RGB
    accent: RGB
    inner: RGB
    backpack: RGB
    bag: RGB
    item: RGB
    upper_tint: Tint
    lower_tint: Tint
    shoe_tint: Tint
    stripes: str
    stripe_period: float
    print_kind: str
    print_x: float
    print_y: float
    print_size: float
    carried: str
    hand: int
    bag_side: int


@dataclass(frozen=True)
class Person:
    """Everything that is needed to draw an identity."""

    clothes: Clothes
    body: Body
    details: Details


ATTRIBUTES = tuple(field.name for field in fields(Clothes))
"""Columns of the attributes file after `pid`."""


def attribute_values(clothes: Clothes) -> list[str]:
    """Return the values of one row of the attributes file, in the order of `ATTRIBUTES`: `1`, `0` or a word."""
    values = (getattr(clothes, name) for name in ATTRIBUTES)
    return [value if isinstance(value, str) else str(int(value)) for value in values]


def named_colour(name: str, tint: Tint) -> RGB:
    """Return a colour of this name; the tint chooses which one."""
    (hue, saturation, value), (hue_step, saturation_step, value_step) = _COLOURS[name]
    return colorsys.hsv_to_rgb(
        (hue + hue_step * tint[0]) % 360 / 360,
        min(max(saturation + saturation_step * tint[1], 0.0), 1.0),
        min(max(value + value_step * tint[2], 0.0), 1.0),
    )


def random_person(rng: np.random.Generator) -> Person:
    """Return a new random person."""
    clothes = _random_clothes(rng)
    return Person(clothes, _random_body(rng, spread=1.0), _random_details(rng, clothes))


def near_copy(person: Person, rng: np.random.Generator) -> Person:
    """Return another person who looks much like this one.

    Proportions and exact colours move a little; one or two small things (shoes, a bag, the print, the hair) change.
    """
    copy = Person(person.clothes, _nearby_body(person.body, rng), _nearby_details(person.details, rng))
    changes = rng.permutation(len(_SMALL_CHANGES))[: rng.integers(1, 3)]
    for change in changes:
        copy = _SMALL_CHANGES[int(change)](copy, rng)
    return copy


def random_cast(seed: list[int], n: int, lookalikes: float) -> list[Person]:
    """Return `n` random people; about the share `lookalikes` of them are near copies of an earlier one."""
    people: list[Person] = []
    for i in range(n):
        rng = np.random.default_rng([*seed, i])
        if people and rng.random() < lookalikes:
            people.append(near_copy(people[rng.integers(len(people))], rng))
        else:
            people.append(random_person(rng))
    return people


def _chance(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def _choice(rng: np.random.Generator, values: tuple[str, ...], shares: tuple[float, ...] | None = None) -> str:
    return values[int(rng.choice(len(values), p=shares))]


def _side(rng: np.random.Generator) -> int:
    return 1 if _chance(rng, 0.5) else -1


def _tint(rng: np.random.Generator) -> Tint:
    hue, saturation, value = rng.uniform(-1, 1, 3)
    return float(hue), float(saturation), float(value)


def _random_clothes(rng: np.random.Generator) -> Clothes:
    return Clothes(
        hair_long=_chance(rng, 0.35),
        hat=_chance(rng, 0.15),
        sleeve_long=_chance(rng, 0.5),
        upper_colour=_choice(rng, UPPER_COLOURS, _UPPER_SHARES),
        pattern=_choice(rng, PATTERNS, _PATTERN_SHARES),
        jacket=_chance(rng, 0.25),
        lower_short=_chance(rng, 0.35),
        skirt=_chance(rng, 0.15),
        lower_colour=_choice(rng, LOWER_COLOURS, _LOWER_SHARES),
        backpack=_chance(rng, 0.35),
        shoulder_bag=_chance(rng, 0.3),
        hand_carry=_chance(rng, 0.3),
        shoes_light=_chance(rng, 0.4),
    )


def _random_body(rng: np.random.Generator, spread: float) -> Body:
    def about(sd: float) -> float:
        return float(np.clip(1 + spread * sd * rng.standard_normal(), 1 - 2.5 * sd, 1 + 2.5 * sd))

    return Body(
        shoulders=about(0.08),
        hips=about(0.08),
        girth=about(0.10),
        limbs=about(0.10),
        legs=about(0.04),
        head=about(0.07),
        stride=about(0.2),
        lean=float(0.05 + 0.05 * spread * rng.standard_normal()),
    )


def _nearby_body(body: Body, rng: np.random.Generator) -> Body:
    other = _random_body(rng, spread=0.5)
    middle = {f.name: getattr(body, f.name) + getattr(other, f.name) - 1 for f in fields(Body)}
    middle["lean"] = (body.lean + other.lean) / 2
    return Body(**middle)


def _random_details(rng: np.random.Generator, clothes: Clothes) -> Details:
    upper_tint = _tint(rng)
    upper = named_colour(clothes.upper_colour, upper_tint)
    tone = rng.uniform(0, 1)
    return Details(
        skin=(float(0.92 - 0.50 * tone), float(0.74 - 0.48 * tone), float(0.62 - 0.46 * tone)),
        hair=_hair_colour(rng),
        hat=_contrasting_colour(rng, (0.1, 0.1, 0.1)),
        accent=_contrasting_colour(rng, upper),
        inner=_contrasting_colour(rng, upper),
        backpack=_contrasting_colour(rng, upper),
        bag=_contrasting_colour(rng, upper),
        item=_contrasting_colour(rng, upper),
        upper_tint=upper_tint,
        lower_tint=_tint(rng),
        shoe_tint=_tint(rng),
        stripes=_choice(rng, STRIPES, (0.5, 0.25, 0.25)),
        stripe_period=float(rng.uniform(0.035, 0.08)),
        print_kind=_choice(rng, PRINTS),
        print_x=float(rng.uniform(-0.035, 0.035)),
        print_y=float(rng.uniform(0.64, 0.73)),
        print_size=float(rng.uniform(0.042, 0.065)),
        carried=_choice(rng, CARRIED),
        hand=_side(rng),
        bag_side=_side(rng),
    )


def _hair_colour(rng: np.random.Generator) -> RGB:
    kind = int(rng.choice(5, p=(0.4, 0.28, 0.16, 0.08, 0.08)))
    red, green, blue = (
        (0.06, 0.05, 0.05),
        (0.25, 0.15, 0.09),
        (0.72, 0.56, 0.30),
        (0.55, 0.54, 0.53),
        (0.52, 0.22, 0.1),
    )[kind]
    light = float(rng.uniform(0.8, 1.2))
    return red * light, green * light, blue * light


def _contrasting_colour(rng: np.random.Generator, against: RGB) -> RGB:
    """Return a random colour that stands out against the colour `against`."""
    names = [name for name in UPPER_COLOURS if np.abs(np.subtract(named_colour(name, (0, 0, 0)), against)).sum() > 0.6]
    return named_colour(names[int(rng.integers(len(names)))], _tint(rng))


def _nearby_details(details: Details, rng: np.random.Generator) -> Details:
    def near(tint: Tint) -> Tint:
        moved = np.clip(np.add(tint, rng.normal(0, 0.35, 3)), -1, 1)
        return float(moved[0]), float(moved[1]), float(moved[2])

    return replace(
        details,
        upper_tint=near(details.upper_tint),
        lower_tint=near(details.lower_tint),
        shoe_tint=near(details.shoe_tint),
        stripe_period=float(np.clip(details.stripe_period * rng.uniform(0.85, 1.18), 0.035, 0.08)),
    )


def _change_shoes(person: Person, rng: np.random.Generator) -> Person:
    return replace(person, clothes=replace(person.clothes, shoes_light=not person.clothes.shoes_light))


def _change_backpack(person: Person, rng: np.random.Generator) -> Person:
    if person.clothes.backpack and _chance(rng, 0.5):
        upper = named_colour(person.clothes.upper_colour, person.details.upper_tint)
        return replace(person, details=replace(person.details, backpack=_contrasting_colour(rng, upper)))
    return replace(person, clothes=replace(person.clothes, backpack=not person.clothes.backpack))


def _change_bag(person: Person, rng: np.random.Generator) -> Person:
    if person.clothes.shoulder_bag and _chance(rng, 0.5):
        return replace(person, details=replace(person.details, bag_side=-person.details.bag_side))
    return replace(person, clothes=replace(person.clothes, shoulder_bag=not person.clothes.shoulder_bag))


def _change_carried(person: Person, rng: np.random.Generator) -> Person:
    details = replace(person.details, carried=_choice(rng, CARRIED), hand=_side(rng))
    return Person(replace(person.clothes, hand_carry=not person.clothes.hand_carry), person.body, details)


def _change_print(person: Person, rng: np.random.Generator) -> Person:
    others = tuple(kind for kind in PRINTS if kind != person.details.print_kind)
    details = replace(
        person.details,
        print_kind=_choice(rng, others),
        print_x=float(rng.uniform(-0.035, 0.035)),
        print_y=float(rng.uniform(0.64, 0.73)),
    )
    return Person(replace(person.clothes, pattern="graphic"), person.body, details)


def _change_stripes(person: Person, rng: np.random.Generator) -> Person:
    others = tuple(kind for kind in STRIPES if kind != person.details.stripes)
    details = replace(person.details, stripes=_choice(rng, others))
    return Person(replace(person.clothes, pattern="striped"), person.body, details)


def _change_hair(person: Person, rng: np.random.Generator) -> Person:
    if _chance(rng, 0.5):
        return replace(person, clothes=replace(person.clothes, hair_long=not person.clothes.hair_long))
    return replace(person, details=replace(person.details, hair=_hair_colour(rng)))


def _change_hat(person: Person, rng: np.random.Generator) -> Person:
    return replace(person, clothes=replace(person.clothes, hat=not person.clothes.hat))


_SMALL_CHANGES = (
    _change_shoes,
    _change_backpack,
    _change_bag,
    _change_carried,
    _change_print,
    _change_stripes,
    _change_hair,
    _change_hat,
)
