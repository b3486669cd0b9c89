"""Single-shot galleries, which hold one random picture of each identity and are drawn many times."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bitreid.arrays import Floats, Ints, Numbers
from bitreid.data.manifest import DISTRACTOR
from bitreid.evaluation.comparison import nearer_and_at
from bitreid.evaluation.protocol import Protocol, Relatives
from bitreid.evaluation.scores import MatchGroups


@dataclass(frozen=True)
class SingleShots:
    """Galleries of one random picture of each person, and of all distractors.

    people       (n_people,) the pids in the gallery, ascending
    rows         (n_draws, n_people) the gallery rows that were drawn
    luck         (n_draws, n_people) the random numbers, uniform from 0 to 1, that chose them
    distractors  the rows that are in every gallery

    A query's own person is drawn for it anew, by the same random number but among its matches alone: a picture that
    the protocol leaves out cannot be the answer.
    """

    people: Ints
    rows: Ints
    luck: Floats
    distractors: Ints

    @classmethod
    def draw(cls, protocol: Protocol, by_content: Ints, n_draws: int, seed: int) -> Self:
        """Draw galleries for a protocol without junk or unknown people.

        `by_content` are its gallery rows sorted by their codes or features. Pictures are drawn in that order, so that
        the order of the gallery changes nothing.
        """
        camids, pids = protocol.gallery_camids[by_content], protocol.gallery_pids[by_content]
        by_person = by_content[np.lexsort((camids, pids))]
        pids = protocol.gallery_pids[by_person]
        by_person, pids = by_person[pids > DISTRACTOR], pids[pids > DISTRACTOR]
        people, starts, counts = np.unique(pids, return_index=True, return_counts=True)
        luck = np.random.default_rng(seed).random((n_draws, len(people)))
        rows = by_person[starts + (luck * counts).astype(np.int64)]
        return cls(people, rows, luck, np.flatnonzero(protocol.gallery_pids == DISTRACTOR))

    def groups(self, distances: Numbers, query_pids: Ints, relatives: Relatives) -> MatchGroups:
        """Return the tie group of the one match in each gallery, `(n_queries * n_draws, 1)`.

        The draws of a query follow each other. `distances (n_queries, n_gallery)`: of some queries to all rows.
        """
        n_queries, n_draws = len(distances), len(self.luck)
        nearer = np.zeros((n_queries, n_draws), np.int64)
        at = np.ones((n_queries, n_draws), np.int64)
        with_match = relatives.match.any(axis=1)
        for i in np.flatnonzero(with_match):
            own = np.searchsorted(self.people, query_pids[i])
            matches = np.sort(distances[i, relatives.rows[i, relatives.match[i]]])
            drawn = matches[(self.luck[:, own] * len(matches)).astype(np.int64)]
            gallery = distances[i, self.rows]
            gallery[:, own] = drawn
            nearer[i] = (gallery < drawn[:, None]).sum(axis=1)
            at[i] = (gallery == drawn[:, None]).sum(axis=1)
            if len(self.distractors):
                more_nearer, more_at = nearer_and_at(distances[i, self.distractors], drawn)
                nearer[i] += more_nearer
                at[i] += more_at
        valid = np.repeat(with_match, n_draws)[:, None]
        nothing, one = np.zeros((len(valid), 1), np.int64), np.ones((len(valid), 1), np.int64)
        return MatchGroups(valid, nearer.reshape(-1, 1), at.reshape(-1, 1), nothing, one)
