"""The exception tree.

BitreidError
├── DataError          a manifest, a picture, a label file or a folder is not what it should be
├── SettingsError      a setting or a recipe is impossible
├── CodesError         codes, features or their layout do not fit together
└── ArtifactError      a model on disk is incomplete, changed or too new

Every message says what was expected, what came and what to do next.
"""


class BitreidError(Exception):
    """Root of all errors that bitreid raises on purpose."""


class DataError(BitreidError):
    """A manifest, a picture, a label file or a folder is not what it should be."""


class SettingsError(BitreidError):
    """A setting or a recipe is impossible."""


class CodesError(BitreidError):
    """Codes, features or their layout do not fit together."""


class ArtifactError(BitreidError):
    """A model on disk is incomplete, changed or too new."""
