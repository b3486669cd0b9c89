"""How many threads a search uses where its caller does not say."""

import os

from bitreid.errors import SettingsError
from bitreid.hamming import kernel


def default_threads() -> int:
    """Return the number in the environment variable BITREID_THREADS, else that of processors this process may use.

    `SettingsError` if the variable holds anything but a whole number of at least 1.
    """
    text = os.environ.get("BITREID_THREADS", "").strip()
    if not text:
        return kernel.usable_cpus()
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise SettingsError(
            f"expected BITREID_THREADS to be a whole number of threads, at least 1, got {text!r}; "
            "unset it for one a processor"
        )
    return int(text)
