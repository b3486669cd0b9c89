"""Facts about a data set (`about.json`) that the card of a model trained on it has to repeat."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bitreid.errors import DataError

FILE = "about.json"
"""The file in a data set's folder that says it; `bitreid draw` writes one, and so may whoever makes a data set."""


@dataclass(frozen=True)
class Facts:
    """What somebody told about pictures, and so about what is trained on them; empty where nobody did.

    licence       of weights that are trained on the pictures, in a line
    licence_text  the whole of it, to lie beside such weights
    notes         what whoever uses such weights should know of the pictures
    """

    licence: str = ""
    licence_text: str = ""
    notes: str = ""


NOTHING_TOLD = Facts()


def about_of(data: Path) -> Facts:
    """Return what a data set's folder says about itself; nothing for a table, or a folder that says nothing.

    `DataError` for a file that is none of ours.
    """
    path = data / FILE
    if not data.is_dir() or not path.is_file():
        return NOTHING_TOLD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        about = Facts(**values)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(_expected(path, str(error))) from error
    wrong = [name for name, value in asdict(about).items() if not isinstance(value, str)]
    if wrong:
        raise DataError(_expected(path, f"no text for {wrong[0]}"))
    return about


def _expected(path: Path, got: str) -> str:
    return f"expected licence, licence_text and notes at most, as texts in JSON at {path}, got {got}; mend or remove it"


def write_about(folder: Path, about: Facts) -> None:
    """Write what is known about the data set in `folder`, for `about_of`."""
    told = {name: text for name, text in asdict(about).items() if text}
    (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
