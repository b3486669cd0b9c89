"""The judge of the studies: people whom a model was not trained on, alone and among its training pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Features, Ints, Numbers
from bitreid.codes import Codes
from bitreid.data.manifest import Manifest
from bitreid.evaluation import RankingMetrics, evaluate_distances, evaluate_lengths, evaluate_ranking

CROWDS = ("alone", "among")
"""The galleries: the held-out people's own pictures; these and all training pictures as distractors."""
LENGTHS = (2048, 512, 128, 64, 32)
"""Of codes, in bits."""

Marks = dict[str, dict[str, float]]
"""Of each of `CROWDS`, `rank1` and `mAP`."""


@dataclass(frozen=True)
class HeldOut:
    """Who is looked for, and among whom. Every picture of `people` is a query, and is in the gallery.

    A query's own picture, and all of its person by its camera, leave its ranking as Market-1501's protocol has it, so
    that a person must have been seen by two cameras to be found.

    people  (n) pictures of held-out identities
    others  (m) pictures of the identities that were trained on
    """

    people: Manifest
    others: Manifest

    def of_features(self, own: Features, others: Features) -> Marks:
        """Return the marks of features by cosine distance, `own` (n, d) and `others` (m, d)."""
        both = np.concatenate([own, others])
        return self._marks(lambda rows, *people: evaluate_ranking(own, both[:rows], *people))

    def of_codes(self, own: Codes, others: Codes, lengths: Sequence[int]) -> dict[str, Marks]:
        """Return the marks of prefixes of codes by Hamming distance, by length in bits."""
        both = Codes(np.concatenate([own.packed, others.packed]), own.n_bits)
        own = Codes(own.packed, own.n_bits)
        found = [evaluate_lengths(own, both[:rows], *people, lengths) for rows, people in self._galleries()]
        return {str(n): dict(zip(CROWDS, (_mark(each[n]) for each in found), strict=True)) for n in lengths}

    def of_distances(self, distances: Numbers) -> Marks:
        """Return the marks of distances `(n, n + m)`, smaller is nearer."""
        return self._marks(lambda rows, *people: evaluate_distances(distances[:, :rows], *people))

    def _marks(self, evaluate: Callable[[int, Ints, Ints, Ints, Ints], RankingMetrics]) -> Marks:
        found = [_mark(evaluate(rows, *people)) for rows, people in self._galleries()]
        return dict(zip(CROWDS, found, strict=True))

    def _galleries(self) -> list[tuple[int, tuple[Ints, Ints, Ints, Ints]]]:
        """Return of each of `CROWDS` its size, and the people of queries and gallery."""
        pids, camids = self.people.pids, self.people.camids
        all_pids, all_camids = (
            np.concatenate([getattr(self.people, name), getattr(self.others, name)]) for name in ("pids", "camids")
        )
        sizes = (len(pids), len(all_pids))
        return [(rows, (pids, camids, all_pids[:rows], all_camids[:rows])) for rows in sizes]


def _mark(metrics: RankingMetrics) -> dict[str, float]:
    return {"rank1": metrics.expected.rank1, "mAP": metrics.expected.mAP}
