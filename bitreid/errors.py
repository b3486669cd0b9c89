"""The exception tree.

BitreidError
├── DataError          a manifest, a picture, a label file or a folder is not what it should be
├── SettingsError      a setting or a recipe is impossible
├── CodesError         codes, features or their layout do not fit together
├── ArtifactError      a model on disk is incomplete, changed or too new
└── GalleryError       a gallery cannot do what was asked, is damaged or out of reach
    └── FilterError    a filter's text cannot be read; says where

DataWarning, a UserWarning of its own, counts what was left out or looks wrong but does not stop the work.

Every message says what was expected, what came and what to do next.
"""


class BitreidError(Exception):
    """Root of all errors that bitreid raises on purpose."""


class DataError(BitreidError):
    """A manifest, a picture, a label file or a folder is not what it should be."""


class DataWarning(UserWarning):
    """Some files or labels were left out or look wrong; says how many and names the first."""


class SettingsError(BitreidError):
    """A setting or a recipe is impossible."""


class CodesError(BitreidError):
    """Codes, features or their layout do not fit together."""


class ArtifactError(BitreidError):
    """A model on disk is incomplete, changed or too new."""


class GalleryError(BitreidError):
    """A gallery cannot do what was asked, is damaged or out of reach."""


class FilterError(GalleryError):
    """A filter's text cannot be read; says where."""
