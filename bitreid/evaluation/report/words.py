"""Numbers as words that are easy to read."""

import numpy as np

NO_BREAK = "\u00a0"


def number(value: float) -> str:
    """Return a number with separated thousands, without needless decimals.

    >>> number(15913), number(0.25)
    ('15,913', '0.25')
    """
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"


def distance(value: float) -> str:
    """Return a distance: of codes whole bits, of features three digits.

    >>> distance(1204.0), distance(0.56861)
    ('1,204', '0.569')
    """
    return number(value) if value == int(value) else f"{value:.3f}"


def share(value: float, digits: int = 1) -> str:
    """Return a share between 0 and 1 in per cent, without the sign.

    >>> share(0.9123)
    '91.2'
    """
    return f"{100 * value:.{digits}f}"


def percent(value: float) -> str:
    """Return a share in per cent, with as many digits as a small one needs, then an unbreakable space and the sign.

    >>> [percent(value).replace(NO_BREAK, " ") for value in (0.9123, 0.1, 0.0012, 1.34e-7, 0.0)]
    ['91.2 %', '10 %', '0.12 %', '0.000013 %', '0 %']
    """
    text = f"{100 * value:.1f}".removesuffix(".0")
    if 100 * abs(value) < 1:
        text = np.format_float_positional(100 * value, precision=2, fractional=False, trim="-")
    return f"{text}{NO_BREAK}%"


def of_hundred(value: float, things: str) -> str:
    """Return a share of some things as a number out of 100, never rounded to 0 or 100.

    >>> of_hundred(0.912, "searches"), of_hundred(0.999, "searches")
    ('91 of 100 searches', 'more than 99 of 100 searches')
    >>> of_hundred(0.001, "bits"), of_hundred(1.0, "bits"), of_hundred(0.0, "bits")
    ('fewer than 1 of 100 bits', 'all bits', 'no bits')
    """
    if value in (0, 1):
        return f"all {things}" if value else f"no {things}"
    whole = round(100 * value)
    if whole in (0, 100):
        return f"more than 99 of 100 {things}" if whole else f"fewer than 1 of 100 {things}"
    return f"{whole} of 100 {things}"


def points(value: float) -> str:
    """Return a difference of two shares in percentage points, without its sign.

    >>> points(-0.0081), points(0.01)
    ('0.8 points', '1.0 points')
    """
    return f"{abs(100 * value):.1f} points"


def bits_and_bytes(n_bits: int) -> str:
    """Return the length of a code.

    >>> bits_and_bytes(2048)
    '2,048 bits (256 bytes)'
    """
    return f"{n_bits:,} bits ({number(n_bits / 8)} bytes)"


def rows(n: int, of: float) -> str:
    """Return a number of gallery rows and the share of the gallery that it is."""
    return f"{n:,} rows ({percent(of)})"
