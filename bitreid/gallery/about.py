"""What a gallery learns besides its items: names of its cameras, and which engines made its codes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bitreid.data.manifest import UNKNOWN
from bitreid.errors import BadRequest
from bitreid.gallery.fields import check_text, is_whole_number


@dataclass(frozen=True)
class About:
    """What a gallery learned.

    camera_names  what cameras are called, by number, as far as they have names
    engines       names of the engines that made codes of the gallery, as far as items tell: all of one model, and each
                  within its limits when it encoded (`Encoder.model`)
    """

    camera_names: Mapping[int, str] = field(default_factory=dict)
    engines: frozenset[str] = frozenset()

    def knows(self, other: "About") -> bool:
        """Return whether there is nothing new in the other."""
        return other.camera_names.items() <= self.camera_names.items() and other.engines <= self.engines

    def joined(self, new: "About") -> "About":
        """Return this with what is new; `BadRequest` where names of cameras disagree (`with_names`)."""
        for name in new.engines - self.engines:
            check_text("the name of an engine", name)
        return About(with_names(self.camera_names, new.camera_names), self.engines | new.engines)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return it from what `to_json` gave; what is missing is empty, as in galleries of older bitreids."""
        names = {int(number): name for number, name in values.get("cameras", {}).items()}
        return cls(names, frozenset(values.get("engines", {})))

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return JSON objects by name: `cameras` has the name of each number, `engines` true for each name."""
        names = {str(number): name for number, name in self.camera_names.items()}
        return {"cameras": names, "engines": dict.fromkeys(sorted(self.engines), True)}


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
