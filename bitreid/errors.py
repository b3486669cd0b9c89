"""The exception tree.

BitreidError
├── DataError          a manifest, a picture, a label file or a folder is not what it should be
│   ├── PictureError   one picture cannot be read; says which and why
│   └── VideoEnded     a video ends, or is damaged, before a frame that was asked for
├── SettingsError      a setting or a recipe is impossible
├── CodesError         codes, features or their layout do not fit together
├── ArtifactError      a model on disk is incomplete, changed or too new
├── ServiceError       a service refused a request, failed or cannot be reached; says its kind
└── GalleryError       a gallery cannot do what was asked, is damaged or out of reach; always one of these kinds:
    ├── GalleryNotFound     there is no gallery where one was named
    ├── ItemNotFound        the gallery has no item of an id that was named
    ├── GalleryExists       there is a gallery, or another file, where a new one was to be made
    ├── GalleryClosed       the gallery was closed before it was used
    ├── GalleryBusy         somebody else is writing or reading; the same works later
    ├── GalleryReadOnly     something was to be written to a gallery that can only be read
    ├── GalleryDamaged      a file is not what was written, or something else; a backup helps
    ├── GalleryUnreachable  a server does not answer, or a disk or folder cannot be used or is full
    ├── Unsupported         this kind of gallery, or what is installed here, cannot do that
    ├── WrongModel          codes of one model met a gallery or a file of another
    └── BadRequest          what was asked is impossible for any gallery: correct it
        └── FilterError     a filter cannot be read, or does not fit the gallery; says where

DataWarning, a UserWarning of its own, counts what was left out or looks wrong but does not stop the work.

Every message says what was expected, what came and what to do next.
"""

from pathlib import Path

from bitreid.text import printable


class BitreidError(Exception):
    """Root of all errors that bitreid raises on purpose."""


class DataError(BitreidError):
    """A manifest, a picture, a label file or a folder is not what it should be."""


class PictureError(DataError):
    """One picture cannot be read: `path` says which, `reason` why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"expected a readable picture at {printable(str(path))}, got: {reason}")
        self.path = path
        self.reason = reason


class VideoEnded(DataError):
    """A video ends, or is damaged, before a frame that was asked for: `n_frames` could be read; `reason` says more."""

    def __init__(self, path: Path, n_frames: int, reason: str | None) -> None:
        why = "" if reason is None else f", where it is damaged ({reason})"
        super().__init__(f"expected more frames in {printable(str(path))}, got {n_frames}{why}; are the boxes its own?")
        self.path = path
        self.n_frames = n_frames
        self.reason = reason


class DataWarning(UserWarning):
    """Some files or labels were left out or look wrong; says how many and names the first."""


class SettingsError(BitreidError):
    """A setting or a recipe is impossible."""


class CodesError(BitreidError):
    """Codes, features or their layout do not fit together."""


class ArtifactError(BitreidError):
    """A model on disk is incomplete, changed or too new."""


class ServiceError(BitreidError):
    """A service refused a request, failed or cannot be reached; `kind` says which, as `unauthorised`.

    `status` is that of HTTP, None where no answer came. What bitreid has a kind of its own for, such as `FilterError`,
    is raised as that.
    """

    def __init__(self, message: str, kind: str, status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


class GalleryError(BitreidError):
    """A gallery cannot do what was asked, is damaged or out of reach; always raised as one of its kinds."""


class GalleryNotFound(GalleryError):
    """There is no gallery where one was named."""


class ItemNotFound(GalleryError):
    """The gallery has no item of an id that was named."""


class GalleryExists(GalleryError):
    """There is a gallery, or another file, where a new one was to be made."""


class GalleryClosed(GalleryError):
    """The gallery was closed before it was used."""


class GalleryBusy(GalleryError):
    """Somebody else is writing or reading; the same works later."""


class GalleryReadOnly(GalleryError):
    """Something was to be written to a gallery that can only be read."""


class GalleryDamaged(GalleryError):
    """A file is not what was written, or something else; a backup helps."""


class GalleryUnreachable(GalleryError):
    """A server does not answer, or a disk or folder cannot be used or is full."""


class Unsupported(GalleryError):
    """This kind of gallery, or what is installed here, cannot do that."""


class WrongModel(GalleryError):
    """Codes of one model met a gallery or a file of another."""


class BadRequest(GalleryError):
    """What was asked is impossible for any gallery: correct it."""


class FilterError(BadRequest):
    """A filter cannot be read, or does not fit the gallery; says where."""
