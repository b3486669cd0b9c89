"""The proof of an engine: how far it is from the network in full precision."""

from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Pixels
from bitreid.artifact import Card, Proof
from bitreid.codes import Codes, pack
from bitreid.data.manifest import Manifest
from bitreid.data.pictures import Progress, load_pictures
from bitreid.data.samplers import held_out_pictures
from bitreid.encoding.calibrating import spaced
from bitreid.encoding.engine import Engine
from bitreid.evaluation.ranking import evaluate_ranking

MOST_CALIBRATED = 128
"""Pictures of training that ranges are found from, at most, evenly spaced."""

NOBODY = np.empty(0, np.int64)

N_RANDOM = 64
"""Pictures of random colours, where there are no others."""


@dataclass(frozen=True)
class Known:
    """Pictures of people whom a model was not trained on, and pictures that it was trained on.

    pictures     (n, H, W, 3) uint8, of the card's size; those of training where nobody was held out
    training     (m, H, W, 3) uint8, to find the ranges of values from
    people       whom the first show: n rows, none where they are those of training
    source       what they are
    """

    pictures: Pixels
    training: Pixels
    people: Manifest
    source: str


def known_of(card: Card, data: Manifest, source: str, progress: Progress | None = None) -> Known:
    """Return the pictures of a model's training data, called `source`, that an engine is proved and quantised with:
    those of the people whom training held out, and some of the others'."""
    people = held_out_pictures(data, card.training) if card.training.get("held_out_identities") else data.take(NOBODY)
    train = data.split("train")
    train = train.rows((train.pids > 0) & ~np.isin(train.pids, people.pids))
    train = train.take(spaced(len(train), MOST_CALIBRATED))
    size = card.input.height, card.input.width
    shown, training = (load_pictures(each.paths, *size, progress) for each in (people, train))
    return known_from(shown, training, people, source)


def known_from(shown: Pixels, training: Pixels, people: Manifest, source: str) -> Known:
    """Return what proves an engine: pictures of held-out people of `source`, or for want of any those of training."""
    if len(shown):
        return Known(shown, training, people, f"held-out people of {source}")
    return Known(training, training, people, f"training pictures of {source}")


def prove(card: Card, network: Engine, engine: Engine, known: Known | None) -> Proof:
    """Return how far an engine is from the network, on known pictures; without any, on random colours.

    Scores are those of a search for each picture among all others. There are none where the pictures are too few to
    have a match of another camera.
    """
    pictures = known.pictures if known is not None and len(known.pictures) else random_pictures(card)
    features, others = network(pictures).features, engine(pictures).features
    codes, other_codes = pack(features), pack(others)
    scores: list[dict[str, float]] = [{}, {}, {}]
    people, source = 0, "random colours"
    if known is not None and len(known.pictures):
        source = known.source
        if _searchable(known.people):
            people = len(np.unique(known.people.pids))
            pairs = ((codes, codes), (other_codes, other_codes), (other_codes, codes))
            scores = [_scores(*pair, known.people) for pair in pairs]
    return Proof(
        pictures=len(pictures),
        people=people,
        source=source,
        difference=float(np.abs(features - others).max()),
        flipped=float(((features > 0) != (others > 0)).mean()),
        before=scores[0],
        after=scores[1],
        mixed=scores[2],
    )


def _searchable(people: Manifest) -> bool:
    """Whether somebody was seen by two cameras."""
    seen = np.unique(np.stack([people.pids, people.camids]), axis=1)
    return bool(len(np.unique(seen[0])) < seen.shape[1])


def _scores(queries: Codes, gallery: Codes, people: Manifest) -> dict[str, float]:
    found = evaluate_ranking(queries, gallery, *(people.pids, people.camids) * 2).expected
    return {"rank1": found.rank1, "mAP": found.mAP}


def random_pictures(card: Card) -> Pixels:
    """Return pictures `(n, H, W, 3) uint8` of random colours: fields of a few sizes, and noise on them."""
    rng = np.random.default_rng(0)
    shape = (card.input.height, card.input.width)
    pictures = rng.integers(-20, 21, (N_RANDOM, *shape, 3))
    for cells in (2, 4, 16):
        colours = rng.integers(0, 256, (N_RANDOM, cells, cells, 3)) // 2
        rows, columns = (np.arange(size) * cells // size for size in shape)
        pictures += colours[:, rows][:, :, columns] - 42 * (cells > 2)
    return pictures.clip(0, 255).astype(np.uint8)
