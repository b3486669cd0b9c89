"""How much each bit of the attribute code says in the first stage of AFR, learned from people of known identity.

Attribute bits are not alike: some are told wrong often, and some hardly ever differ between two people. What a
difference in a bit says for "two people" against "one" is the log-likelihood ratio of the pair. Naive Bayes would add
these ratios, but bits repeat one another, and so do their errors: the bits that look best would count too much. A bit
weighs the square root of its ratio, which kept most matches in cross-validation over CUHK03-NP's held-out identities.
"""

import numpy as np

from bitreid.arrays import Bools, Floats, Ints
from bitreid.codes import Codes, unpack
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import CodesError, DataError, SettingsError


def fit_attribute_weights(codes: Codes, n_bits: int, pids: Ints, camids: Ints, largest: int = 15) -> tuple[int, ...]:
    """Return a whole-number weight from 0 to `largest` for each of the first `n_bits` bits of attribute codes.

    `codes` are of pictures of people whom the model was not trained on; `pids` and `camids` are `(n,) int64`. If a bit
    differs in the share g of the pairs of one person and in the share i of those of two (see `difference_rates`), its
    weight is the square root of ln(i (1 - g) / (g (1 - i))), or 0 where i is below g; scaled so that the best bit has
    `largest`, and rounded. Where no bit tells people apart, all weigh 1.

    `SettingsError` for a `largest` below 1; `CodesError` and `DataError` as in `difference_rates`.

    >>> from bitreid.codes import pack_bits
    >>> bits = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]]) == 1
    >>> fit_attribute_weights(pack_bits(bits), 3, np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]))
    (15, 0, 0)
    """
    if largest < 1:
        raise SettingsError(f"expected a largest weight of at least 1, got {largest}")
    genuine, impostor = difference_rates(codes, n_bits, pids, camids)
    roots = np.sqrt(np.log(impostor * (1 - genuine) / (genuine * (1 - impostor))).clip(0))
    if not roots.any():
        return (1,) * n_bits
    return tuple(np.rint(roots / roots.max() * largest).astype(np.int64).tolist())


def difference_rates(codes: Codes, n_bits: int, pids: Ints, camids: Ints) -> tuple[Floats, Floats]:
    """Return how often each of the first `n_bits` bits differs in pairs of one person, and of two, `(n_bits,)` each.

    All pictures meet all others under Market-1501's rules: a pair of one person comes from two cameras (an unknown
    camera is no other's equal), junk and unknown people are left out, and so are pairs of distractors, which may or may
    not be one. A rate is at least what half a pair of the rarer kind would be, and at most 1 less that; so a constant
    bit has equal rates. Memory is a few bytes a picture and bit, whatever the number of pairs.

    `CodesError` for more bits than the codes have; `DataError` for labels of other rows, or without pairs of either
    kind.
    """
    if not 1 <= n_bits <= codes.n_bits:
        raise CodesError(f"expected 1 to {codes.n_bits} bits of the codes, got {n_bits}")
    if not len(codes) == len(pids) == len(camids):
        raise DataError(f"expected a pid and a camid for each of {len(codes)} codes, got {len(pids)} and {len(camids)}")
    known = pids >= 0
    bits, pids = unpack(codes[known])[:, :n_bits], pids[known]
    camids = np.where(camids[known] == UNKNOWN, -1 - np.arange(len(pids)), camids[known])
    people, cameras = _numbered(pids), _numbered(pids, camids)
    real = pids > 0
    of_one = _pairs_within(bits[real], people[real]) - _pairs_within(bits[real], cameras[real])
    of_two = _pairs_within(bits, np.zeros_like(people)) - _pairs_within(bits, people)
    n_of_one, n_of_two = int(of_one[:, 0].sum()), int(of_two[:, 0].sum())
    if not n_of_one or not n_of_two:
        raise DataError(
            f"expected pairs of pictures of one person by two cameras, and pairs of two people, got {n_of_one} and "
            f"{n_of_two}; hold out more identities"
        )
    least = 0.5 / min(n_of_one, n_of_two)
    return (of_one[1] / n_of_one).clip(least, 1 - least), (of_two[1] / n_of_two).clip(least, 1 - least)


def _numbered(*columns: Ints) -> Ints:
    """Return the number of each row's group, rows with equal values in all columns being one group."""
    _, groups = np.unique(np.stack(columns), axis=1, return_inverse=True)
    return groups.reshape(-1)


def _pairs_within(bits: Bools, groups: Ints) -> Ints:
    """Return how many pairs of rows of one group agree in a bit and how many differ, `(2, n_bits)`.

    Of n rows with k ones, k (n - k) pairs differ: groups are counted, not pairs.
    """
    sizes = np.bincount(groups)[:, None]
    ones = np.stack([np.bincount(groups, column, len(sizes)) for column in bits.T], axis=1).astype(np.int64)
    differ = (ones * (sizes - ones)).sum(axis=0)
    return np.stack([(sizes * (sizes - 1) // 2).sum() - differ, differ])
